//! Query parameters: `application/x-www-form-urlencoded`, each known, each at most once.

use hyper::header::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tallyhouse_pipeline::{DestinationId, Filter, RecordType, Reference, SourceId, Timestamp, Unit};

use crate::exchange::response::problem::Problem;

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The default and the greatest `limit` of a page.
pub(crate) const PAGE: usize = 100;
pub(crate) const PAGE_MAX: usize = 1_000;

/// The parameters that make a filter.
const FILTER: [&str; 7] = ["start", "end", "type", "destinationId", "sourceId", "reference", "unit"];

/// The parameters of a request, decoded.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query. A plus sign is a space, as in forms; a parameter that is not `known` is refused.
    pub(crate) fn read(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = Vec::<(String, String)>::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true).map_err(|reason| Problem::parameter(name, reason))?;
            let value = decode(value, true).map_err(|reason| Problem::parameter(&name, reason))?;
            if !known.contains(&name.as_str()) {
                return Err(Problem::parameter(&name, "is unknown here"));
            }
            if parameters.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Problem::parameter(&name, "must be given once only"));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// Reads a query, whose parameters may also be those of a filter.
    pub(crate) fn read_with_filter(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let known: Vec<&str> = FILTER.iter().chain(known).copied().collect();
        Self::read(query, &known)
    }

    /// Refuses every parameter.
    pub(crate) fn none(query: &str) -> Result<(), Problem> {
        Self::read(query, &[]).map(|_empty| ())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads a parameter by `parse`, if it is there.
    pub(crate) fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.text(name).map(parse).transpose().map_err(|reason| Problem::parameter(name, reason))
    }

    /// Reads `limit` for pages of the usual size.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        Ok(self.limit_to(PAGE_MAX)?.unwrap_or(PAGE))
    }

    /// Reads `limit`, from 1 to `max`.
    pub(crate) fn limit_to(&self, max: usize) -> Result<Option<usize>, Problem> {
        self.parsed("limit", |text| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let limit = text.parse().ok().filter(|limit| digits && (1..=max).contains(limit));
            limit.ok_or_else(|| format!("must be a number from 1 to {max}"))
        })
    }

    /// Reads a parameter that is one of a few words.
    pub(crate) fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        self.parsed(name, |text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
            let listed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            found.ok_or_else(|| format!("must be one of: {}", listed.join(", ")))
        })
    }

    /// Reads the filter.
    pub(crate) fn filter(&self) -> Result<Filter, Problem> {
        Ok(Filter {
            start: self.parsed("start", bound)?,
            end: self.parsed("end", bound)?,
            record_type: self
                .one_of("type", &[("positive", RecordType::Positive), ("negative", RecordType::Negative)])?,
            destination_id: self.parsed("destinationId", DestinationId::new)?,
            source_id: self.parsed("sourceId", SourceId::new)?,
            reference: self.parsed("reference", Reference::new)?,
            unit: self.parsed("unit", Unit::new)?,
        })
    }

    /// Writes the `Link` to the next page as a header.
    pub(crate) fn next_link(&self, cursor: &str) -> HeaderValue {
        HeaderValue::try_from(self.link_to_next(cursor)).expect("an encoded address is fit for a header")
    }

    /// Writes the `Link` to the next page: the same parameters, with this cursor. It is a reference relative to the
    /// request's address (RFC 3986, section 5.2), which holds behind a proxy that serves this service under a path.
    pub(crate) fn link_to_next(&self, cursor: &str) -> String {
        let mut link = "<?".to_owned();
        for (name, value) in self.0.iter().filter(|(name, _)| name != "cursor") {
            link.extend(utf8_percent_encode(name, RESERVED));
            link.push('=');
            link.extend(utf8_percent_encode(value, RESERVED));
            link.push('&');
        }
        link.push_str("cursor=");
        link.push_str(cursor);
        link.push_str(">; rel=\"next\"");
        link
    }
}

/// Reads a bound. A bound holds no space, so a space can only be an unencoded plus sign of an offset.
fn bound(text: &str) -> Result<Timestamp, tallyhouse_pipeline::TimestampError> {
    Timestamp::parse_bound(&text.replace(' ', "+"))
}

/// Decodes percent-encoded UTF-8. In a `form` a plus sign is a space.
pub(crate) fn decode(text: &str, form: bool) -> Result<String, &'static str> {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let mut escapes = bytes.iter().enumerate().filter(|(_, b)| **b == b'%');
    if !escapes.all(|(at, _)| hex(at + 1) && hex(at + 2)) {
        return Err("has a percent sign without two hexadecimal digits");
    }
    let spaced = if form { text.replace('+', " ") } else { text.to_owned() };
    percent_decode_str(&spaced).decode_utf8().map(Into::into).map_err(|_| "is not UTF-8 when decoded")
}

#[cfg(test)]
mod tests;
