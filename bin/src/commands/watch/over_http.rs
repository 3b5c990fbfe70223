//! Messages from a service over HTTP: an event stream that is resumed after an interruption.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::ACCEPT;
use reqwest::{Response, StatusCode};
use tallyhouse_pipeline::Topic;

use super::print;
use super::sse::{Event, Events};
use crate::output::Output;
use crate::remote::Remote;

/// The first and the longest wait before a reconnection.
const WAIT_MIN: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The position before every message.
const START: &str = "0";

/// Prints messages as they come, without end.
///
/// # Errors
/// The first connection fails, or the service refuses. Later failures are retried.
pub(super) async fn follow(remote: &Remote, topic: Topic, after: Option<&str>) -> anyhow::Result<()> {
    let mut follower = Follower { remote, topic, last: after.map(str::to_owned), out: Output::standard() };
    let mut response = follower.connect().await?.map_err(|error| error.context("nothing to follow"))?;
    let mut wait = WAIT_MIN;
    loop {
        let (received, failure) = follower.print_all(response).await?;
        if received {
            wait = WAIT_MIN;
        }
        if let Some(error) = failure {
            tracing::warn!(error = format!("{error:#}"), "the stream was interrupted; resuming");
        }
        response = loop {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
            match follower.connect().await? {
                Ok(response) => break response,
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the service is unavailable; retrying"),
            }
        };
    }
}

struct Follower<'a> {
    remote: &'a Remote,
    topic: Topic,
    /// The position of the last printed message, or the one at which the stream began: where the next connection resumes.
    last: Option<String>,
    out: Output,
}

impl Follower<'_> {
    /// Connects. The inner error is temporary, the outer one final.
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
            Err(error) if error.is_builder() => bail!("--after is not a position"),
            Err(error) => Ok(Err(self.remote.unreachable(error))),
        }
    }

    /// Prints messages until the stream ends. Returns whether anything was received, and the failure that ended the
    /// stream.
    async fn print_all(&mut self, mut response: Response) -> anyhow::Result<(bool, Option<anyhow::Error>)> {
        let mut events = Events::default();
        let mut received = false;
        loop {
            match response.chunk().await {
                Ok(Some(part)) => events.feed(&part).context("the service sent an invalid event stream")?,
                Ok(None) => return Ok((received, None)),
                Err(error) => return Ok((received, Some(self.remote.interrupted(error)))),
            }
            received = true;
            while let Some(Event { id, data }) = events.next() {
                if let Some(data) = data {
                    print(&mut self.out, &data)?;
                }
                // Only a printed message moves the position, so that an interrupted print is repeated. The first event
                // has no message: it sets the beginning of a stream from now on.
                self.last = id.or(self.last.take());
            }
        }
    }
}
