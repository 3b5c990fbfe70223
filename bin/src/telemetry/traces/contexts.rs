//! Converts `traceparent` texts to and from OpenTelemetry's span contexts.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Most traces that get a span of one batch: a batch may hold a thousand records, each of a trace of its own.
pub(super) const CONTEXTS_MAX: usize = 64;

/// Parses a `traceparent` that an ingress has validated.
pub(super) fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    // Only the flag "sampled" is defined for all versions.
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// Writes a context as a `traceparent`.
pub(super) fn write(context: &SpanContext) -> String {
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), flags)
}

/// Returns the distinct sampled contexts in their order, [`CONTEXTS_MAX`] at most.
pub(super) fn sampled<'a>(traceparents: impl Iterator<Item = Option<&'a str>>) -> Vec<(&'a str, SpanContext)> {
    let mut found: Vec<(&str, SpanContext)> = Vec::new();
    let mut last = None;
    // The records of one request are neighbours and share a context: skip repeats before the search.
    for traceparent in traceparents.flatten().filter(|traceparent| last.replace(*traceparent) != Some(*traceparent)) {
        if found.len() == CONTEXTS_MAX {
            break;
        }
        let context = parse(traceparent).filter(SpanContext::is_sampled);
        if let Some(context) = context.filter(|_| found.iter().all(|(known, _)| *known != traceparent)) {
            found.push((traceparent, context));
        }
    }
    found
}

#[cfg(test)]
mod tests;
