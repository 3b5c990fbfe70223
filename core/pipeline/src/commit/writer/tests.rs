//! Each submission is answered with the outcomes of its own records.

use futures::future::join;
use tallyhouse_core::ports::{Batch, PortErrorKind};

use crate::settings::PipelineSettings;
use crate::submit_error::SubmitError;
use crate::test_harness::{Instance, arrivals};

#[tokio::test(start_paused = true)]
async fn a_submission_without_an_outcome_leaves_the_answers_of_others_alone() {
    let instance = Instance::start(PipelineSettings::default());
    // The store refuses the first record of the batch: it has no outcome yet, but the later ones have.
    let poisonous = |batch: &Batch| batch.arrivals.iter().any(|arrival| arrival.record.record_id.as_str() == "a-0");
    instance.repository.fail_commits(move |batch| poisonous(batch).then_some(PortErrorKind::Refused));
    let ingress = instance.pipeline.ingress();
    let (refused, answered) = join(ingress.submit(arrivals("a", 3)), ingress.submit(arrivals("b", 2))).await;
    assert_eq!(refused, Err(SubmitError::Unavailable(None)));
    let answered = answered.unwrap();
    let ids: Vec<_> = answered.iter().map(|outcome| outcome.record_id().unwrap().as_str()).collect();
    assert_eq!(ids, ["b-0", "b-1"]);
}
