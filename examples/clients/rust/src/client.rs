//! The client. It retries temporary failures: a record that was processed is recognised, so a repeat changes nothing.
//! Values and sums are texts: make decimals of them, never floats.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::header::{CONTENT_TYPE, LINK, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

/// Most attempts of a call by default.
pub(crate) const TRIES: u32 = 10;

/// The longest wait between attempts if the service does not say how long.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A record, as it is sent: the schema `Record`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) record_id: String,
    pub(crate) time: String,
    pub(crate) source_id: String,
    pub(crate) destination_id: String,
    #[serde(rename = "type")]
    pub(crate) record_type: String,
    pub(crate) value: String,
    pub(crate) unit: String,
    pub(crate) reference: String,
}

/// The result of a record: the common members of the schemas `Processed` and `Duplicate`.
#[derive(Debug, Deserialize)]
pub(crate) struct Written {
    pub(crate) outcome: String,
}

/// The number of records by outcome: the schema `Counts`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Counts {
    pub(crate) processed: u64,
    pub(crate) duplicates: u64,
    pub(crate) conflicts: u64,
    pub(crate) rejected: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.processed += other.processed;
        self.duplicates += other.duplicates;
        self.conflicts += other.conflicts;
        self.rejected += other.rejected;
    }
}

/// A record of a batch that was refused: the schemas `BatchConflict` and `BatchRejected`.
#[derive(Debug, Deserialize)]
pub(crate) struct Refused {
    pub(crate) index: usize,
    pub(crate) outcome: String,
    pub(crate) error: Problem,
}

/// A problem document (RFC 9457).
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    pub(crate) detail: String,
}

/// The result of a batch.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) refused: Vec<Refused>,
    pub(crate) counts: Counts,
}

/// A page of the schema `Aggregates`.
#[derive(Debug, Deserialize)]
struct Aggregates {
    groups: Vec<Group>,
}

/// A destination with its totals: the schema `Group`, without its records.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    pub(crate) destination_id: String,
    pub(crate) totals: Vec<UnitTotal>,
}

/// The totals of one unit: the schema `UnitTotal`.
#[derive(Debug, Deserialize)]
pub(crate) struct UnitTotal {
    pub(crate) unit: String,
    pub(crate) count: u64,
    pub(crate) net: String,
}

/// A client of one service.
#[derive(Debug)]
pub(crate) struct Client {
    url: String,
    key: Option<String>,
    tries: u32,
    http: reqwest::blocking::Client,
}

impl Client {
    /// How many records go into one request: enough to make its overhead small, few enough to be sent again.
    pub(crate) const CHUNK: usize = 1_000;

    pub(crate) fn new(url: &str, key: Option<String>, tries: u32) -> Result<Self> {
        let is_http = url.starts_with("http://") || url.starts_with("https://");
        anyhow::ensure!(is_http, "{url} does not begin with http:// or https://");
        let http = reqwest::blocking::Client::builder().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), key, tries, http })
    }

    /// Processes one record; a repeat is a success, a conflict or a bad record is an error.
    pub(crate) fn write(&self, record: &Record) -> Result<Written> {
        let body = serde_json::to_string(record)?;
        let answer = self.call(Method::POST, "/v1/records", Some(("application/json", &body)))?;
        Ok(serde_json::from_str(&answer.text()?)?)
    }

    /// Processes up to [`Client::CHUNK`] records, each by itself.
    pub(crate) fn load(&self, records: &[Record]) -> Result<Loaded> {
        let lines = records.iter().map(serde_json::to_string).collect::<Result<Vec<String>, _>>()?;
        let body = lines.join("\n");
        let target = "/v1/records/batch?results=failed";
        let answer = self.call(Method::POST, target, Some(("application/x-ndjson", &body)))?.text()?;
        // The results of the refused ones, and then the counts.
        let mut lines: Vec<&str> = answer.lines().collect();
        let counts = serde_json::from_str(lines.pop().context("the answer has no counts")?)?;
        let refused = lines.into_iter().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Loaded { refused, counts })
    }

    /// Reads the destinations that match with their exact totals, page by page.
    pub(crate) fn groups(&self, filters: &[(&str, &str)]) -> Result<Vec<Group>> {
        let first =
            reqwest::Url::parse_with_params(&format!("{}/v1/aggregates?records=false&limit=500", self.url), filters)?;
        let mut next = Some(format!("{}?{}", first.path(), first.query().unwrap_or_default()));
        let mut groups = Vec::new();
        while let Some(target) = next {
            let answer = self.call(Method::GET, &target, None)?;
            next = next_page(&answer);
            groups.extend(serde_json::from_str::<Aggregates>(&answer.text()?)?.groups);
        }
        Ok(groups)
    }

    /// Makes a call, and retries it while it may succeed later.
    fn call(&self, method: Method, target: &str, body: Option<(&str, &str)>) -> Result<Response> {
        let mut attempt = 1;
        loop {
            let mut request: RequestBuilder = self.http.request(method.clone(), format!("{}{target}", self.url));
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            if let Some((media_type, body)) = body {
                request = request.header(CONTENT_TYPE, media_type).body(body.to_owned());
            }
            let wait = WAIT_MAX.min(Duration::from_millis(100) * 2_u32.saturating_pow(attempt));
            let wait = match request.send() {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) if is_repeatable(answer.status()) && attempt < self.tries => said(&answer).unwrap_or(wait),
                Ok(answer) => {
                    let status = answer.status();
                    let problem = answer.text()?;
                    let detail = serde_json::from_str(&problem).map_or(problem, |problem: Problem| problem.detail);
                    anyhow::bail!("{method} {target}: {status}: {detail}");
                }
                Err(_) if attempt < self.tries => wait,
                Err(error) => return Err(error.into()),
            };
            sleep(wait);
            attempt += 1;
        }
    }
}

fn is_repeatable(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// The wait that the service asks for.
fn said(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// `Link: <?cursor=…>; rel="next"`, relative to the address of the call.
fn next_page(answer: &Response) -> Option<String> {
    let link = answer.headers().get(LINK)?.to_str().ok()?;
    let (target, _) = link.strip_prefix('<')?.split_once('>')?;
    let address = answer.url().join(target).ok()?;
    Some(format!("{}?{}", address.path(), address.query().unwrap_or_default()))
}
