//! Tests of the spans that are remembered by trace context.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

use super::*;

fn span(n: u64) -> SpanContext {
    let state = TraceState::default();
    SpanContext::new(TraceId::from(1), SpanId::from(n), TraceFlags::SAMPLED, false, state)
}

#[test]
fn a_span_is_returned_until_it_is_forgotten() {
    let parents = ParentSpans::default();
    parents.insert("a", &span(1));
    assert_eq!(parents.of("a"), Some(span(1)));
    assert_eq!(parents.of("b"), None);
    parents.remove("a");
    assert_eq!(parents.of("a"), None);
    parents.remove("a");
}

#[test]
fn a_context_of_two_spans_has_no_parent() {
    let parents = ParentSpans::default();
    parents.insert("a", &span(1));
    parents.insert("a", &span(2));
    parents.remove("a");
    assert_eq!(parents.of("a"), None, "the remaining one may not be the parent");
    parents.remove("a");
    parents.insert("a", &span(3));
    assert_eq!(parents.of("a"), Some(span(3)));
}

#[test]
fn the_memory_is_bounded_and_keeps_the_latest() {
    let parents = ParentSpans::default();
    for n in 1..=10 * GENERATION as u64 {
        parents.insert(&n.to_string(), &span(n));
    }
    let last = 10 * GENERATION as u64;
    assert_eq!(parents.of(&last.to_string()), Some(span(last)));
    let generations = parents.lock();
    assert!(generations.current.len() + generations.previous.len() <= 2 * GENERATION);
}
