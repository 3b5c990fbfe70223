//! A value, written out plainly by moving the point in its text.

use super::{Json, parse};

/// Most digits from the first that is not zero, and most decimal places.
const LENGTH_MAX: usize = 28;

/// Returns the decimal that a text is, written out plainly; `None` where it is none, has a sign, or is too long.
pub(crate) fn plain(text: &str) -> Option<String> {
    // The grammar is that of a JSON number, without JSON's white space and signs.
    let is_number = parse(text.as_bytes()) == Some(Json::Number(text.to_owned()));
    if !is_number || text.starts_with('-') {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (whole, fraction) = moved(whole, fraction, exponent);
    let whole = whole.trim_start_matches('0');
    let digits = format!("{whole}{fraction}").trim_start_matches('0').len();
    if digits > LENGTH_MAX || fraction.len() > LENGTH_MAX {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// Moves the point between two rows of digits.
fn moved(whole: &str, fraction: &str, exponent: &str) -> (String, String) {
    // Further than this, the result is too long or is zero, however far it goes.
    let far = whole.len() + fraction.len() + 2 * LENGTH_MAX;
    let back = exponent.starts_with('-');
    let steps = exponent.trim_start_matches(['+', '-']).parse::<usize>().map_or(far, |steps| steps.min(far));
    if back {
        let padded = format!("{}{whole}", "0".repeat(steps));
        let (whole, moved) = padded.split_at(padded.len() - steps);
        return (whole.to_owned(), format!("{moved}{fraction}"));
    }
    // A zero to the left of the point stands for no place to the right of it.
    let padded = format!("{fraction}{}", "0".repeat(steps.saturating_sub(fraction.len())));
    let (moved, fraction) = padded.split_at(steps);
    (format!("{whole}{moved}"), fraction.to_owned())
}
