//! Connections: made when needed, thrown away when in doubt.
//!
//! **Nothing is sent twice by itself.** An answer that is lost says nothing of its command, which may have been done.
//! So a failure always goes up to where somebody knows whether a repetition does harm, and each of these does none:
//!
//! - `PUBLISH`, and `XADD` beside it: the relay repeats a whole batch of messages; their ids are the same, and a repeat is
//!   what "at least once" allows. The two go in one transaction, so that a refused `XADD` publishes nothing.
//! - Removing, refusing and giving back: scripts that act only on what is still there, so that the second run finds nothing
//!   to do. In a cluster the dead letter lies in another slot and is written first: there a lost answer may leave it twice.
//! - A blocking move: never repeated. What it may have moved lies in a list of our own, which the next connection sweeps.
//! - `XREADGROUP`, `XAUTOCLAIM`: what they handed out is pending under our name, and is read again from there.
//! - Renewing a lease, joining, having others known again, making a group: the second time sets what the first has set.
//! - Replaying a dead letter: processed again it is a duplicate, and `XDEL` of what is gone removes nothing. Producers' own
//!   `LPUSH` is theirs to repeat: records are recognised.
//!
//! The client library keeps out of it. `MultiplexedConnection` (redis-rs 1.8) fails what was under way when it breaks,
//! and never reconnects. `ConnectionManager` would reconnect for the next command, unseen, and is not used: a new
//! connection has to begin with a sweep. The cluster's client does send again, after a broken connection as well as
//! after a redirection, up to `retries` times, and has no telling apart of commands: it is told none (`address.rs`). A
//! script that the server does not know is the one command that is sent again at once, because the answer says that
//! nothing was run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult, Value, from_redis_value,
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::address::{Address, cluster_client};
use crate::error::keeps_link;

/// How long after the first failed attempt the next one is made; doubled with each further failure.
const RETRY_MIN: Duration = Duration::from_millis(50);

/// A server that is back is found within this time.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// One connection.
#[derive(Clone)]
pub(crate) enum Link {
    /// To one server.
    Server(MultiplexedConnection),
    /// To the nodes of a cluster.
    Cluster(ClusterConnection),
}

/// Makes connections, and waits a little longer after each failure.
pub(crate) struct Connector {
    address: Address,
    connect_timeout: Duration,
    away: Mutex<Option<Away>>,
}

/// The server was not there the last time.
struct Away {
    failures: u32,
    retry_at: Instant,
    error: RedisError,
}

impl Connector {
    pub(crate) fn new(address: Address, connect_timeout: Duration) -> Self {
        Self { address, connect_timeout, away: Mutex::new(None) }
    }

    /// Whether one command can only touch keys of one slot.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.address, Address::Cluster(..))
    }

    /// Waits until the next attempt may be made.
    pub(crate) async fn cool_down(&self) {
        let retry_at = self.away().as_ref().map(|away| away.retry_at);
        if let Some(at) = retry_at {
            sleep_until(at).await;
        }
    }

    /// Makes a connection; too soon after a failure, it fails with the same error at once.
    pub(crate) async fn connect(&self, response_timeout: Duration) -> RedisResult<Link> {
        if let Some(away) = &*self.away()
            && Instant::now() < away.retry_at
        {
            return Err(away.error.clone());
        }
        let attempt = timeout(self.connect_timeout, self.attempt(response_timeout)).await;
        let result = attempt.unwrap_or_else(|elapsed| Err(std::io::Error::from(elapsed).into()));
        let mut away = self.away();
        match &result {
            Ok(_) => *away = None,
            Err(error) => {
                let failures = away.as_ref().map_or(0, |away| away.failures) + 1;
                let wait = RETRY_MIN.saturating_mul(1 << failures.min(10)).min(RETRY_MAX);
                *away = Some(Away { failures, retry_at: Instant::now() + wait, error: error.clone() });
            }
        }
        result
    }

    fn away(&self) -> std::sync::MutexGuard<'_, Option<Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(&self, response_timeout: Duration) -> RedisResult<Link> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(response_timeout));
        match &self.address {
            Address::Server(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(Link::Server)
            }
            Address::Sentinel(sentinel) => {
                sentinel.client()?.get_async_connection_with_config(&config).await.map(Link::Server)
            }
            Address::Cluster(nodes, certificates) => {
                let client = cluster_client(nodes, certificates.as_ref(), self.connect_timeout, response_timeout)?;
                client.get_async_connection().await.map(Link::Cluster)
            }
        }
    }
}

impl Link {
    /// Sends a command that names no key to where a key lies.
    pub(crate) async fn ask_where<T: FromRedisValue>(&mut self, key: &str, command: Cmd) -> RedisResult<T> {
        match self {
            Self::Server(link) => command.query_async(link).await,
            Self::Cluster(link) => {
                let node = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                let answer = link.route_command(command, RoutingInfo::SingleNode(node)).await?;
                Ok(from_redis_value(answer.extract_error()?)?)
            }
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(link) => link.req_packed_command(cmd),
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(link) => link.req_packed_commands(pipeline, offset, count),
            Self::Cluster(link) => link.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(link) => link.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}

/// One connection for all commands that do not block; it is replaced when it fails.
#[derive(Clone)]
pub(crate) struct SharedLink(Arc<Shared>);

struct Shared {
    connector: Arc<Connector>,
    response_timeout: Duration,
    current: tokio::sync::Mutex<Current>,
}

#[derive(Default)]
struct Current {
    link: Option<Link>,
    /// Counts the connections, so that one failure of many commands at once closes one connection.
    number: u64,
}

impl SharedLink {
    pub(crate) fn new(connector: Arc<Connector>, response_timeout: Duration) -> Self {
        Self(Arc::new(Shared { connector, response_timeout, current: tokio::sync::Mutex::default() }))
    }

    async fn link(&self) -> RedisResult<(Link, u64)> {
        let mut current = self.0.current.lock().await;
        if let Some(link) = &current.link {
            return Ok((link.clone(), current.number));
        }
        let link = self.0.connector.connect(self.0.response_timeout).await?;
        current.number += 1;
        current.link = Some(link.clone());
        Ok((link, current.number))
    }

    /// Closes the connection with this number, if an answer leaves it in doubt.
    async fn judge(&self, number: u64, error: &RedisError) {
        if keeps_link(error) {
            return;
        }
        let mut current = self.0.current.lock().await;
        if current.number == number {
            current.link = None;
        }
    }
}

impl ConnectionLike for SharedLink {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let (mut link, number) = self.link().await?;
            let result = link.req_packed_command(cmd).await.and_then(Value::extract_error);
            if let Err(error) = &result {
                self.judge(number, error).await;
            }
            result
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let (mut link, number) = self.link().await?;
            let result = link.req_packed_commands(pipeline, offset, count).await;
            match &result {
                Err(error) => self.judge(number, error).await,
                Ok(answers) => {
                    for answer in answers {
                        if let Value::ServerError(error) = answer {
                            self.judge(number, &error.clone().into()).await;
                        }
                    }
                }
            }
            result
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}
