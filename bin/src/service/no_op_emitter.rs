//! The emitter without Redis: discards messages, because subscribers read the store.

use async_trait::async_trait;
use tallyhouse_pipeline::Message;
use tallyhouse_pipeline::ports::{MessageEmitter, PortError};

/// Publishes nothing. Subscribers over HTTP read the store and are woken by the commit itself, so that the outbox can be
/// marked as published at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoOpEmitter;

#[async_trait]
impl MessageEmitter for NoOpEmitter {
    async fn emit(&self, _messages: &[Message]) -> Result<(), PortError> {
        Ok(())
    }
}
