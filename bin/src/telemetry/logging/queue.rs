//! The queue of the log: a thread writes lines, so that a slow, full or closed log never delays the service.
//!
//! `tracing-appender` has such a thread, too, but it neither counts the lines that a full disk refuses nor reports a
//! loss in the log itself.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Most lines that wait: some seconds of `log.requests` under load.
const LINES_MAX: usize = 8_192;

/// Most bytes that wait.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long the end of the program waits for the log at most. A stalled log must not delay a stop.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The sending end of the queue. Clones share one queue.
#[derive(Debug, Clone)]
pub(super) struct LogQueue {
    lines: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
}

/// State that senders and the writing thread share.
#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    lost: AtomicU64,
    /// Lines that were accepted and not yet written or lost.
    pending: Mutex<u64>,
    drained: Condvar,
}

impl LogQueue {
    /// Starts the thread, which writes to `out`.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(LINES_MAX);
        let shared = Arc::<Shared>::default();
        let writer = LineWriter { out, shared: Arc::clone(&shared), line_incomplete: false, reported: 0 };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&waiting))?;
        Ok(Self { lines, shared })
    }

    /// Returns how many lines were dropped or could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits until every accepted line is written or lost, for this long at most.
    pub(super) fn flush(&self, within: Duration) {
        let pending = self.shared.pending();
        drop(self.shared.drained.wait_timeout_while(pending, within, |pending| *pending > 0));
    }

    fn accept(&self, line: &[u8]) {
        let bytes = self.shared.bytes.fetch_add(line.len(), Ordering::Relaxed) + line.len();
        *self.shared.pending() += 1;
        if bytes > BYTES_MAX || self.lines.try_send(line.to_vec()).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            self.shared.done(line.len());
        }
    }
}

impl Write for LogQueue {
    /// Takes one line: the subscriber writes each event at once. Never fails and never blocks.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.accept(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn pending(&self) -> std::sync::MutexGuard<'_, u64> {
        // A counter is valid after a panic, too.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let mut pending = self.pending();
        *pending -= 1;
        if *pending == 0 {
            self.drained.notify_all();
        }
    }
}

/// The receiving end: writes lines in their order.
struct LineWriter<W> {
    out: W,
    shared: Arc<Shared>,
    /// Whether the last line was written in part. The next one then starts on a new line.
    line_incomplete: bool,
    /// How many lost lines the log has reported.
    reported: u64,
}

impl<W: Write> LineWriter<W> {
    fn run(mut self, waiting: &Receiver<Vec<u8>>) {
        let mut writable = true;
        loop {
            let line = match waiting.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Empty) => {
                    if writable {
                        self.report_loss();
                    }
                    let Ok(line) = waiting.recv() else { return };
                    line
                }
                Err(TryRecvError::Disconnected) => return,
            };
            writable = self.write(&line).is_ok();
            if !writable {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
            }
            // The report comes before the line counts as done, so that the end of the program waits for the report,
            // too.
            if writable && *self.shared.pending() == 1 {
                self.report_loss();
            }
            self.shared.done(line.len());
        }
    }

    /// Reports lost lines as an event of the log, once the queue is empty and has room for it.
    fn report_loss(&mut self) {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        if lost > self.reported {
            tracing::warn!(lines = lost - self.reported, "log lines were lost; the log goes on");
            self.reported = lost;
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.line_incomplete {
            self.out.write_all(b"\n")?;
            self.line_incomplete = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = &rest[written..];
                    self.line_incomplete = !rest.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.flush()
    }
}

/// Writes a text to standard error, and gives up if the reader does not take it in time.
pub(super) fn write_within(text: String, within: Duration) {
    let (done, written) = sync_channel::<()>(1);
    let writing = move || {
        // There is nowhere left to report a failure to.
        io::stderr().lock().write_all(text.as_bytes()).ok();
        done.send(()).ok();
    };
    if thread::Builder::new().spawn(writing).is_ok() {
        written.recv_timeout(within).ok();
    }
}

#[cfg(test)]
mod tests;
