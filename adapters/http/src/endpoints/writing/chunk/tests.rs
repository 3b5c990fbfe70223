//! Results stand in the places of their lines.

use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use tallyhouse_pipeline::{RecordId, Timestamp};

use super::*;

fn duplicate(id: &RecordId) -> Outcome {
    Outcome::Duplicate { record_id: id.clone(), sequence: 1, processed_at: Timestamp::MIN }
}

proptest! {
    #[test]
    fn refused_records_come_back_to_their_places(good in vec(any::<bool>(), 0..40)) {
        let mut chunk = Chunk::default();
        for (place, good) in good.iter().enumerate() {
            let json = format!(
                r#"{{"recordId":"{place}","time":"2026-01-01T00:00:00Z","sourceId":"s","destinationId":"d",
                    "type":"positive","value":1,"unit":"u","reference":""}}"#
            );
            let record = Record::from_json(json.as_bytes());
            let refused = Rejection::at(Some(RecordId::new(&place.to_string()).unwrap()), "", "no");
            chunk.push(if *good { record } else { Err(refused) }, None);
        }
        assert_eq!(chunk.len(), good.len());
        let outcomes = chunk.arrivals.iter().map(|arrival| duplicate(&arrival.record.record_id)).collect();
        let all = chunk.refused.rejoin(outcomes);
        assert_eq!(all.len(), good.len());
        for (place, (outcome, good)) in all.iter().zip(good).enumerate() {
            assert_eq!(outcome.record_id().unwrap().as_str(), place.to_string());
            assert_eq!(outcome.name(), if good { "duplicate" } else { "rejected" });
        }
    }
}
