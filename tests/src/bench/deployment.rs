//! A running service with its own database and Redis key prefix, and helpers to fill and watch its queues.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::bench::supply::Supply;
use crate::bench::world::World;
use crate::servers::service::{Options, Service, signal};

/// How long it may take until all is published.
const PATIENCE: Duration = Duration::from_secs(300);

/// Records of one pipeline to Redis.
const CHUNK: usize = 1_000;

/// The queues of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// The list.
    List,
    /// The stream.
    Stream,
}

/// A service, and where it keeps things.
#[derive(Debug)]
pub struct Deployment {
    /// The service, running.
    pub service: Service,
    /// The URL of its database.
    pub database: String,
    /// The prefix of its keys in Redis.
    pub prefix: String,
}

impl Deployment {
    /// Starts a service with the defaults.
    ///
    /// # Errors
    /// Postgres makes no database.
    ///
    /// # Panics
    /// The service does not start.
    pub fn start(world: &World) -> Result<Self> {
        Self::start_with(world, Options::new())
    }

    /// Starts a service with these options.
    ///
    /// # Errors
    /// Postgres makes no database.
    ///
    /// # Panics
    /// The service does not start.
    pub fn start_with(world: &World, options: Options) -> Result<Self> {
        let database = world.postgres.database()?;
        let prefix = format!("bench-{}", database.rsplit('/').next().context("the URL has a path")?);
        let options = options
            .env("TALLYHOUSE_DATABASE__URL", &database)
            .env("TALLYHOUSE_REDIS__URL", world.redis.url())
            .env("TALLYHOUSE_REDIS__PREFIX", &prefix);
        Ok(Self { service: Service::start_with(options), database, prefix })
    }

    /// Returns the name of the database.
    #[must_use]
    pub fn database_name(&self) -> &str {
        self.database.rsplit('/').next().unwrap_or_default()
    }

    /// Returns how many records are stored, as the service says.
    ///
    /// # Errors
    /// The answer holds no number.
    ///
    /// # Panics
    /// There is no answer.
    pub fn stored(&self) -> Result<u64> {
        let answer = self.service.http().get("/v1/aggregates?records=false").expect_status(200).json();
        answer["recordCount"].as_u64().context("no count of records")
    }

    /// Puts records into a queue while the service is frozen, and returns when it was let go.
    ///
    /// # Errors
    /// Redis does not answer.
    pub fn preload(
        &self,
        world: &World,
        queue: Queue,
        supply: &Supply,
        numbers: std::ops::Range<u64>,
    ) -> Result<Instant> {
        signal("STOP", self.service.pid());
        let mut connection = world.redis.connection()?;
        let numbers: Vec<u64> = numbers.collect();
        for chunk in numbers.chunks(CHUNK) {
            self.pushes(queue, supply, chunk.iter().copied()).exec(&mut connection)?;
        }
        let began = Instant::now();
        signal("CONT", self.service.pid());
        Ok(began)
    }

    /// Returns what puts records into a queue, in one round trip.
    #[must_use]
    pub fn pushes(&self, queue: Queue, supply: &Supply, numbers: impl Iterator<Item = u64>) -> redis::Pipeline {
        let mut pipeline = redis::pipe();
        let (list, stream) = (format!("{}:records", self.prefix), format!("{}:records:stream", self.prefix));
        for n in numbers {
            let mut record = Vec::new();
            supply.append(n, &mut record);
            match queue {
                Queue::List => pipeline.cmd("LPUSH").arg(&list).arg(record).ignore(),
                Queue::Stream => pipeline.cmd("XADD").arg(&stream).arg("*").arg("record").arg(record).ignore(),
            };
        }
        pipeline
    }

    /// Returns how many records wait in a queue, or are taken and not yet done.
    ///
    /// # Errors
    /// Redis does not answer.
    pub fn waiting(&self, queue: Queue, connection: &mut redis::Connection) -> Result<u64> {
        Ok(match queue {
            Queue::List => redis::cmd("LLEN").arg(format!("{}:records", self.prefix)).query(connection)?,
            Queue::Stream => redis::cmd("XLEN").arg(format!("{}:records:stream", self.prefix)).query(connection)?,
        })
    }
}

/// Waits until Redis was told to publish this many messages since its counts were set to zero.
///
/// # Errors
/// Redis does not answer, or the messages do not come.
pub fn await_published(world: &World, messages: u64) -> Result<()> {
    let mut connection = world.redis.connection()?;
    let began = Instant::now();
    while published(&mut connection)? < messages {
        ensure!(began.elapsed() < PATIENCE, "the notifications do not come");
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Returns how many messages Redis was told to publish since its counts were set to zero.
///
/// # Errors
/// Redis does not answer.
pub fn published(connection: &mut redis::Connection) -> Result<u64> {
    let text: String = redis::cmd("INFO").arg("commandstats").query(connection)?;
    let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_publish:calls="));
    Ok(line.and_then(|line| line.split(',').next()).map_or(Ok(0), str::parse)?)
}
