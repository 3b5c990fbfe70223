//! An HTTP client that keeps everything of an answer, and knows what every problem document owes.

use std::time::Duration;

use reqwest::blocking::RequestBuilder;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde_json::Value;

/// How long an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);

/// A client of one service.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::blocking::Client,
}

impl Client {
    /// Makes a client of the service at this URL.
    ///
    /// # Panics
    /// Never: the settings are fixed.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let http = reqwest::blocking::Client::builder()
            .gzip(false)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ANSWER_PATIENCE)
            .build()
            .expect("a client without options can be made");
        Self { base: base.trim_end_matches('/').to_owned(), http }
    }

    /// Begins a request that needs more than the short forms give.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("the test knows its methods");
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Asks for a path.
    ///
    /// # Panics
    /// There is no answer.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        send(self.request("GET", path))
    }

    /// Posts a body as JSON.
    ///
    /// # Panics
    /// There is no answer.
    #[track_caller]
    pub fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.post_as("application/json", path, body)
    }

    /// Posts a body of some media type.
    ///
    /// # Panics
    /// There is no answer.
    #[track_caller]
    pub fn post_as(&self, media_type: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        send(self.request("POST", path).header("content-type", media_type).body(body.into()))
    }

    /// Posts one record.
    ///
    /// # Panics
    /// There is no answer.
    #[track_caller]
    pub fn record(&self, record: &Value) -> Answer {
        self.post("/v1/records", record.to_string())
    }

    /// Posts records as one JSON batch, and returns the answer's JSON.
    ///
    /// # Panics
    /// The answer is not a `200`.
    #[track_caller]
    pub fn batch(&self, records: &[Value]) -> Value {
        let answer = self.post("/v1/records/batch", Value::from(records).to_string());
        answer.expect_status(200).json()
    }

    /// Posts records as NDJSON, and returns the lines of the answer.
    ///
    /// # Panics
    /// The answer is not a `200`.
    #[track_caller]
    pub fn lines(&self, query: &str, body: impl Into<Vec<u8>>) -> Vec<Value> {
        let answer = self.post_as("application/x-ndjson", &format!("/v1/records/batch{query}"), body);
        answer.expect_status(200).json_lines()
    }

    /// Reads all pages that begin at this path, following the links.
    ///
    /// # Panics
    /// An answer is not a `200`, or a link leads elsewhere.
    #[track_caller]
    pub fn pages(&self, path: &str) -> Vec<Value> {
        let mut pages = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let answer = self.get(&path).expect_status(200);
            next = answer.next_link();
            pages.push(answer.json());
        }
        pages
    }
}

/// Sends a request and reads the whole answer.
///
/// # Panics
/// There is no answer.
#[track_caller]
pub fn send(request: RequestBuilder) -> Answer {
    try_send(request).unwrap_or_else(|error| panic!("no answer: {error:?}"))
}

/// Sends a request and reads the whole answer.
///
/// # Errors
/// The connection broke.
pub fn try_send(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let url = response.url().clone();
    Ok(Answer { url, status, headers, body: response.bytes()?.to_vec() })
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The address of the call.
    pub url: Url,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns a header's text; where it is given several times, the first.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the body as text.
    ///
    /// # Panics
    /// It is not UTF-8.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("an answer is UTF-8")
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// It is something else.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {:?}", self.text()))
    }

    /// Returns the lines of the body, each as JSON.
    ///
    /// # Panics
    /// One is something else.
    #[must_use]
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let text = self.text();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is not ended: {text:?}");
        let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line:?}"));
        text.lines().map(line).collect()
    }

    /// Checks the status.
    ///
    /// # Panics
    /// It is another one.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Checks that the answer is the problem of this status and code, with all that a problem owes, and returns it.
    ///
    /// # Panics
    /// It is not.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        check_problem(&problem, status, code);
        let request_id = self.header("x-request-id").unwrap_or_default();
        assert!(!request_id.is_empty(), "every answer bears X-Request-Id: {:?}", self.headers);
        problem
    }

    /// Returns the path and query of the link to the next page.
    ///
    /// # Panics
    /// There is a `Link` header of another form.
    #[must_use]
    #[track_caller]
    pub fn next_link(&self) -> Option<String> {
        let link = self.header("link")?;
        let target = link.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(target, rel)| {
            assert_eq!(rel.trim_start_matches(';').trim(), "rel=\"next\"", "{link}");
            target
        });
        let target = target.unwrap_or_else(|| panic!("not a link: {link}"));
        // A relative reference and an absolute one are both links.
        let address = self.url.join(target).unwrap_or_else(|error| panic!("{error}: {link}"));
        assert_eq!(address.origin(), self.url.origin(), "a link to somewhere else: {link}");
        Some(format!("{}?{}", address.path(), address.query().unwrap_or_default()))
    }
}

/// Checks that a JSON value is the problem of this status and code.
///
/// # Panics
/// It is not.
#[track_caller]
pub fn check_problem(problem: &Value, status: u16, code: &str) {
    assert_eq!(problem["type"], format!("urn:tallyhouse:problem:{code}"), "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    for member in ["title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} is missing: {problem}");
    }
}
