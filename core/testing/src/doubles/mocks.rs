//! Mocks of the ports that tests need, by mockall.

use std::sync::Arc;

use async_trait::async_trait;
use tallyhouse_core::ports::{
    Acknowledgement, AuditPart, Delivery, Groups, HistoryQuery, MessageEmitter, Page, PartStream, PortError,
    RecordReader, RecordSource,
};
use tallyhouse_core::{GroupQuery, Message, RecordId, RecordQuery, Reference, StoredRecord, Summary, SummaryQuery};

mockall::mock! {
    /// A mock of [`RecordReader`].
    #[derive(Debug)]
    pub RecordReader {}

    #[async_trait]
    impl RecordReader for RecordReader {
        async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError>;
        async fn records(&self, query: RecordQuery) -> Result<Page<StoredRecord>, PortError>;
        async fn summaries(&self, query: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError>;
        async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError>;
        async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError>;
        async fn head(&self) -> Result<u64, PortError>;
        async fn audit(&self) -> Result<PartStream<AuditPart>, PortError>;
    }
}

mockall::mock! {
    /// A mock of [`RecordSource`].
    #[derive(Debug)]
    pub RecordSource {}

    #[async_trait]
    impl RecordSource for RecordSource {
        fn name(&self) -> &'static str;
        async fn receive(&self, max: usize) -> Result<Vec<Delivery>, PortError>;
        async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> Result<(), PortError>;
        async fn ping(&self) -> Result<(), PortError>;
    }
}

mockall::mock! {
    /// A mock of [`MessageEmitter`].
    #[derive(Debug)]
    pub MessageEmitter {}

    #[async_trait]
    impl MessageEmitter for MessageEmitter {
        async fn emit(&self, messages: &[Message]) -> Result<(), PortError>;
        async fn ping(&self) -> Result<(), PortError>;
    }
}
