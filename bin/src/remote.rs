//! A client of a running service, for commands with `--url`.

mod retries;
mod unreachable;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;

use tallyhouse_http::pem_fault;

use crate::cli::RemoteArgs;
use crate::settings::{Environment, Secret, mask};

pub(crate) use retries::{Retries, retry_after};
pub(crate) use unreachable::is_lasting;

/// The deadline of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a service may be silent. An idle event stream sends a comment every 15 seconds by default.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest error document that is read.
const QUOTED_BYTES: usize = 16 * 1024;

/// A client of the service at one address.
#[derive(Clone)]
pub(crate) struct Remote {
    client: Client,
    base: Url,
    key: Option<Secret>,
    /// The proxy through which the service is called, without a password.
    proxy: Option<String>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Remote {
    /// Builds a client from the flags; `None` without `--url`.
    ///
    /// # Errors
    /// The URL is wrong, or the file of authorities can't be read.
    pub(crate) fn of(args: &RemoteArgs, environment: &Environment) -> anyhow::Result<Option<Self>> {
        let Some(url) = &args.url else { return Ok(None) };
        let shown = mask(url);
        let mut base =
            Url::parse(url).with_context(|| format!("--url {shown} is not a URL, such as http://127.0.0.1:8080"))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            bail!("--url {shown} must begin with http:// or https://");
        }
        // `Url::join` replaces the last segment of a path that does not end in a slash.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut client = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        if let Some(file) = args.ca_file.clone().or_else(|| environment.ca_file()) {
            // Named authorities replace the public ones.
            client = client.tls_built_in_root_certs(false);
            for authority in authorities(&file)? {
                client = client.add_root_certificate(authority);
            }
        }
        let key = args.key.clone().or_else(|| environment.key());
        Ok(Some(Self {
            client: client.build().context("the HTTP client can't be started")?,
            proxy: proxy_of(&base),
            base,
            key,
        }))
    }

    /// Builds a client of the service on this machine. Its certificate is not verified: it names the host that others use,
    /// and nothing secret is sent.
    ///
    /// # Errors
    /// The URL is wrong.
    pub(crate) fn to_this_machine(args: &RemoteArgs) -> anyhow::Result<Self> {
        let url = args.url.as_deref().unwrap_or_default();
        let base = Url::parse(url).with_context(|| format!("{url} is not a URL; is the setting listen right?"))?;
        let client = Client::builder().no_proxy().danger_accept_invalid_certs(true).build();
        Ok(Self { client: client.context("the HTTP client can't be started")?, base, key: None, proxy: None })
    }

    /// Calls `/readyz`. Returns whether the service is ready, and the response.
    ///
    /// # Errors
    /// The service can't be reached, or the response is interrupted.
    pub(crate) async fn readiness(&self) -> anyhow::Result<(bool, String)> {
        let response = self.get("readyz", &[])?.send().await.map_err(|error| self.unreachable(error))?;
        let ready = response.status().is_success();
        let status = response.status();
        let head = head_of(response).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&head).into_owned();
        Ok((ready, if text.is_empty() { status.to_string() } else { text }))
    }

    /// Returns the address, without a password.
    pub(crate) fn address(&self) -> String {
        mask(self.base.as_str())
    }

    /// Prepares a `GET`.
    pub(crate) fn get(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<RequestBuilder> {
        Ok(self.with_key(self.client.get(self.at(path)?).query(parameters)))
    }

    /// Prepares a `POST`.
    pub(crate) fn post(&self, path: &str, parameters: &[(&str, String)]) -> anyhow::Result<RequestBuilder> {
        Ok(self.with_key(self.client.post(self.at(path)?).query(parameters)))
    }

    /// Sends a request that reads, and returns a successful response. Sends it again when the service asks for that by
    /// `Retry-After`.
    ///
    /// # Errors
    /// The service can't be reached, or refuses; then the error quotes its problem document.
    pub(crate) async fn send(&self, mut request: RequestBuilder) -> anyhow::Result<Response> {
        let mut retries = Retries::new();
        loop {
            let again = request.try_clone();
            let response = request.send().await.map_err(|error| self.unreachable(error))?;
            if response.status().is_success() {
                return Ok(response);
            }
            let wait = retry_after(&response).and_then(|asked| retries.next(Some(asked)));
            let error = self.refusal(response).await;
            let (Some(wait), Some(next)) = (wait, again) else { return Err(error) };
            tracing::warn!(error = format!("{error:#}"), "a request is sent again");
            tokio::time::sleep(wait).await;
            request = next;
        }
    }

    /// Makes the error of a failed connection.
    pub(crate) fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        // The context holds the masked address: the cause must not repeat it with its password.
        let error = error.without_url();
        // A remedy would be for the service, but a proxy may have failed.
        let remedy = if self.proxy.is_none() { unreachable::remedy(&error) } else { None };
        let cause = remedy.map_or_else(|| anyhow::Error::new(error), |remedy| anyhow!(remedy));
        cause.context(format!("the service at {} can't be reached{}", self.address(), self.proxy_hint()))
    }

    /// Makes the error of an interrupted response.
    pub(crate) fn interrupted(&self, error: reqwest::Error) -> anyhow::Error {
        anyhow::Error::new(error.without_url())
            .context(format!("the answer of the service at {} was interrupted", self.address()))
    }

    /// Makes the error of a refusal, with the detail of its problem document.
    pub(crate) async fn refusal(&self, response: Response) -> anyhow::Error {
        let status = response.status();
        let detail = match head_of(response).await {
            Some(head) => {
                serde_json::from_slice::<Problem>(&head).ok().and_then(|problem| problem.detail.or(problem.title))
            }
            None => None,
        };
        let hint = match status {
            StatusCode::UNAUTHORIZED if self.key.is_some() => "; the key that was given is not known to the service",
            StatusCode::UNAUTHORIZED => "; give a key with --key or TALLYHOUSE_KEY",
            StatusCode::FORBIDDEN if self.key.is_some() => "; give another key with --key or TALLYHOUSE_KEY",
            StatusCode::NOT_FOUND => "; is there a Tallyhouse at that address?",
            _ => "",
        };
        let detail = detail.map(|detail| format!(": {}", detail.trim_end_matches('.'))).unwrap_or_default();
        // A response without a problem document may be the proxy's own.
        let proxy_hint = if detail.is_empty() { self.proxy_hint() } else { String::new() };
        anyhow!("the service at {}{proxy_hint} answers {status}{detail}{hint}", self.address())
    }

    /// Names the proxy: a user may not know about a proxy from the environment.
    fn proxy_hint(&self) -> String {
        let named =
            |proxy| format!(" through the proxy {proxy}, which the environment names (NO_PROXY excludes hosts)");
        self.proxy.as_ref().map(named).unwrap_or_default()
    }

    fn at(&self, path: &str) -> anyhow::Result<Url> {
        self.base.join(path).with_context(|| format!("{path} is not a path"))
    }

    fn with_key(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }
}

/// Finds the proxy that the client calls an address through: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
fn proxy_of(base: &Url) -> Option<String> {
    let proxy = Matcher::from_env().intercept(&base.as_str().parse().ok()?)?;
    Some(mask(&proxy.uri().to_string()))
}

/// Reads certificate authorities from a PEM file.
fn authorities(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let name = file.display();
    let pem = std::fs::read(file).with_context(|| format!("the file of authorities {name} can't be read"))?;
    if let Some(fault) = pem_fault(&pem) {
        bail!("the file of authorities {name} can't be read: {fault}");
    }
    let authorities = Certificate::from_pem_bundle(&pem).with_context(|| format!("{name} is not PEM"))?;
    if authorities.is_empty() {
        bail!("the file of authorities {name} holds no certificate in PEM");
    }
    Ok(authorities)
}

/// The part of a problem document (RFC 9457) that is shown.
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
