//! Tests of reading and writing trace contexts.

use super::*;

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_context_is_written_as_it_was_parsed() {
    for traceparent in [SAMPLED, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"] {
        assert_eq!(write(&parse(traceparent).unwrap()), traceparent);
    }
}

#[test]
fn a_later_version_is_parsed_as_far_as_it_is_known() {
    let context = parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-more").unwrap();
    assert_eq!(write(&context), SAMPLED);
}

#[test]
fn an_invalid_context_is_ignored() {
    for text in ["", "00", "00-x-y-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
        assert!(parse(text).is_none(), "{text}");
    }
}

#[test]
fn only_distinct_sampled_contexts_are_returned_up_to_the_bound() {
    let not_sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let found = sampled([Some(SAMPLED), Some(SAMPLED), None, Some(not_sampled), Some(SAMPLED)].into_iter());
    assert_eq!(found.iter().map(|(text, _)| *text).collect::<Vec<_>>(), [SAMPLED]);
    let many: Vec<String> = (1..=1_000).map(|i| format!("00-{i:032x}-b7ad6b7169203331-01")).collect();
    assert_eq!(sampled(many.iter().map(|text| Some(text.as_str()))).len(), CONTEXTS_MAX);
}
