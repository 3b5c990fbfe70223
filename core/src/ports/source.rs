//! The source port: a queue that records come from.

use async_trait::async_trait;

use crate::ports::error::PortError;
use crate::record::rejection::{Rejection, RejectionCode};

/// The longest payload of a queue, in bytes: the limit of a record over HTTP, too.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// Reads records from a queue.
///
/// ```
/// use tallyhouse_core::ports::{Acknowledgement, DeadLetterReason, Disposition, PortError, RecordSource};
/// use tallyhouse_core::{Record, Rejection};
///
/// /// Dead-letters the payloads that are not records, and returns the others to the queue.
/// async fn sort(source: &dyn RecordSource) -> Result<(), PortError> {
///     let deliveries = source.receive(10).await?;
///     let read = |payload: Result<Vec<u8>, Rejection>| Record::from_json(&payload?);
///     let end = |payload| match read(payload) {
///         Ok(_) => Disposition::Nack,
///         Err(rejection) => Disposition::DeadLetter {
///             reason: DeadLetterReason::Rejection(rejection.code),
///             detail: rejection.detail(),
///         },
///     };
///     let ended = deliveries.into_iter().map(|delivery| Acknowledgement {
///         tag: delivery.tag, disposition: end(delivery.payload),
///     });
///     source.ack(ended.collect()).await
/// }
/// ```
#[async_trait]
pub trait RecordSource: Send + Sync {
    /// Returns the name of the source in logs and dead letters, e.g. `list`.
    fn name(&self) -> &'static str;

    /// Waits for payloads and returns up to `max` of them; may return none after some time.
    ///
    /// A payload MUST stay in the queue until it is acknowledged, also when this consumer dies, and MUST then be handed
    /// to another one. Cancelling the call MUST lose nothing. An adapter SHOULD wait by blocking, not by polling. It
    /// SHOULD bound the bytes that one call returns. It SHOULD NOT read a payload of more than [`PAYLOAD_BYTES_MAX`]
    /// bytes whole: the delivery of such a payload is a rejection as too large.
    ///
    /// # Errors
    /// The queue can't answer now; the caller tries again later.
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, PortError>;

    /// Ends deliveries, each as its [`Disposition`] says. Acknowledging twice MUST do no harm.
    ///
    /// # Errors
    /// The queue can't do it now; unacknowledged payloads are received again later.
    async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> Result<(), PortError>;

    /// Checks that the queue answers, before the next attempt after a failure. MUST change nothing and SHOULD be cheap.
    /// The default succeeds at once, so that the next attempt decides.
    ///
    /// # Errors
    /// The queue does not answer.
    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

/// One payload from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The source's own identifier of the delivery.
    pub tag: String,
    /// The bytes, or why the source has none to deliver: the caller dead-letters the delivery for this reason.
    pub payload: Result<Vec<u8>, Rejection>,
    /// The W3C trace context that came with the payload.
    pub traceparent: Option<String>,
}

/// The end of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The delivery's tag.
    pub tag: String,
    /// How it ends.
    pub disposition: Disposition,
}

impl Acknowledgement {
    /// Says whether the delivery becomes a dead letter.
    #[must_use]
    pub fn is_dead_letter(&self) -> bool {
        matches!(self.disposition, Disposition::DeadLetter { .. })
    }
}

/// The ways in which a delivery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It was processed, now or before: remove it.
    Ack,
    /// It is refused for its own fault: write it to the dead letters, then remove it.
    DeadLetter {
        /// The reason's code.
        reason: DeadLetterReason,
        /// The reason in words.
        detail: String,
    },
    /// It was not processed, through no fault of its own: put it back into the queue.
    Nack,
}

/// Why a payload is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterReason {
    /// It is not a record.
    Rejection(RejectionCode),
    /// Its id was seen before with other content.
    Conflict,
}

impl DeadLetterReason {
    /// Returns the code that a dead letter bears as its `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejection(code) => code.name(),
            Self::Conflict => "conflict",
        }
    }
}
