//! Tests of the queue with outputs that stall, fail and recover.

use std::sync::mpsc::{Sender, channel};

use super::*;

/// Longest wait for the thread.
const DEADLINE: Duration = Duration::from_secs(30);

/// An output that takes a line only when the test allows it, and fails when the test says so.
struct Gate {
    open: Receiver<bool>,
    written: Sender<Vec<u8>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.open.recv() {
            Ok(true) => {
                self.written.send(bytes.to_vec()).unwrap();
                Ok(bytes.len())
            }
            Ok(false) => Err(io::ErrorKind::StorageFull.into()),
            Err(_closed) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gated() -> (LogQueue, Sender<bool>, Receiver<Vec<u8>>) {
    let (allow, open) = channel();
    let (written, lines) = channel();
    (LogQueue::start(Gate { open, written }).unwrap(), allow, lines)
}

#[test]
fn a_stalled_output_blocks_no_sender_and_surplus_lines_are_counted() {
    let (mut queue, allow, lines) = gated();
    // One line is in the hands of the thread, or will be: the bound is exact within one.
    let sent = LINES_MAX as u64 + 100;
    (0..sent).for_each(|_| queue.write_all(b"line\n").unwrap());
    let lost = queue.lost();
    assert!((99..=100).contains(&lost), "{lost}");
    (0..sent - lost).for_each(|_| allow.send(true).unwrap());
    queue.flush(DEADLINE);
    assert_eq!(lines.try_iter().count() as u64, sent - lost);
}

#[test]
fn waiting_lines_are_bounded_in_bytes() {
    let (mut queue, _allow, _lines) = gated();
    let line = vec![b'x'; BYTES_MAX / 4];
    (0..10).for_each(|_| queue.write_all(&line).unwrap());
    assert_eq!(queue.lost(), 6);
}

#[test]
fn a_failing_output_loses_its_lines_and_the_next_ones_are_written() {
    let (mut queue, allow, lines) = gated();
    queue.write_all(b"a\n").unwrap();
    queue.write_all(b"b\n").unwrap();
    allow.send(false).unwrap();
    allow.send(true).unwrap();
    queue.flush(DEADLINE);
    assert_eq!(queue.lost(), 1);
    assert_eq!(lines.recv_timeout(DEADLINE).unwrap(), b"b\n");
}

#[test]
fn a_closed_output_ends_nothing() {
    let (mut queue, allow, _lines) = gated();
    drop(allow);
    (0..10).for_each(|_| queue.write_all(b"a\n").unwrap());
    queue.flush(DEADLINE);
    assert_eq!(queue.lost(), 10);
}

#[test]
fn a_flush_gives_up_on_a_stalled_output() {
    let (mut queue, _allow, _lines) = gated();
    queue.write_all(b"a\n").unwrap();
    queue.flush(Duration::from_millis(10));
    assert_eq!(queue.lost(), 0);
}

/// An output that takes three bytes, fails once, and then takes everything.
struct Torn(Arc<Mutex<(Vec<u8>, usize)>>);

impl Write for Torn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        state.1 += 1;
        let taken = match state.1 {
            1 => 3,
            2 => return Err(io::ErrorKind::StorageFull.into()),
            _ => bytes.len(),
        };
        state.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_after_a_torn_one_starts_on_a_new_line() {
    let state = Arc::new(Mutex::new((Vec::new(), 0)));
    let mut queue = LogQueue::start(Torn(Arc::clone(&state))).unwrap();
    queue.write_all(b"first\n").unwrap();
    queue.write_all(b"second\n").unwrap();
    queue.flush(DEADLINE);
    assert_eq!(state.lock().unwrap().0, b"fir\nsecond\n");
    assert_eq!(queue.lost(), 1);
}
