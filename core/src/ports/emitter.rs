//! The emitter port: where messages are published.

use async_trait::async_trait;

use crate::message::Message;
use crate::ports::error::PortError;

/// Publishes messages.
///
/// ```
/// use async_trait::async_trait;
/// use tallyhouse_core::ports::{MessageEmitter, PortError};
/// use tallyhouse_core::{Message, MessageFormat};
///
/// /// Prints each message on a line.
/// struct Printer(MessageFormat);
///
/// #[async_trait]
/// impl MessageEmitter for Printer {
///     async fn emit(&self, messages: &[Message]) -> Result<(), PortError> {
///         messages.iter().for_each(|message| println!("{}", self.0.to_json(message)));
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait MessageEmitter: Send + Sync {
    /// Publishes messages in their order, and returns when the receiver has confirmed all of them.
    ///
    /// # Errors
    /// Some may not have been published; the caller repeats all of them.
    async fn emit(&self, messages: &[Message]) -> Result<(), PortError>;

    /// Returns the name of the place where this emitter publishes, e.g. its channels. Unpublished messages of one emitter are
    /// published by another only if both have the same name, so two emitters with one name MUST reach the same subscribers.
    /// The store keeps the name, so it MUST be the same after a restart, and in later versions of the emitter.
    ///
    /// By default there is no name: any emitter may publish its messages, and it publishes those of no named one.
    fn name(&self) -> Option<String> {
        None
    }

    /// Checks that the receiver answers, before the next attempt after a failure. MUST publish nothing and SHOULD be
    /// cheap. The default succeeds at once, so that the next attempt to publish decides.
    ///
    /// # Errors
    /// The receiver does not answer.
    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}
