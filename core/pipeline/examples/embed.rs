//! A whole program that processes records exactly once, without HTTP and without a database.
//!
//! Run it with `cargo run -p tallyhouse-pipeline --example embed`. A program of your own needs these dependencies:
//!
//! ```toml
//! [dependencies]
//! tallyhouse-pipeline = "0.1"
//! tallyhouse-testing = "0.1" # for the repository in memory; tallyhouse-postgres and tallyhouse-sqlite keep records
//! tokio = { version = "1", features = ["macros", "rt"] }
//! ```

use std::sync::Arc;

use tallyhouse_pipeline::{Draft, Pipeline, PipelineParts, TokioClock};
use tallyhouse_testing::MemoryRepository;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(TokioClock::start());
    let repository = Arc::new(MemoryRepository::new(clock.clone()));
    let (pipeline, driver) = Pipeline::new(PipelineParts::new(repository, clock));
    let work = tokio::spawn(driver.run());
    let payment = Draft {
        record_id: "payment-1",
        time: "2026-01-01T09:30:00Z",
        source_id: "till-3",
        destination_id: "shop-9",
        record_type: "positive",
        value: "1250.00",
        unit: "EUR",
        reference: "",
    };
    for expected in ["processed", "duplicate"] {
        let outcome = pipeline.process(payment.check()?).await?;
        assert_eq!(outcome.name(), expected);
        println!("{}", outcome.name());
    }
    drop(pipeline); // The driver commits what was accepted, and ends.
    Ok(work.await?)
}
