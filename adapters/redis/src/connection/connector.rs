//! Makes and replaces connections; a command with an unknown result is never repeated.
//!
//! **The adapter sends no command twice on its own.** A lost answer does not tell whether its command was executed. So
//! every failure is reported to the caller, who knows whether a repetition does harm. Each of these is safe to repeat:
//!
//! - `PUBLISH`, and `XADD` beside it: the relay repeats a whole batch of messages. Their ids stay the same, and "at
//!   least once" allows the repeat. Both go in one transaction, so that a refused `XADD` publishes nothing.
//! - Ack, nack and dead-letter: their scripts act only on elements that are still there, so a second run finds nothing
//!   to do. In a cluster the dead letters lie in another slot and are written first: a lost answer may write one twice.
//! - `BLMOVE` only waits: its destination can't take an element. The script that moves elements is not repeated; the
//!   moved elements lie in this consumer's own list, which the next connection reconciles.
//! - `XREADGROUP`, `XAUTOCLAIM`: the entries that they return are pending under this consumer's name and are read again.
//! - Renewing a lease, registering a consumer, creating a group: the second run sets the same values as the first.
//! - Replaying a dead letter: the second run is a duplicate, and `XDEL` of a deleted entry removes nothing.
//!
//! The client library adds no repetition. `MultiplexedConnection` (redis-rs 1.8) fails all pending commands when it
//! breaks, and never reconnects. `ConnectionManager` would reconnect unnoticed, and a new connection must begin with a
//! reconciliation. The cluster client repeats commands up to `retries` times; that is set to zero (`address.rs`). Only a
//! script that the server does not know is sent again at once: that answer says that nothing was executed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult, Value, from_redis_value,
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::connection::address::{Address, cluster_client};
use crate::error::keeps_connection;

/// Wait before the second attempt to connect; it doubles with each further failure.
const RETRY_MIN: Duration = Duration::from_millis(50);

/// Longest wait between two attempts: a server that is back is found within this time.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// One connection.
#[derive(Clone)]
pub(crate) enum Connection {
    /// To one server.
    Server(MultiplexedConnection),
    /// To the nodes of a cluster.
    Cluster(ClusterConnection),
}

/// Makes connections, and waits longer after each failure.
pub(crate) struct Connector {
    address: Address,
    connect_timeout: Duration,
    outage: Mutex<Option<Outage>>,
}

/// The last attempts to connect have failed.
struct Outage {
    failures: u32,
    retry_at: Instant,
    error: RedisError,
}

impl Connector {
    pub(crate) fn new(address: Address, connect_timeout: Duration) -> Self {
        Self { address, connect_timeout, outage: Mutex::new(None) }
    }

    /// Says whether all keys of a command must lie in one slot.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.address, Address::Cluster(..))
    }

    /// Waits until the next attempt to connect is due.
    pub(crate) async fn wait_for_retry(&self) {
        let retry_at = self.outage().as_ref().map(|outage| outage.retry_at);
        if let Some(at) = retry_at {
            sleep_until(at).await;
        }
    }

    /// Makes a connection. Before the next attempt is due, it fails at once with the error of the last one.
    pub(crate) async fn connect(&self, response_timeout: Duration) -> RedisResult<Connection> {
        if let Some(outage) = &*self.outage()
            && Instant::now() < outage.retry_at
        {
            return Err(outage.error.clone());
        }
        let attempt = timeout(self.connect_timeout, self.attempt(response_timeout)).await;
        let result = attempt.unwrap_or_else(|elapsed| Err(std::io::Error::from(elapsed).into()));
        let mut outage = self.outage();
        match &result {
            Ok(_) => *outage = None,
            Err(error) => {
                let failures = outage.as_ref().map_or(0, |outage| outage.failures) + 1;
                let wait = RETRY_MIN.saturating_mul(1 << failures.min(10)).min(RETRY_MAX);
                *outage = Some(Outage { failures, retry_at: Instant::now() + wait, error: error.clone() });
            }
        }
        result
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(&self, response_timeout: Duration) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(response_timeout));
        match &self.address {
            Address::Server(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Server)
            }
            Address::Sentinel(sentinel) => {
                sentinel.client()?.get_async_connection_with_config(&config).await.map(Connection::Server)
            }
            Address::Cluster(nodes, certificates) => {
                let client = cluster_client(nodes, certificates.as_ref(), self.connect_timeout, response_timeout)?;
                client.get_async_connection().await.map(Connection::Cluster)
            }
        }
    }
}

impl Connection {
    /// Sends a command that names no key to the node that holds `key`.
    pub(crate) async fn query_at<T: FromRedisValue>(&mut self, key: &str, command: Cmd) -> RedisResult<T> {
        match self {
            Self::Server(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => {
                let node = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                let answer = connection.route_command(command, RoutingInfo::SingleNode(node)).await?;
                Ok(from_redis_value(answer.extract_error()?)?)
            }
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// One connection for all commands that do not block. It is replaced when it fails.
#[derive(Clone)]
pub(crate) struct SharedConnection(Arc<Shared>);

struct Shared {
    connector: Arc<Connector>,
    response_timeout: Duration,
    current: tokio::sync::Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    /// Counts the connections: many commands that fail together must discard one connection, not its successor.
    number: u64,
}

impl SharedConnection {
    pub(crate) fn new(connector: Arc<Connector>, response_timeout: Duration) -> Self {
        Self(Arc::new(Shared { connector, response_timeout, current: tokio::sync::Mutex::default() }))
    }

    async fn connection(&self) -> RedisResult<(Connection, u64)> {
        let mut current = self.0.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((connection.clone(), current.number));
        }
        let connection = self.0.connector.connect(self.0.response_timeout).await?;
        current.number += 1;
        current.connection = Some(connection.clone());
        Ok((connection, current.number))
    }

    /// Discards the connection with this number, if the error leaves its state uncertain.
    async fn discard_if_uncertain(&self, number: u64, error: &RedisError) {
        if keeps_connection(error) {
            return;
        }
        let mut current = self.0.current.lock().await;
        if current.number == number {
            current.connection = None;
        }
    }
}

impl ConnectionLike for SharedConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let (mut connection, number) = self.connection().await?;
            let result = connection.req_packed_command(cmd).await.and_then(Value::extract_error);
            if let Err(error) = &result {
                self.discard_if_uncertain(number, error).await;
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
            let (mut connection, number) = self.connection().await?;
            let result = connection.req_packed_commands(pipeline, offset, count).await;
            match &result {
                Err(error) => self.discard_if_uncertain(number, error).await,
                Ok(answers) => {
                    for answer in answers {
                        if let Value::ServerError(error) = answer {
                            self.discard_if_uncertain(number, &error.clone().into()).await;
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
