//! The chunks of an import, handed over by the thread that reads.

use tokio::sync::mpsc;

use super::input::Chunk;
use crate::service::signals::Signals;

/// The chunks that were read, until the last or a signal.
pub(super) struct Chunks {
    pub(super) chunks: mpsc::Receiver<Chunk>,
    pub(super) signals: Signals,
    pub(super) interrupted: bool,
}

impl Chunks {
    /// Returns the next chunk, `None` after the last and after a signal. Cancelling the call loses nothing.
    pub(super) async fn next(&mut self) -> Option<Chunk> {
        if self.interrupted {
            return None;
        }
        tokio::select! {
            biased;
            _ = self.signals.next() => {
                self.interrupted = true;
                None
            }
            chunk = self.chunks.recv() => chunk,
        }
    }
}
