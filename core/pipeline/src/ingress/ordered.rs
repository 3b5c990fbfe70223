//! Submissions of one sender, processed in their order while two of them are in flight.

use std::future::Future;

use tallyhouse_core::Arrival;

use crate::commit::order::{OrderSlot, Progress};
use crate::ingress::Ingress;
use crate::submit_error::Answer;

/// An ingress for submissions that are processed in the order in which they are made, while two of them are in flight.
/// [`OrderedChunks`](crate::OrderedChunks) also keeps the submissions that are in flight.
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
/// let mut ordered = pipeline.ingress().ordered();
/// let record = |id| generate::record(id, "shop-9", "", "12.50", "EUR").into();
/// let (first, second) = (ordered.submit(vec![record("r-1")]), ordered.submit(vec![record("r-2")]));
/// let (first, second) = futures::join!(first, second);
/// assert_eq!((first?.len(), second?.len()), (1, 1));
/// # drop(ordered);
/// # drop(pipeline);
/// # work.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OrderedIngress {
    ingress: Ingress,
    last: Option<Progress>,
    last_but_one: Option<Progress>,
}

impl OrderedIngress {
    /// The most submissions in flight; further ones wait. While the store commits one, the next is prepared.
    pub const IN_FLIGHT_MAX: usize = 2;

    /// Submits records as [`Ingress::submit`] does, after all earlier submissions. The call takes the place in the order;
    /// later submissions wait until the returned future is polled. If a submission fails, all later ones that were made
    /// before its answer fail, too. Make a new ordered ingress then, and submit again.
    ///
    /// # Errors
    /// As for [`Ingress::submit`]. Cancelling counts as an error for later submissions, unless the records are in the
    /// intake already.
    pub fn submit(&mut self, arrivals: Vec<Arrival>) -> impl Future<Output = Answer> + Send + use<> {
        let (ingress, last_but_one) = (self.ingress.clone(), self.last_but_one.clone());
        let order_slot = (!arrivals.is_empty()).then(|| {
            let order_slot = OrderSlot::after(self.last.clone());
            self.last_but_one = self.last.replace(order_slot.progress());
            order_slot
        });
        async move {
            let Some(order_slot) = order_slot else { return Ok(Vec::new()) };
            if let Some(last_but_one) = last_but_one {
                last_but_one.ended().await;
            }
            if order_slot.predecessor_started().await {
                ingress.submit_at(arrivals, Some(order_slot)).await
            } else {
                Err(ingress.reject_successor(arrivals.len()))
            }
        }
    }
}

impl Ingress {
    /// Starts an order of submissions by this ingress.
    #[must_use]
    pub fn ordered(&self) -> OrderedIngress {
        OrderedIngress { ingress: self.clone(), last: None, last_but_one: None }
    }
}

#[cfg(test)]
mod tests;
