//! A session of WebDriver (W3C Recommendation of 2018, and what chromedriver adds to it): JSON over HTTP.
//!
//! Written here because the libraries for it bring a dozen packages and a second HTTP client for these few calls.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::{Value, json};

/// How long the browser may take for one call: on a busy machine, starting takes the longest.
const CALL_PATIENCE: Duration = Duration::from_secs(60);

/// The member that holds the name of an element (section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// An open session: one browser with one page. It ends with its driver.
#[derive(Debug)]
pub(super) struct Session {
    http: Client,
    url: String,
}

impl Session {
    /// Starts a browser by the driver at this URL.
    pub(super) fn begin(driver: &str, capabilities: &Value) -> Result<Self> {
        let http = Client::builder().no_proxy().timeout(CALL_PATIENCE).build()?;
        let mut session = Self { http, url: format!("{driver}/session") };
        let begun = session.call(Method::POST, "", &json!({"capabilities": {"alwaysMatch": capabilities}}))?;
        let id = begun["sessionId"].as_str().context("a session has an id")?;
        session.url = format!("{}/{id}", session.url);
        Ok(session)
    }

    /// Makes a call that tells the browser to do something, and returns what comes of it.
    pub(super) fn tell(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, body)
    }

    /// Makes a call that asks the browser for something.
    pub(super) fn ask(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, &Value::Null)
    }

    /// Runs the body of a function in the page; its arguments are there as `arguments`.
    pub(super) fn run(&self, script: &str, args: &[Value]) -> Result<Value> {
        self.tell("/execute/sync", &json!({"script": script, "args": args}))
    }

    fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !body.is_null() {
            request = request.json(body);
        }
        let mut answer: Value = request.send()?.json()?;
        let value = answer["value"].take();
        if let Some(error) = value["error"].as_str().filter(|_| value["message"].is_string()) {
            let message = value["message"].as_str().unwrap_or_default();
            bail!("{error}: {}", message.lines().next().unwrap_or_default());
        }
        Ok(value)
    }
}

/// Returns the path of the calls to an element that a script has returned, or none where it is something else.
pub(super) fn element(found: &Value) -> Option<String> {
    found[ELEMENT].as_str().map(|id| format!("/element/{id}"))
}
