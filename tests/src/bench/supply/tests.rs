//! Tests of the supply: what is sent is what the month holds, with numbers that can be read back.

use std::collections::BTreeSet;

use serde_json::Value;
use tallyhouse_pipeline::Record;

use super::*;

#[test]
fn a_number_comes_back_out_of_the_id_however_ids_follow_one_another() {
    assert_eq!(SCATTER.wrapping_mul(GATHER), 1);
    for ids in [Ids::Counted, Ids::Scattered] {
        let supply = Supply::new(ids, Keys::Flights);
        for n in [0, 1, 26_397, 26_398, 9_999_999, u64::from(u32::MAX)] {
            assert_eq!(number(supply.id(n).as_bytes(), ids), Some(n), "{ids:?}");
        }
    }
    assert_eq!(number(b"2013-01-01-UA1545", Ids::Counted), None);
}

#[test]
fn every_record_that_is_supplied_is_a_good_one_with_the_key_that_was_asked_for() {
    let destinations = |keys| -> BTreeSet<String> {
        let supply = Supply::new(Ids::Counted, keys);
        let record = |n| {
            let mut body = Vec::new();
            supply.append(n, &mut body);
            Record::from_json(&body).expect("a good record");
            let record: Value = serde_json::from_slice(&body).expect("JSON");
            record["destinationId"].as_str().expect("text").to_owned()
        };
        (0..2_000).map(record).collect()
    };
    assert_eq!(destinations(Keys::One).len(), 1);
    assert!(destinations(Keys::Flights).len() > 50);
    let spread = destinations(Keys::Spread(100)).len();
    assert!((90..=100).contains(&spread), "{spread}");
}

#[test]
fn the_length_of_a_body_is_what_its_head_says() {
    let supply = Supply::new(Ids::Counted, Keys::Flights);
    let mut single = Vec::new();
    supply.append_request(7, &mut single);
    for request in [single, supply.batch_request(0..3), supply.lines_request(0..3)] {
        let text = String::from_utf8(request).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let length = head.split("Content-Length: ").nth(1).expect("a length");
        assert_eq!(length.parse(), Ok(body.len()));
    }
}
