//! Long input of one sender, in chunks that are committed in order, two at once.
//!
//! A request body, a queue or a file is too long for one submission. While the store commits one chunk, the next one is
//! read, parsed and planned. A third one would only take memory.

use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::task::{Context, Poll, Waker};

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesOrdered, StreamExt as _};
use tallyhouse_core::Arrival;

use crate::ingress::Ingress;
use crate::ingress::ordered::OrderedIngress;
use crate::submit_error::Answer;

/// A chunk on its way: awaits its outcomes, one for each of its records.
pub type Submission = BoxFuture<'static, Answer>;

/// The chunks of one sender, each with the work around it. They are committed in the order in which they are pushed, and
/// their results are yielded in the same order.
///
/// Dropping it cancels all work. Chunks that are in the intake already may be committed nevertheless.
///
/// ```
/// # use std::sync::Arc;
/// # use tallyhouse_pipeline::{Pipeline, PipelineParts, TokioClock};
/// # use tallyhouse_testing::{MemoryRepository, generate};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(TokioClock::start());
/// # let repository = Arc::new(MemoryRepository::new(clock.clone()));
/// # let (pipeline, driver) = Pipeline::new(PipelineParts::new(repository.clone(), clock.clone()));
/// # let work = tokio::spawn(driver.run());
/// use tallyhouse_pipeline::OrderedChunks;
///
/// let mut lines = (1..=10).map(|n| generate::record(&format!("r-{n}"), "shop-9", "", "12.50", "EUR").into()).peekable();
/// let mut chunks = OrderedChunks::new(&pipeline.ingress());
/// let mut processed = 0;
/// loop {
///     while chunks.has_capacity() && lines.peek().is_some() {
///         chunks.push(lines.by_ref().take(3).collect(), |submission| submission);
///     }
///     let Some(outcomes) = chunks.next().await else { break };
///     processed += outcomes?.len();
/// }
/// assert_eq!(processed, 10);
/// # drop(chunks);
/// # drop(pipeline);
/// # work.await?;
/// # Ok(())
/// # }
/// ```
pub struct OrderedChunks<T> {
    ingress: OrderedIngress,
    in_flight: FuturesOrdered<BoxFuture<'static, T>>,
}

impl<T> fmt::Debug for OrderedChunks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedChunks").field("in_flight", &self.in_flight.len()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> OrderedChunks<T> {
    /// Starts an order of its own: chunks of two `OrderedChunks` are not ordered with each other.
    #[must_use]
    pub fn new(ingress: &Ingress) -> Self {
        Self { ingress: ingress.ordered(), in_flight: FuturesOrdered::new() }
    }

    /// Returns the number of chunks whose results have not been yielded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// Says whether every result has been yielded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Says whether a further chunk would be in flight at once. A chunk that is pushed beyond that waits for the
    /// others.
    #[must_use]
    pub fn has_capacity(&self) -> bool {
        self.in_flight.len() < OrderedIngress::IN_FLIGHT_MAX
    }

    /// Starts a chunk. This call takes its place in the order. `work` gets the submission and awaits it; a rate limit may be
    /// awaited before, an acknowledgement sent after. The work of all chunks runs concurrently while
    /// [`OrderedChunks::next`] is awaited. It has been polled once when this call returns: the chunk is in the intake then,
    /// if that has capacity and nothing else is awaited first.
    ///
    /// If a chunk fails, all later chunks that were pushed before its result was yielded fail, too. Go on with a new
    /// `OrderedChunks` then.
    pub fn push<F>(&mut self, arrivals: Vec<Arrival>, work: impl FnOnce(Submission) -> F)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut work = work(self.ingress.submit(arrivals).boxed()).boxed();
        // The first poll takes the chunk into the intake. `next` polls again, with a waker.
        let work = match work.poll_unpin(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => ready(result).boxed(),
            Poll::Pending => work,
        };
        self.in_flight.push_back(work);
    }

    /// Waits for the result of the first chunk that is in flight; returns `None` if there is none. Cancelling the call
    /// loses nothing.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Polls for the result of the first chunk that is in flight; `None` if there is none.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.in_flight.poll_next_unpin(context)
    }
}

#[cfg(test)]
mod tests;
