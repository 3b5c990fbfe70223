//! Single fields are parsed and formatted exactly as the oracle says.

use bigdecimal::BigDecimal;
use tallyhouse_pipeline::{DestinationId, Position, RecordId, Reference, Sum, Timestamp, Unit, Value};

use crate::oracle::{self, field, instant, written};

/// Checks a text as a value, as a time and as an identifier.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    value(text);
    time(text);
    let kept = |name: &str| field(name, text).is_some();
    assert_eq!(RecordId::new(text).is_ok(), kept("recordId"));
    assert_eq!(DestinationId::new(text).is_ok(), kept("destinationId"));
    assert_eq!(Unit::new(text).is_ok(), kept("unit"));
    assert_eq!(Reference::new(text).is_ok(), kept("reference"));
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
}

fn value(text: &str) {
    let found = Value::parse(text);
    assert_eq!(found.ok().map(|value| value.to_string()), oracle::plain(text));
    let Ok(value) = found else { return };
    // It takes no zero with an exponent beyond 64 bits.
    if let Ok(exact) = text.parse::<BigDecimal>() {
        let (digits, scale) = value.parts();
        assert_eq!(exact, BigDecimal::new(digits.into(), scale.into()), "a value is never rounded");
    }
    let mut sum = Sum::ZERO;
    sum.add(value);
    assert_eq!(sum.to_string(), value.to_string(), "a sum of one is that one");
}

fn time(text: &str) {
    let (found, expected) = (Timestamp::parse(text).ok(), instant(text));
    assert_eq!(found.map(Timestamp::as_micros), expected.map(|(micros, _)| micros));
    let bound = Timestamp::parse_bound(text).ok().map(Timestamp::as_micros);
    assert_eq!(bound, expected.map(|(micros, finer)| micros + i64::from(finer)), "a bound rounds up");
    if let Some(time) = found {
        assert_eq!(Some(time.to_string()), written(time.as_micros()));
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
    }
}
