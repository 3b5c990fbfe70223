//! The faults: what each does to the world, and how it is taken back.

use std::fmt;
use std::time::Duration;

use crate::chaos::ledger::lock;
use crate::chaos::world::World;
use crate::data::seed::Seed;
use crate::servers::fleet::STREAM;
use crate::servers::proxy::{Flow, Proxy, Side};
use crate::servers::service::signal;

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names in what is printed say it")]
pub enum Kind {
    KillInstance,
    StopInstance,
    RollingRestart,
    FreezeInstance,
    CrashPostgres,
    KillPostgres,
    FreezePostgres,
    ReadOnlyPostgres,
    TerminateBackends,
    LockTables,
    KillRedis,
    FreezeRedis,
    FullRedis,
    DestroyGroup,
    FlushScripts,
    PromoteStandby,
    LeaseAhead,
    CutLine,
    RefuseLine,
    DelayLine,
    NarrowLine,
    HalfCloseLine,
    BlackHoleLine,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 23] = [
        Self::KillInstance,
        Self::StopInstance,
        Self::RollingRestart,
        Self::FreezeInstance,
        Self::CrashPostgres,
        Self::KillPostgres,
        Self::FreezePostgres,
        Self::ReadOnlyPostgres,
        Self::TerminateBackends,
        Self::LockTables,
        Self::KillRedis,
        Self::FreezeRedis,
        Self::FullRedis,
        Self::DestroyGroup,
        Self::FlushScripts,
        Self::PromoteStandby,
        Self::LeaseAhead,
        Self::CutLine,
        Self::RefuseLine,
        Self::DelayLine,
        Self::NarrowLine,
        Self::HalfCloseLine,
        Self::BlackHoleLine,
    ];

    /// Returns the name in what is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KillInstance => "kill -9 of an instance",
            Self::StopInstance => "stop and start of an instance",
            Self::RollingRestart => "rolling restart",
            Self::FreezeInstance => "freeze of an instance",
            Self::CrashPostgres => "immediate stop of Postgres",
            Self::KillPostgres => "kill -9 of Postgres",
            Self::FreezePostgres => "freeze of Postgres",
            Self::ReadOnlyPostgres => "Postgres refuses writes",
            Self::TerminateBackends => "Postgres ends all connections",
            Self::LockTables => "tables locked by another",
            Self::KillRedis => "kill -9 of Redis",
            Self::FreezeRedis => "freeze of Redis",
            Self::FullRedis => "Redis at its maxmemory",
            Self::DestroyGroup => "consumer group destroyed",
            Self::FlushScripts => "scripts flushed",
            Self::PromoteStandby => "synchronous standby promoted",
            Self::LeaseAhead => "kill -9 with a lease hours ahead",
            Self::CutLine => "lines cut",
            Self::RefuseLine => "connections refused",
            Self::DelayLine => "lines slow",
            Self::NarrowLine => "lines narrow",
            Self::HalfCloseLine => "connections half closed",
            Self::BlackHoleLine => "lines a black hole",
        }
    }

    /// Returns for how long it lasts at least and at most, in milliseconds. Some last longer than the leases, which are
    /// 6 s at Redis and 10 s at Postgres.
    fn lasts_ms(self) -> (usize, usize) {
        match self {
            Self::FreezeInstance => (500, 20_000),
            Self::BlackHoleLine => (500, 12_000),
            Self::KillInstance | Self::LeaseAhead | Self::FreezePostgres | Self::FreezeRedis => (300, 8_000),
            Self::CrashPostgres
            | Self::KillPostgres
            | Self::KillRedis
            | Self::ReadOnlyPostgres
            | Self::LockTables
            | Self::FullRedis
            | Self::RefuseLine
            | Self::DelayLine
            | Self::NarrowLine => (300, 6_000),
            Self::TerminateBackends | Self::DestroyGroup | Self::CutLine | Self::HalfCloseLine => (300, 2_000),
            Self::StopInstance | Self::RollingRestart | Self::FlushScripts | Self::PromoteStandby => (100, 200),
        }
    }

    /// Says whether it comes again and again while it lasts.
    pub(crate) fn is_storm(self) -> bool {
        matches!(self, Self::TerminateBackends | Self::DestroyGroup | Self::CutLine)
    }
}

/// What a fault disturbs. Two faults of one target do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Instance(usize),
    Postgres,
    Redis,
    LineToPostgres(usize),
    LineToRedis(usize),
}

/// One fault.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) targets: Vec<Target>,
    pub(crate) lasts: Duration,
    /// Chooses between the variants of a kind.
    pub(crate) variant: usize,
}

impl Fault {
    /// Draws what a fault of this kind disturbs and for how long. The last instance is never ended, so that it shows
    /// what becomes of one that lives long.
    pub(crate) fn draw(kind: Kind, instances: usize, brevity: u32, seed: &mut Seed) -> Self {
        let mortal = seed.below(instances - 1);
        let all = seed.below(3) == 0;
        let one = seed.below(instances);
        let lines = |of: fn(usize) -> Target| if all { (0..instances).map(of).collect() } else { vec![of(one)] };
        let targets = match kind {
            Kind::KillInstance | Kind::StopInstance => vec![Target::Instance(mortal)],
            Kind::LeaseAhead => vec![Target::Instance(mortal), Target::Postgres],
            Kind::RollingRestart => (0..instances - 1).map(Target::Instance).collect(),
            Kind::FreezeInstance => vec![Target::Instance(one)],
            Kind::CrashPostgres
            | Kind::KillPostgres
            | Kind::FreezePostgres
            | Kind::ReadOnlyPostgres
            | Kind::TerminateBackends
            | Kind::LockTables
            | Kind::PromoteStandby => vec![Target::Postgres],
            Kind::KillRedis | Kind::FreezeRedis | Kind::FullRedis | Kind::DestroyGroup | Kind::FlushScripts => {
                vec![Target::Redis]
            }
            _ if seed.below(2) == 0 => lines(Target::LineToPostgres),
            _ => lines(Target::LineToRedis),
        };
        let (least, most) = kind.lasts_ms();
        let ms = u64::try_from(least + seed.below(most - least)).expect("it is small");
        Self { kind, targets, lasts: Duration::from_millis(ms) / brevity, variant: seed.below(1_000) }
    }

    /// Begins it. Long, but a list: a line or two for each kind.
    ///
    /// # Errors
    /// It can't be done: the world is not as it should be.
    pub(crate) fn inject(&self, world: &mut World) -> anyhow::Result<()> {
        match self.kind {
            Kind::KillInstance => self.instances().for_each(|instance| world.kill(instance)),
            Kind::StopInstance => self.instances().for_each(|instance| world.roll(instance..instance + 1)),
            Kind::RollingRestart => world.roll(0..self.targets.len()),
            Kind::FreezeInstance => self.signal(world, "STOP"),
            Kind::CrashPostgres => world.postgres.stop()?,
            Kind::KillPostgres => world.postgres.kill()?,
            Kind::FreezePostgres => world.postgres.freeze(),
            Kind::ReadOnlyPostgres => read_only(world, "SET default_transaction_read_only = on")?,
            Kind::TerminateBackends => self.repeat(world)?,
            Kind::LockTables => {
                let seconds = self.lasts.as_secs_f64();
                let sql = format!("BEGIN; LOCK TABLE summaries; SELECT pg_sleep({seconds}); COMMIT");
                // Ends by itself, no later than it is waited for.
                world.psql(&sql).map(drop)?;
            }
            Kind::KillRedis => world.redis.kill()?,
            Kind::FreezeRedis => world.redis.freeze()?,
            Kind::FullRedis => world.redis.cli(&["CONFIG", "SET", "maxmemory", "1mb"]).map(drop)?,
            Kind::DestroyGroup => self.repeat(world)?,
            Kind::FlushScripts => world.redis.cli(&["SCRIPT", "FLUSH"]).map(drop)?,
            Kind::PromoteStandby => world.promote_standby()?,
            Kind::LeaseAhead => {
                self.instances().for_each(|instance| world.kill(instance));
                world.psql("UPDATE leases SET until = until + interval '5 hours'").map(drop)?;
            }
            Kind::CutLine => self.lines(world).for_each(Proxy::cut),
            Kind::RefuseLine => self.lines(world).for_each(|line| {
                line.set(Flow::Refused);
                line.cut();
            }),
            Kind::DelayLine => {
                let later = Duration::from_millis(20 + u64::try_from(self.variant).unwrap_or_default() / 2);
                self.lines(world).for_each(|line| line.set(Flow::Slow(later)));
            }
            Kind::NarrowLine => self.lines(world).for_each(|line| line.set(Flow::Narrow(20_000))),
            Kind::HalfCloseLine => {
                let side = if self.variant.is_multiple_of(2) { Side::Client } else { Side::Server };
                self.lines(world).for_each(|line| line.half_close(side));
            }
            Kind::BlackHoleLine => self.lines(world).for_each(|line| line.set(Flow::Held)),
        }
        Ok(())
    }

    /// Does it once more, where it is of a kind that comes in a storm.
    ///
    /// # Errors
    /// It can't be done: the world is not as it should be.
    pub(crate) fn repeat(&self, world: &World) -> anyhow::Result<()> {
        match self.kind {
            Kind::TerminateBackends => {
                let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                              AND pid <> pg_backend_pid()";
                world.psql(others).map(drop)
            }
            Kind::DestroyGroup => world.redis.cli(&["XGROUP", "DESTROY", STREAM, "tallyhouse"]).map(drop),
            Kind::CutLine => {
                self.lines(world).for_each(Proxy::cut);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// It can't be done: the world is not as it should be.
    pub(crate) fn revert(&self, world: &mut World) -> anyhow::Result<()> {
        match self.kind {
            Kind::KillInstance | Kind::LeaseAhead => self.instances().for_each(|instance| world.supervise(instance)),
            Kind::FreezeInstance => self.signal(world, "CONT"),
            Kind::CrashPostgres | Kind::KillPostgres => world.postgres.resume()?,
            Kind::FreezePostgres => world.postgres.thaw(),
            Kind::ReadOnlyPostgres => read_only(world, "RESET default_transaction_read_only")?,
            Kind::KillRedis => world.redis.restart()?,
            Kind::FreezeRedis => world.redis.thaw()?,
            Kind::FullRedis => world.redis.cli(&["CONFIG", "SET", "maxmemory", "0"]).map(drop)?,
            Kind::RefuseLine | Kind::DelayLine | Kind::NarrowLine => {
                self.lines(world).for_each(|line| line.set(Flow::Free));
            }
            // What was held either goes on, or is cut, as by a firewall that has forgotten it.
            Kind::BlackHoleLine => self.lines(world).for_each(|line| {
                if self.variant.is_multiple_of(2) {
                    line.cut();
                }
                line.set(Flow::Free);
            }),
            Kind::StopInstance
            | Kind::RollingRestart
            | Kind::TerminateBackends
            | Kind::LockTables
            | Kind::DestroyGroup
            | Kind::FlushScripts
            | Kind::PromoteStandby
            | Kind::CutLine
            | Kind::HalfCloseLine => {}
        }
        Ok(())
    }

    fn instances(&self) -> impl Iterator<Item = usize> {
        self.targets.iter().filter_map(|target| match target {
            Target::Instance(instance) => Some(*instance),
            Target::Postgres | Target::Redis | Target::LineToPostgres(_) | Target::LineToRedis(_) => None,
        })
    }

    fn lines<'a>(&'a self, world: &'a World) -> impl Iterator<Item = &'a Proxy> {
        self.targets.iter().filter_map(|target| match target {
            Target::LineToPostgres(instance) => Some(&world.instances[*instance].lines.postgres),
            Target::LineToRedis(instance) => Some(&world.instances[*instance].lines.redis),
            Target::Instance(_) | Target::Postgres | Target::Redis => None,
        })
    }

    fn signal(&self, world: &World, name: &str) {
        self.instances().for_each(|instance| {
            let service = lock(&world.instances[instance].service);
            signal(name, service.pid());
        });
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {} ms", self.kind.name(), self.targets, self.lasts.as_millis())
    }
}

/// Changes whether transactions may write, for all sessions, also for those that are open.
fn read_only(world: &World, change: &str) -> anyhow::Result<()> {
    world.psql(&format!("ALTER SYSTEM {change}"))?;
    world.psql("SELECT pg_reload_conf()").map(drop)
}
