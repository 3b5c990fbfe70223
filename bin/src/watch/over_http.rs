//! Messages from a service over HTTP: an event stream that is resumed where it broke off.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::ACCEPT;
use reqwest::{Response, StatusCode};
use tallyhouse_pipeline::Topic;

use super::events::{Event, Events};
use super::print;
use crate::output::Output;
use crate::remote::Remote;

/// How long to wait before the first attempt to come back, and at most.
const WAIT_MIN: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The position before every message.
const START: &str = "0";

/// Prints messages as they come, for ever.
///
/// # Errors
/// The service can't be reached the first time, or refuses. Later it is waited for.
pub(super) async fn follow(remote: &Remote, topic: Topic, after: Option<&str>) -> anyhow::Result<()> {
    let mut follower = Follower { remote, topic, last: after.map(str::to_owned), out: Output::standard() };
    let mut response = follower.connect().await?.map_err(|away| away.context("nothing to follow"))?;
    let mut wait = WAIT_MIN;
    loop {
        let (came, ended) = follower.print_all(response).await?;
        if came {
            wait = WAIT_MIN;
        }
        if let Some(error) = ended {
            tracing::warn!(error = format!("{error:#}"), "the stream broke off, and is resumed");
        }
        response = loop {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
            match follower.connect().await? {
                Ok(response) => break response,
                Err(away) => tracing::warn!(error = format!("{away:#}"), "the service is away, and is asked again"),
            }
        };
    }
}

struct Follower<'a> {
    remote: &'a Remote,
    topic: Topic,
    /// The position of the last message, where the next attempt begins.
    last: Option<String>,
    out: Output,
}

impl Follower<'_> {
    /// Connects; the inner error is one that may pass.
    async fn connect(&mut self) -> anyhow::Result<Result<Response, anyhow::Error>> {
        let path = format!("v1/{}/stream", self.topic.name());
        let mut request = self.remote.get(&path, &[])?.header(ACCEPT, "text/event-stream");
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last.as_str());
        }
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(Ok(response)),
            Ok(response) if response.status().is_server_error() || response.status().as_u16() == 429 => {
                Ok(Err(self.remote.refusal(response).await))
            }
            Ok(response) if response.status() == StatusCode::GONE && self.last.as_deref() != Some(START) => {
                tracing::warn!(
                    after = self.last,
                    "the history has changed, as when a backup is restored: starting over"
                );
                self.last = Some(START.to_owned());
                Box::pin(self.connect()).await
            }
            Ok(response) => Err(self.remote.refusal(response).await),
            Err(error) if error.is_builder() => bail!("--after is no position"),
            Err(error) => Ok(Err(self.remote.unreachable(error))),
        }
    }

    /// Prints what comes until the stream ends; says whether anything came, and why it ended if that was no good end.
    async fn print_all(&mut self, mut response: Response) -> anyhow::Result<(bool, Option<anyhow::Error>)> {
        let mut events = Events::default();
        let mut came = false;
        loop {
            match response.chunk().await {
                Ok(Some(part)) => events.feed(&part).context("the service's stream is not understood")?,
                Ok(None) => return Ok((came, None)),
                Err(error) => return Ok((came, Some(self.remote.broke_off(error)))),
            }
            came = true;
            while let Some(Event { id, data }) = events.next() {
                if let Some(data) = data {
                    print(&mut self.out, &data)?;
                }
                // After it was printed: what was not is asked for again.
                self.last = id.or(self.last.take());
            }
        }
    }
}
