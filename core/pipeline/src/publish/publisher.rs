//! The dependencies of publishing: emitter, outbox, reader and owner.

use std::sync::Arc;

use tallyhouse_core::ports::{MessageEmitter, Outbox, Owner, RecordReader, Store};

/// Publishes the messages of the batches that this instance commits, and of those that a dead instance with the same
/// emitter has committed.
#[derive(Clone)]
pub struct Publisher {
    /// The owner of this instance's outbox entries. The pipeline adds the name of the emitter.
    pub owner: Owner,
    /// Publishes messages.
    pub emitter: Arc<dyn MessageEmitter>,
    /// Keeps the outbox entries.
    pub outbox: Arc<dyn Outbox>,
    /// Reads the records of outbox entries again.
    pub reader: Arc<dyn RecordReader>,
}

impl Publisher {
    /// Makes a publisher for a store that has both the outbox and the records.
    #[must_use]
    pub fn new(owner: Owner, emitter: Arc<dyn MessageEmitter>, store: Arc<dyn Store>) -> Self {
        Self { owner, emitter, outbox: Arc::clone(&store) as _, reader: store }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("owner", &self.owner).finish_non_exhaustive()
    }
}
