//! A master, a replica, and one sentinel that makes the replica the master when the master is gone.

use anyhow::Result;

use super::{RedisOptions, RedisServer, wait_until};

/// The name under which the sentinel knows the master.
const SERVICE: &str = "tallies";

/// A running set.
#[derive(Debug)]
pub struct RedisSentinel {
    sentinel: RedisServer,
    master: RedisServer,
    replica: RedisServer,
}

impl RedisSentinel {
    /// Starts the three servers and waits until the sentinel knows both of the others.
    ///
    /// # Errors
    /// The servers do not start, or do not find each other.
    pub fn start() -> Result<Self> {
        let master = RedisServer::start()?;
        let follows = ("replicaof".to_owned(), format!("127.0.0.1 {}", master.port()));
        let replica = RedisServer::start_with(RedisOptions { settings: vec![follows], ..RedisOptions::default() })?;
        wait_until(|| Ok(replica.cli(&["INFO", "replication"])?.contains("master_link_status:up")))?;
        let settings = [
            format!("monitor {SERVICE} 127.0.0.1 {} 1", master.port()),
            format!("down-after-milliseconds {SERVICE} 1000"),
            format!("failover-timeout {SERVICE} 3000"),
        ]
        .map(|value| ("sentinel".to_owned(), value));
        let sentinel = RedisServer::start_with(RedisOptions { settings: settings.into(), ..RedisOptions::default() })?;
        wait_until(|| Ok(sentinel.cli(&["SENTINEL", "REPLICAS", SERVICE])?.contains("127.0.0.1")))?;
        Ok(Self { sentinel, master, replica })
    }

    /// Returns the URL that asks the sentinel for the master.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/{SERVICE}/0", self.sentinel.port())
    }

    /// Returns the server that was the master at the start.
    pub fn master(&mut self) -> &mut RedisServer {
        &mut self.master
    }

    /// Returns the server that was the replica at the start.
    #[must_use]
    pub fn replica(&self) -> &RedisServer {
        &self.replica
    }

    /// Kills the master and waits until the replica has taken its place.
    ///
    /// # Errors
    /// It does not.
    pub fn fail_over(&mut self) -> Result<()> {
        self.master.kill()?;
        wait_until(|| Ok(self.replica.cli(&["ROLE"])?.starts_with("master")))
    }
}
