//! What all groups measure with: the servers, how long and how much.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tallyhouse_tests::bench::deployment::{Deployment, await_published};
use tallyhouse_tests::bench::supply::{Ids, Keys, Supply, take};
use tallyhouse_tests::bench::world::World;

use crate::floors::bare_postgres::{Bare, Rows};
use crate::ways;

/// The servers, and how much is measured.
pub(crate) struct Kit {
    pub(crate) world: World,
    pub(crate) scale: Scale,
}

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    /// How often each way is measured.
    pub(crate) rounds: usize,
    /// How long a round lasts that ends by the clock.
    pub(crate) lasts: Duration,
    /// Records of a round that ends when they are done.
    pub(crate) records: u64,
    /// Records that reads find.
    pub(crate) stored: u64,
    /// How many records are stored when the cost of further ones is measured.
    pub(crate) growth: Vec<u64>,
    /// How the ids of those follow one another.
    pub(crate) growth_ids: Ids,
    /// How long the service has nothing to do.
    pub(crate) idle: Duration,
    /// Records of an import into SQLite, and of the one whose memory is looked at.
    pub(crate) imported: [usize; 2],
}

impl Scale {
    /// For figures.
    pub(crate) fn full() -> Self {
        Self {
            rounds: 5,
            lasts: Duration::from_secs(4),
            records: 80_000,
            stored: 1_000_000,
            growth: vec![100_000, 1_000_000, 10_000_000],
            growth_ids: Ids::Counted,
            idle: Duration::from_secs(30),
            imported: [211_184, 2_000_000],
        }
    }

    /// To see that all of it works. The figures are of no use.
    pub(crate) fn quick() -> Self {
        Self {
            rounds: 1,
            lasts: Duration::from_millis(150),
            records: 1_000,
            stored: 2_000,
            growth: vec![1_000, 3_000],
            growth_ids: Ids::Counted,
            idle: Duration::from_millis(500),
            imported: [2_000, 3_000],
        }
    }
}

impl Kit {
    /// Starts the servers.
    pub(crate) fn start(scale: Scale) -> Result<Self> {
        Ok(Self { world: World::start()?, scale })
    }

    /// Returns rows as the service leaves them, and an empty copy of its tables.
    pub(crate) fn bare(&self) -> Result<(Rows, Bare)> {
        let deployment = Deployment::start(&self.world)?;
        self.world.redis.reset_counts()?;
        let numbers = take(self.scale.records.min(100_000));
        let supply = Supply::new(Ids::Counted, Keys::Flights);
        ways::send_lines(deployment.service.address(), &supply.lines_request(numbers.clone()))?;
        await_published(&self.world, numbers.end - numbers.start)?;
        let rows = Bare::on(&deployment.database)?.rows("true")?;
        Ok((rows.into(), Bare::create(&self.world)?))
    }
}

/// Returns a supply that many requests share.
pub(crate) fn supply(keys: Keys) -> Arc<Supply> {
    Arc::new(Supply::new(Ids::Counted, keys))
}
