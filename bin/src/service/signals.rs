//! The signals that the program handles.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of an interrupted program: 128 plus the number of SIGINT, as shells report it.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// SIGTERM and SIGINT. Once installed, they no longer end the process by default.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals can't be handled");
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    /// Waits for the next signal, and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
