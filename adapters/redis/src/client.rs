//! The client that all parts of the adapter share: checked settings, key names, connections.

use std::fmt;
use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{Cmd, FromRedisValue, RedisResult, Value, cmd, from_redis_value};
use tallyhouse_core::ports::PortError;

use crate::connection::{Address, Connection, Connector, SharedConnection};
use crate::error::{RedisSetupError, is_group_missing, port_error};
use crate::keys::{GROUP, Keys};
use crate::settings::RedisSettings;

/// Longest prefix, in characters.
const PREFIX_CHARS_MAX: usize = 128;

/// A Redis server under one prefix. Cheap to clone: all clones share one connection for commands that do not block.
#[derive(Clone)]
pub struct RedisClient {
    inner: Arc<Inner>,
}

struct Inner {
    settings: RedisSettings,
    keys: Keys,
    connector: Arc<Connector>,
    shared: SharedConnection,
}

/// The lengths of the queues in Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Elements of the list of records that no consumer has taken.
    pub list: u64,
    /// Elements of the list that consumers have taken and not acknowledged yet.
    pub processing: u64,
    /// Entries of the stream of records, including pending ones.
    pub stream: u64,
    /// Entries of the stream that consumers have taken and not acknowledged yet.
    pub pending: u64,
    /// Entries of the stream that no consumer has taken yet. `None` where the server does not know: before Redis 7, or
    /// after entries were deleted from the middle.
    pub lag: Option<u64>,
    /// Dead letters.
    pub dead_letters: u64,
}

impl RedisClient {
    /// Checks the settings and connects to nothing: the server may start later.
    ///
    /// # Errors
    /// A setting is invalid: correct it.
    pub fn open(settings: RedisSettings) -> Result<Self, RedisSetupError> {
        check(&settings)?;
        // Without a default provider, the first TLS connection panics if none or two are compiled in. An error means that
        // the program has installed one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let connector = Arc::new(Connector::new(Address::new(&settings)?, settings.connect_timeout));
        let shared = SharedConnection::new(Arc::clone(&connector), settings.response_timeout);
        Ok(Self { inner: Arc::new(Inner { keys: Keys::new(&settings.prefix), settings, connector, shared }) })
    }

    /// Checks that the server answers.
    ///
    /// # Errors
    /// It does not answer within the time-outs of the settings.
    pub async fn ping(&self) -> Result<(), PortError> {
        let result: RedisResult<Value> = cmd("PING").query_async(&mut self.shared()).await;
        result.map(drop).map_err(|error| port_error("pinging Redis", error))
    }

    /// Counts the payloads in the queues.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn queues(&self) -> Result<QueueFigures, PortError> {
        self.count_queues().await.map_err(|error| port_error("counting the queues", error))
    }

    pub(crate) fn settings(&self) -> &RedisSettings {
        &self.inner.settings
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.inner.connector
    }

    /// The connection for commands that do not block.
    pub(crate) fn shared(&self) -> SharedConnection {
        self.inner.shared.clone()
    }

    /// Makes a connection of its own for a source, whose commands may block for `block`.
    pub(crate) async fn connect_blocking(&self) -> RedisResult<Connection> {
        let connector = self.connector();
        connector.wait_for_retry().await;
        connector.connect(self.settings().block + self.settings().response_timeout).await
    }

    async fn count_queues(&self) -> RedisResult<QueueFigures> {
        let keys = self.keys();
        let count = |name: &str, key: &str| self.query::<u64>(cmd(name).arg(key).to_owned());
        let (list, stream, dead_letters, consumers, groups) = futures::try_join!(
            count("LLEN", &keys.records),
            count("XLEN", &keys.stream),
            count("XLEN", &keys.dead_letters),
            self.query::<Vec<String>>(cmd("ZRANGE").arg(&keys.consumers).arg(0).arg(-1).to_owned()),
            self.groups(),
        )?;
        let lengths = consumers.iter().map(|consumer| count("LLEN", &keys.processing(consumer)));
        let processing = futures::future::try_join_all(lengths).await?.iter().sum();
        let (pending, lag) = groups.unwrap_or((0, Some(stream)));
        Ok(QueueFigures { list, processing, stream, pending, lag, dead_letters })
    }

    /// Returns the group's pending count and its lag; `None` without the group.
    async fn groups(&self) -> RedisResult<Option<(u64, Option<u64>)>> {
        let answer: Value = match self.query(cmd("XINFO").arg("GROUPS").arg(&self.keys().stream).to_owned()).await {
            Ok(answer) => answer,
            Err(error) if is_group_missing(&error) || error.code() == Some("ERR") => return Ok(None),
            Err(error) => return Err(error),
        };
        for group in answer.as_sequence().unwrap_or_default() {
            let mut group: std::collections::HashMap<String, Value> = from_redis_value(group.clone())?;
            if group.remove("name") == Some(Value::BulkString(GROUP.into())) {
                let mut field = |name| from_redis_value(group.remove(name).unwrap_or(Value::Nil));
                let pending: Option<u64> = field("pending")?;
                return Ok(Some((pending.unwrap_or(0), field("lag")?)));
            }
        }
        Ok(None)
    }

    async fn query<T: FromRedisValue>(&self, command: Cmd) -> RedisResult<T> {
        let answer = self.shared().req_packed_command(&command).await?;
        Ok(from_redis_value(answer)?)
    }
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClient").field("settings", self.settings()).finish_non_exhaustive()
    }
}

fn check(settings: &RedisSettings) -> Result<(), RedisSetupError> {
    let prefix = &settings.prefix;
    // Braces would change the slot in a Cluster. The others are awkward on a command line.
    let is_bad = |c: char| matches!(c, '{' | '}') || c.is_whitespace() || c.is_control();
    if prefix.is_empty() || prefix.chars().count() > PREFIX_CHARS_MAX || prefix.contains(is_bad) {
        return Err(RedisSetupError::Prefix);
    }
    let durations = [
        ("connect_timeout", settings.connect_timeout),
        ("response_timeout", settings.response_timeout),
        ("block", settings.block),
        ("lease", settings.lease),
    ];
    match durations.iter().find(|(_, duration)| duration.is_zero()) {
        Some((name, _)) => Err(RedisSetupError::Duration(name)),
        None => Ok(()),
    }
}
