//! The servers of a measurement: private ones, that flush as servers in use do.

use anyhow::Result;

use crate::bench::processes::{Cpu, cpu_of, cpu_of_self};
use crate::servers::postgres::{PostgresOptions, PostgresServer};
use crate::servers::redis_server::{RedisOptions, RedisServer};

/// Most connections at a time: those of the widest bare load, and some to spare.
const CONNECTIONS_MAX: &str = "400";

/// A Postgres with its defaults, whose commits reach the disk, and a Redis that appends to its file and flushes it
/// every second.
#[derive(Debug)]
pub struct World {
    /// The database server.
    pub postgres: PostgresServer,
    /// Redis.
    pub redis: RedisServer,
}

impl World {
    /// Starts both.
    ///
    /// # Errors
    /// One of them is not on this machine, or does not start.
    pub fn start() -> Result<Self> {
        let settings = vec![("max_connections".to_owned(), CONNECTIONS_MAX.to_owned())];
        let postgres = PostgresServer::start_with(PostgresOptions { fsync: true, settings })?;
        let everysec = [("appendonly", "yes"), ("appendfsync", "everysec")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let redis = RedisServer::start_with(RedisOptions { settings: everysec.into(), ..RedisOptions::default() })?;
        Ok(Self { postgres, redis })
    }

    /// Returns the time that all have had on the processors so far; `service` is the process of the service, if one
    /// runs.
    #[must_use]
    pub fn cpu(&self, service: Option<u32>) -> Cpu {
        Cpu {
            service: service.map(|pid| cpu_of(&[pid])).unwrap_or_default(),
            postgres: self.postgres.pid().map(|pid| cpu_of(&[pid])).unwrap_or_default(),
            redis: self.redis.pid().map(|pid| cpu_of(&[pid])).unwrap_or_default(),
            load: cpu_of_self(),
        }
    }

    /// Returns how many commands Redis has run since its counts were set to zero, those that were asked to look
    /// included.
    ///
    /// # Errors
    /// Redis does not answer.
    pub fn redis_commands(&self) -> Result<u64> {
        // The ones that look are our own.
        let own = ["info", "config|resetstat"];
        Ok(self.redis.counts()?.iter().filter(|(name, _)| !own.contains(&name.as_str())).map(|(_, calls)| calls).sum())
    }
}
