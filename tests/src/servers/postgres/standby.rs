//! A standby that follows a server by streaming replication, and takes its place.

use std::process::Command;

use anyhow::Result;

use crate::servers::postgres::{PostgresServer, USER, await_that, finish};

impl PostgresServer {
    /// Makes a standby of this server, on a port of its own, and waits until it follows.
    ///
    /// # Errors
    /// It can't be made, or does not start.
    pub fn standby(&self) -> Result<Self> {
        let mut standby = Self::prepare(self.options.clone())?;
        let mut copy: Command = standby.command("pg_basebackup")?;
        copy.args(["--host=127.0.0.1", "--checkpoint=fast", "--write-recovery-conf", "--no-sync", "--username", USER]);
        copy.args(["--port", &self.port().to_string(), "--pgdata"]).arg(standby.data());
        finish(&mut copy, "pg_basebackup")?;
        standby.start_on_free_port()?;
        await_that("the standby follows", || self.replication("state").is_ok_and(|state| state == "streaming"))?;
        Ok(standby)
    }

    /// Lets every commit wait for the standby's disk from now on.
    ///
    /// # Errors
    /// The server does not do it.
    pub fn wait_for_standby(&self) -> Result<()> {
        self.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        self.psql("postgres", "SELECT pg_reload_conf()")?;
        await_that("the standby is synchronous", || self.replication("sync_state").is_ok_and(|state| state == "sync"))?;
        // What was committed just before without a wait has to be there, too.
        let behind = "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn < '";
        let reached = self.psql("postgres", "SELECT pg_current_wal_lsn()")?;
        let behind = format!("{behind}{reached}'");
        await_that("the standby has all", || self.psql("postgres", &behind).is_ok_and(|count| count == "0"))
    }

    /// Lets this standby follow no longer: it lacks what is committed from now on.
    ///
    /// # Errors
    /// It does not do it.
    pub fn stop_following(&self) -> Result<()> {
        self.psql("postgres", "ALTER SYSTEM SET primary_conninfo = ''")?;
        self.psql("postgres", "SELECT pg_reload_conf()")?;
        let receivers = "SELECT count(*) FROM pg_stat_wal_receiver";
        await_that("it follows no longer", || self.psql("postgres", receivers).is_ok_and(|count| count == "0"))
    }

    /// Ends this server as in a crash, and puts its standby in its place: promoted, and on its port.
    ///
    /// # Errors
    /// The standby can't be promoted.
    pub fn fail_over(&mut self, mut standby: Self) -> Result<()> {
        self.stop()?;
        standby.psql("postgres", "SELECT pg_promote()")?;
        standby.psql("postgres", "ALTER SYSTEM RESET synchronous_standby_names")?;
        standby.stop_fast()?;
        standby.port = self.port;
        std::mem::swap(self, &mut standby);
        self.resume()
    }

    fn replication(&self, column: &str) -> Result<String> {
        self.psql("postgres", &format!("SELECT {column} FROM pg_stat_replication"))
    }
}
