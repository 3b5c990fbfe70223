//! Records to send, as bytes that are ready before the clock runs: only a number is written into them when they are
//! sent.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::data::flights::month;

/// Digits of the number that a record's id begins with.
const DIGITS: usize = 16;

/// Digits of a destination that is made up.
const PLACE_DIGITS: usize = 8;

/// An odd number: multiplying by it modulo 2^64 scatters numbers over the whole range and can be undone.
const SCATTER: u64 = 0x9E37_79B9_7F4A_7C15;

/// What undoes [`SCATTER`]: their product is 1 modulo 2^64.
const GATHER: u64 = 0xF1DE_83E1_9937_733D;

/// How ids follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Upwards, as ids that begin with a date do.
    Counted,
    /// All over the range, as random ones do.
    Scattered,
}

/// Which keys (destination and reference) the records have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Those of the flights: some 300.
    Flights,
    /// This many destinations, in no order.
    Spread(u64),
    /// One for all records.
    One,
}

/// An endless supply of records, each with an id of its own.
#[derive(Debug)]
pub struct Supply {
    templates: Vec<Template>,
    ids: Ids,
    keys: Keys,
}

/// A record whose id, and where it is made up also its destination, are still to be written.
#[derive(Debug)]
struct Template {
    body: Vec<u8>,
    id_at: usize,
    place_at: usize,
}

/// The next number that no record has had in this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Takes numbers for this many records.
#[must_use]
pub fn take(records: u64) -> Range<u64> {
    let first = NEXT.fetch_add(records, Ordering::Relaxed);
    first..first + records
}

/// Returns the number of the record with this id.
#[must_use]
pub fn number(id: &[u8], ids: Ids) -> Option<u64> {
    let digits = std::str::from_utf8(id.get(..DIGITS)?).ok()?;
    let written = u64::from_str_radix(digits, 16).ok()?;
    Some(match ids {
        Ids::Counted => written,
        Ids::Scattered => written.wrapping_mul(GATHER),
    })
}

impl Supply {
    /// Prepares the month of flights.
    ///
    /// # Panics
    /// The month is not what it was.
    #[must_use]
    pub fn new(ids: Ids, keys: Keys) -> Self {
        let templates = month().into_iter().map(|record| Template::new(record, keys)).collect();
        Self { templates, ids, keys }
    }

    /// Appends the n-th record in JSON.
    pub fn append(&self, n: u64, out: &mut Vec<u8>) {
        let template = self.template(n);
        let start = out.len();
        out.extend_from_slice(&template.body);
        self.number_at(n, template, &mut out[start..]);
    }

    /// Appends a whole `POST /v1/records` with the n-th record.
    pub fn append_request(&self, n: u64, out: &mut Vec<u8>) {
        append_head("/v1/records", "application/json", self.template(n).body.len(), out);
        self.append(n, out);
    }

    /// Returns a whole `POST /v1/records/batch` with these records as a JSON array.
    #[must_use]
    pub fn batch_request(&self, numbers: impl Iterator<Item = u64>) -> Vec<u8> {
        let mut body = vec![b'['];
        for n in numbers {
            if body.len() > 1 {
                body.push(b',');
            }
            self.append(n, &mut body);
        }
        body.push(b']');
        let mut request = Vec::with_capacity(body.len() + 200);
        append_head("/v1/records/batch?results=failed", "application/json", body.len(), &mut request);
        request.append(&mut body);
        request
    }

    /// Returns a whole `POST /v1/records/batch` with these records as NDJSON; the answer will be the four counts.
    #[must_use]
    pub fn lines_request(&self, numbers: impl Iterator<Item = u64>) -> Vec<u8> {
        let mut body = Vec::new();
        for n in numbers {
            self.append(n, &mut body);
            body.push(b'\n');
        }
        let mut request = Vec::with_capacity(body.len() + 200);
        append_head("/v1/records/batch?results=failed", "application/x-ndjson", body.len(), &mut request);
        request.append(&mut body);
        request
    }

    /// Returns the id of the n-th record.
    ///
    /// # Panics
    /// Never: ids are text without quotes.
    #[must_use]
    pub fn id(&self, n: u64) -> String {
        let mut body = Vec::new();
        self.append(n, &mut body);
        let id = body[self.template(n).id_at..].split(|byte| *byte == b'"').next().expect("split gives one at least");
        String::from_utf8(id.to_vec()).expect("ids are text")
    }

    /// Returns how the ids follow one another.
    #[must_use]
    pub fn ids(&self) -> Ids {
        self.ids
    }

    fn template(&self, n: u64) -> &Template {
        let index = n % self.templates.len() as u64;
        &self.templates[usize::try_from(index).expect("an index of the month")]
    }

    fn number_at(&self, n: u64, template: &Template, body: &mut [u8]) {
        let scattered = n.wrapping_mul(SCATTER);
        let written = match self.ids {
            Ids::Counted => n,
            Ids::Scattered => scattered,
        };
        write_hex(written, &mut body[template.id_at..template.id_at + DIGITS]);
        if let Keys::Spread(places) = self.keys {
            // The upper half: the lower one repeats soon modulo a power of two.
            write_hex((scattered >> 32) % places, &mut body[template.place_at..template.place_at + PLACE_DIGITS]);
        }
    }
}

impl Template {
    fn new(mut record: Value, keys: Keys) -> Self {
        let id = record["recordId"].as_str().expect("an id").to_owned();
        record["recordId"] = format!("{}-{id}", "0".repeat(DIGITS)).into();
        match keys {
            Keys::Flights => {}
            Keys::Spread(_) => record["destinationId"] = format!("D{}", "0".repeat(PLACE_DIGITS)).into(),
            Keys::One => {
                record["destinationId"] = "ONE".into();
                record["reference"] = "".into();
            }
        }
        let body = record.to_string();
        let behind = |name: &str| body.find(name).expect("a record has the field") + name.len();
        let (id_at, place_at) = (behind("\"recordId\":\""), behind("\"destinationId\":\"") + 1);
        Self { body: body.into_bytes(), id_at, place_at }
    }
}

/// Appends the head of a `POST` on a connection that is kept.
fn append_head(path: &str, media_type: &str, body_bytes: usize, out: &mut Vec<u8>) {
    for part in ["POST ", path, " HTTP/1.1\r\nHost: localhost\r\nContent-Type: ", media_type, "\r\nContent-Length: "] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(body_bytes.to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

/// Writes the lowest digits of a number, with leading zeros.
fn write_hex(mut number: u64, into: &mut [u8]) {
    for digit in into.iter_mut().rev() {
        *digit = b"0123456789abcdef"[usize::try_from(number & 15).expect("four bits")];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests;
