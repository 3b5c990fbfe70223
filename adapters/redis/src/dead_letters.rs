//! The dead letters: a stream that keeps rejected payloads until an operator replays or deletes them.

use async_trait::async_trait;
use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult, Value, cmd, pipe};
use tallyhouse_core::ports::{DeadLetter, DeadLetters, PortError, PortErrorKind};

use crate::client::RedisClient;
use crate::connection::Script;
use crate::dead_letter::{DeadLetterDraft, dead_letter};
use crate::entry::{Entry, is_entry_id};
use crate::error::port_error;

/// Bytes after which a page ends. The last few entries may exceed it.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

static LIST: Script = Script::new(include_str!("dead_letters/list.lua"));

/// The stream `<prefix>:dead-letters`.
#[derive(Debug, Clone)]
pub struct RedisDeadLetters {
    client: RedisClient,
}

impl RedisDeadLetters {
    /// Uses the stream under the client's prefix.
    #[must_use]
    pub fn new(client: &RedisClient) -> Self {
        Self { client: client.clone() }
    }

    async fn range(&self, start: &str, end: &str, limit: usize) -> RedisResult<Vec<DeadLetter>> {
        let entries: Value = LIST
            .run(&mut self.client.shared(), &[&self.client.keys().dead_letters], |args| {
                args.arg(start).arg(end).arg(limit).arg(PAGE_BYTES_MAX);
            })
            .await?;
        Ok(Entry::read_all(entries)?.into_iter().map(dead_letter).collect())
    }
}

#[async_trait]
impl DeadLetters for RedisDeadLetters {
    async fn list(&self, after: Option<String>, limit: usize) -> Result<Vec<DeadLetter>, PortError> {
        const WHAT: &str = "listing the dead letters";
        let start = match after {
            None => "-".to_owned(),
            Some(id) if is_entry_id(&id) => format!("({id}"),
            Some(_) => return Err(PortError::new(PortErrorKind::Misuse, WHAT, "is not the id of a dead letter")),
        };
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.range(&start, "+", limit).await.map_err(|error| port_error(WHAT, error))
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, PortError> {
        if !is_entry_id(id) {
            return Ok(None);
        }
        let found = self.range(id, id, 1).await;
        found.map(|letters| letters.into_iter().next()).map_err(|error| port_error("finding a dead letter", error))
    }

    async fn remove(&self, id: &str) -> Result<bool, PortError> {
        if !is_entry_id(id) {
            return Ok(false);
        }
        let removed: RedisResult<u64> =
            cmd("XDEL").arg(&self.client.keys().dead_letters).arg(id).query_async(&mut self.client.shared()).await;
        removed.map(|count| count > 0).map_err(|error| port_error("removing a dead letter", error))
    }
}

impl DeadLetterDraft {
    /// Adds the five values as arguments of a script.
    pub(crate) fn add_to(&self, args: &mut Cmd) {
        for (_, value) in self.fields() {
            args.arg(&*value);
        }
    }
}

/// Writes dead letters in one round trip.
pub(crate) async fn write<'a>(
    connection: &mut (impl ConnectionLike + Send),
    key: &str,
    drafts: impl Iterator<Item = &'a DeadLetterDraft>,
) -> RedisResult<()> {
    let mut pipeline = pipe();
    for draft in drafts {
        let command = pipeline.cmd("XADD").arg(key).arg("*");
        for (name, value) in draft.fields() {
            command.arg(name).arg(&*value);
        }
        command.ignore();
    }
    pipeline.query_async(connection).await
}
