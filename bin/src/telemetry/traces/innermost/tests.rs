//! Tests of what is remembered of trace contexts, and for how long.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

use super::*;

fn span(n: u64) -> SpanContext {
    let state = TraceState::default();
    SpanContext::new(TraceId::from(1), SpanId::from(n), TraceFlags::SAMPLED, false, state)
}

#[test]
fn a_span_is_known_until_it_is_forgotten() {
    let innermost = Innermost::default();
    innermost.note("a", &span(1));
    assert_eq!(innermost.of("a"), Some(span(1)));
    assert_eq!(innermost.of("b"), None);
    innermost.forget("a");
    assert_eq!(innermost.of("a"), None);
    innermost.forget("a");
}

#[test]
fn of_two_spans_with_one_context_neither_is_taken_for_the_parent() {
    let innermost = Innermost::default();
    innermost.note("a", &span(1));
    innermost.note("a", &span(2));
    innermost.forget("a");
    assert_eq!(innermost.of("a"), None, "the other one may be meant as well");
    innermost.forget("a");
    innermost.note("a", &span(3));
    assert_eq!(innermost.of("a"), Some(span(3)));
}

#[test]
fn what_nobody_forgets_is_bounded_and_the_latest_stays() {
    let innermost = Innermost::default();
    for n in 1..=10 * GENERATION as u64 {
        innermost.note(&n.to_string(), &span(n));
    }
    let last = 10 * GENERATION as u64;
    assert_eq!(innermost.of(&last.to_string()), Some(span(last)));
    let generations = innermost.lock();
    assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
}
