//! The emitter port: where messages are published.

use async_trait::async_trait;

use crate::message::Message;
use crate::ports::error::PortError;

/// Publishes messages.
#[async_trait]
pub trait MessageEmitter: Send + Sync {
    /// Publishes messages in their order, and returns when the other side has them all.
    ///
    /// # Errors
    /// Some may not have been published; the caller repeats all of them.
    async fn emit(&self, messages: &[Message]) -> Result<(), PortError>;

    /// Checks that the other side answers, before it is tried again after a failure. MUST publish nothing and SHOULD be
    /// cheap. By default it answers at once, and the next attempt to publish decides.
    ///
    /// # Errors
    /// The other side does not answer.
    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}
