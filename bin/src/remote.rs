//! A service that is asked over HTTP, instead of the configured database.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use crate::cli::RemoteArgs;
use crate::settings::{Environment, Secret, mask};

/// How long a service may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a service may be silent: twice as long as it takes for a comment in a silent stream, and more.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest part of an answer that is quoted in an error.
const QUOTED_BYTES: usize = 16 * 1024;

/// A service by its address.
#[derive(Clone)]
pub(crate) struct Remote {
    client: Client,
    base: Url,
    key: Option<Secret>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Remote {
    /// Understands what was asked for; `None` where no service was.
    ///
    /// # Errors
    /// The address is none, or the authorities to trust can't be read.
    pub(crate) fn of(args: &RemoteArgs, environment: &Environment) -> anyhow::Result<Option<Self>> {
        let Some(url) = &args.url else { return Ok(None) };
        let shown = mask(url);
        let mut base =
            Url::parse(url).with_context(|| format!("--url {shown} is no URL, such as http://127.0.0.1:8080"))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            bail!("--url {shown} must begin with http:// or https://");
        }
        // Joining paths would drop the last part of a path without a slash.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut client = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        if let Some(file) = args.ca_file.clone().or_else(|| environment.ca_file()) {
            // Who names the authorities means these and no others.
            client = client.tls_built_in_root_certs(false);
            for authority in authorities(&file)? {
                client = client.add_root_certificate(authority);
            }
        }
        let key = args.key.clone().or_else(|| environment.key());
        Ok(Some(Self { client: client.build().context("the HTTP client can't be started")?, base, key }))
    }

    /// Returns the address, without a password.
    pub(crate) fn address(&self) -> String {
        mask(self.base.as_str())
    }

    /// Begins a question.
    pub(crate) fn get(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<RequestBuilder> {
        Ok(self.with_key(self.client.get(self.at(path)?).query(parameters)))
    }

    /// Begins a write.
    pub(crate) fn post(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<RequestBuilder> {
        Ok(self.with_key(self.client.post(self.at(path)?).query(parameters)))
    }

    /// Sends a request, and returns the answer if it is a success.
    ///
    /// # Errors
    /// The service can't be reached, or says no; then the error is its own words.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    /// Says that the service can't be reached.
    pub(crate) fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        // The address is said once, and without its password.
        anyhow::Error::new(error.without_url()).context(format!("the service at {} can't be reached", self.address()))
    }

    /// Says that an answer broke off.
    pub(crate) fn broke_off(&self, error: reqwest::Error) -> anyhow::Error {
        anyhow::Error::new(error.without_url())
            .context(format!("the answer of the service at {} broke off", self.address()))
    }

    /// Says in the service's own words why it refuses.
    pub(crate) async fn refusal(&self, response: Response) -> anyhow::Error {
        let status = response.status();
        let detail = match head_of(response).await {
            Some(head) => {
                serde_json::from_slice::<Problem>(&head).ok().and_then(|problem| problem.detail.or(problem.title))
            }
            None => None,
        };
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; give a key with --key or TALLYHOUSE_KEY",
            StatusCode::NOT_FOUND => "; is that address a Tallyhouse?",
            _ => "",
        };
        let detail = detail.map(|detail| format!(": {}", detail.trim_end_matches('.'))).unwrap_or_default();
        anyhow!("the service at {} answers {status}{detail}{hint}", self.address())
    }

    fn at(&self, path: &str) -> anyhow::Result<Url> {
        self.base.join(path).with_context(|| format!("{path} is no path"))
    }

    fn with_key(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.reveal()),
            None => request,
        }
    }
}

/// Reads the authorities that are trusted instead of the public ones.
fn authorities(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let name = file.display();
    let pem = std::fs::read(file).with_context(|| format!("the file of authorities {name} can't be read"))?;
    let authorities = Certificate::from_pem_bundle(&pem).with_context(|| format!("{name} is not PEM"))?;
    if authorities.is_empty() {
        bail!("the file of authorities {name} holds no certificate in PEM");
    }
    Ok(authorities)
}

/// What is read of a problem document (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

async fn head_of(mut response: Response) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while let Some(part) = response.chunk().await.ok()? {
        head.extend_from_slice(&part);
        if head.len() > QUOTED_BYTES {
            return None;
        }
    }
    Some(head)
}

#[cfg(test)]
mod tests;
