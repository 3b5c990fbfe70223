//! `GET /v1/notifications` and `/v1/alerts`: catch-up with messages page by page, and event streams that follow them.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use hyper::header::HeaderMap;
use tallyhouse_pipeline::{Cursor, FeedError, Message, MessageFormat, Topic};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use warp::reply::Response;

use crate::app::state::App;
use crate::exchange::context::RequestContext;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::conditional;
use crate::exchange::response::problem::Problem;
use crate::exchange::response::stream::{self, BodyWriter, Broken};

/// Answers with the messages after a position.
pub(crate) async fn read_page(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
    topic: Topic,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(query, &["after", "limit"])?;
    let after = parameters.parsed("after", str::parse::<Cursor>)?.unwrap_or(Cursor::START);
    let limit = parameters.limit()?;
    let read_permit = app.reads.permit(&context.caller).await?;
    let messages = app.http.feed.page(topic, after, limit).await?;
    drop(read_permit);

    let next = messages.last().map_or(after, Message::cursor);
    let mut json = b"{\"messages\":[".to_vec();
    for (place, message) in messages.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        json.extend_from_slice(app.http.format.to_json(message).as_bytes());
    }
    json.extend_from_slice(format!("],\"next\":\"{next}\"}}").as_bytes());
    Ok(conditional::json(headers, json))
}

/// Answers with an event stream, from a position or from now on.
pub(crate) async fn follow(
    app: &Arc<App>,
    query: &str,
    headers: &HeaderMap,
    context: &RequestContext,
    topic: Topic,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(query, &["after"])?;
    let after = match last_event_id(headers)? {
        Some(last) => Some(last),
        None => parameters.parsed("after", str::parse::<Cursor>)?,
    };
    let permit = app.event_streams.try_acquire(&context.caller).await?;
    // What a stream reads later, it shares with the others.
    let read_permit = app.reads.permit(&context.caller).await?;
    // A client that is cut off before its first message must know where to resume.
    let begin = match after {
        Some(_) => None,
        None => Some(app.http.feed.head().await?),
    };
    let messages = app.http.feed.follow(topic, after.or(begin)).await?;
    drop(read_permit);
    let events = Events {
        begin,
        format: app.http.format.clone(),
        keep_alive: app.settings.keep_alive_interval,
        draining: context.connection.draining.clone(),
        stopping: app.stop.clone(),
    };
    let stall_timeout = app.settings.stall_timeout;
    Ok(stream::answer("text/event-stream", stall_timeout, context, move |body_writer| async move {
        let _permit = permit;
        events.send(messages, body_writer).await
    }))
}

/// Reads the position at which a disconnected client resumes; an empty id is none (HTML Standard, section 9.2).
fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, Problem> {
    let Some(id) = headers.get("last-event-id").filter(|id| !id.is_empty()) else { return Ok(None) };
    let position = id.to_str().ok().and_then(|id| id.parse().ok());
    position.map(Some).ok_or_else(|| Problem::parameter("Last-Event-ID", tallyhouse_pipeline::CursorError))
}

/// Writes messages as server-sent events.
struct Events {
    /// The beginning of a stream from now on.
    begin: Option<Cursor>,
    format: MessageFormat,
    keep_alive: Duration,
    draining: CancellationToken,
    stopping: CancellationToken,
}

impl Events {
    async fn send(
        self,
        messages: impl Stream<Item = Result<Message, FeedError>>,
        mut body_writer: BodyWriter,
    ) -> Result<BodyWriter, Broken> {
        // The first piece opens the client's stream before there is any message.
        body_writer.send(self.opening()).await?;
        let mut messages = pin!(messages.ready_chunks(100));
        let mut silence = pin!(sleep_until(Instant::now() + self.keep_alive));
        loop {
            tokio::select! {
                biased;
                // The client comes back, to another connection or another instance, and resumes.
                () = self.draining.cancelled() => return Ok(body_writer),
                () = self.stopping.cancelled() => return Ok(body_writer),
                () = body_writer.closed() => return Err(Broken::Disconnected),
                next = messages.next() => match next {
                    Some(ready) => self.write(ready, &mut body_writer).await?,
                    None => return Ok(body_writer),
                },
                () = &mut silence => body_writer.send(": keep-alive\n\n").await?,
            }
            silence.as_mut().reset(Instant::now() + self.keep_alive);
        }
    }

    /// Returns a comment and, for a stream from now on, an event with an id alone. Such an event sets the client's last
    /// event id, and is no message (HTML Standard, section 9.2.6).
    fn opening(&self) -> String {
        let id = self.begin.map(|begin| format!("id: {begin}\n\n")).unwrap_or_default();
        format!(": following\n\n{id}")
    }

    async fn write(&self, ready: Vec<Result<Message, FeedError>>, body_writer: &mut BodyWriter) -> Result<(), Broken> {
        let mut events = Vec::new();
        for next in ready {
            let message = match next {
                Ok(next) => next,
                Err(error) => {
                    // The messages before the error are valid.
                    body_writer.send(events).await?;
                    return Err(error.into());
                }
            };
            // Writing to a Vec can't fail. A message is one line.
            _ = write!(events, "id: {}\ndata: {}\n\n", message.cursor(), self.format.to_json(&message));
            body_writer.send_if_large(&mut events).await?;
        }
        body_writer.send(events).await
    }
}
