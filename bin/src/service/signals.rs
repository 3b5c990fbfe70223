//! The signals that the program handles.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of an interrupted program: 128 plus the number of SIGINT, as shells report it.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// SIGTERM, SIGINT and SIGHUP. Each asks for a graceful stop: changed key and certificate files are read without a
/// signal, so a hang-up means only that the terminal is gone. Once installed, they no longer end the process by
/// default.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` under `nohup`, which ignores the signal: a handler would undo that.
    hangup: Option<Signal>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals can't be handled");
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: if hangup_is_ignored() { None } else { Some(take(SignalKind::hangup())?) },
        })
    }

    /// Waits for the next signal, and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = hang_up(self.hangup.as_mut()) => "SIGHUP",
        }
    }
}

async fn hang_up(hangup: Option<&mut Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Returns whether the process was started with SIGHUP ignored (`SigIgn` in proc(5): bit 0 is signal 1).
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
