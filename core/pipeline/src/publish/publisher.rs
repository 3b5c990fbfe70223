//! What an instance needs to publish messages.

use std::sync::Arc;

use tallyhouse_core::ports::{MessageEmitter, Outbox, Owner, RecordReader};

/// How an instance publishes the messages of what it commits, and of what dead instances have committed.
#[derive(Clone)]
pub struct Publisher {
    /// The name under which its outbox entries are kept.
    pub owner: Owner,
    /// Where messages go.
    pub emitter: Arc<dyn MessageEmitter>,
    /// Where the outbox entries are kept.
    pub outbox: Arc<dyn Outbox>,
    /// Where the records of outbox entries are read again.
    pub reader: Arc<dyn RecordReader>,
}

impl Publisher {
    /// Makes a publisher for a store that has both the outbox and the records.
    pub fn new(
        owner: Owner,
        emitter: Arc<dyn MessageEmitter>,
        store: Arc<impl Outbox + RecordReader + 'static>,
    ) -> Self {
        Self { owner, emitter, outbox: Arc::clone(&store) as _, reader: store }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("owner", &self.owner).finish_non_exhaustive()
    }
}
