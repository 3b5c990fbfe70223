//! The checks before any connection: keys, certificates, addresses, and the settings of Redis.
//!
//! `serve` and `config check` share them, so that settings that pass the check do not fail the start.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tallyhouse_http::{KeyRing, TlsIdentity};
use tallyhouse_pipeline::TokioClock;
use tallyhouse_redis::RedisClient;
use tallyhouse_sqlite::{SqliteProblem, SqliteRepository, SqliteSettings};
use tokio::net::lookup_host;

use super::queues::open_client;
use crate::database::warn_of_clear_text;
use crate::overwrite::folder_of;
use crate::settings::{DatabaseUrl, Faults, Settings, SettingsError};

/// The parts of the service that exist before it has connected to anything.
pub(crate) struct Preflight {
    pub(super) keys: Option<Arc<KeyRing>>,
    pub(super) identity: Option<Arc<TlsIdentity>>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) redis: Option<RedisClient>,
}

impl Preflight {
    /// Reads the files that the settings name, and checks the settings against each other.
    ///
    /// # Errors
    /// A setting or a file is wrong.
    pub(crate) async fn of(settings: &Settings) -> Result<Self, SettingsError> {
        let mut faults = Faults::default();
        let keys = settings.keys_file.as_ref().map(KeyRing::open).transpose();
        let keys = keys.map_err(|error| SettingsError(format!("the setting auth.keys_file is wrong: {error}")));
        let keys = faults.keep(keys).flatten();
        let identity = settings.tls.as_ref().map(|files| TlsIdentity::open(&files.cert_file, &files.key_file));
        let identity = identity.transpose();
        let identity = identity.map_err(|error| SettingsError(format!("the settings of tls are wrong: {error}")));
        let identity = faults.keep(identity).flatten();
        let addresses = faults.keep(addresses(settings).await).unwrap_or_default();
        let redis = faults.keep(settings.redis.clone().map(open_client).transpose()).flatten();
        match faults.error() {
            Some(error) => Err(error),
            None => Ok(Self { keys: keys.map(Arc::new), identity: identity.map(Arc::new), addresses, redis }),
        }
    }
}

/// Looks up the addresses to listen on, and checks that keys, or an explicit setting, control access to them.
async fn addresses(settings: &Settings) -> Result<Vec<SocketAddr>, SettingsError> {
    let listen = &settings.listen;
    let found = lookup_host(listen).await.map_err(|error| {
        SettingsError(format!("the setting listen = {listen:?} must be HOST:PORT, such as 127.0.0.1:8080: {error}"))
    })?;
    let found: Vec<_> = found.collect();
    let access_is_decided = settings.keys_file.is_some() || settings.anonymous;
    if !access_is_decided && found.iter().any(|address| !address.ip().is_loopback()) {
        return Err(SettingsError(format!(
            "the setting listen = {listen:?} is reachable from other machines, and anybody could read and write; set \
             auth.keys_file (see tallyhouse keys new), or auth.anonymous = true (TALLYHOUSE_AUTH__ANONYMOUS=true) if a \
             proxy or the network controls access"
        )));
    }
    Ok(found)
}

/// Checks the database as far as possible without a connection, and changes nothing.
///
/// # Errors
/// The file or its folder can't be used, or a file that the URL of Postgres names can't be read.
pub(crate) async fn check_database(settings: &Settings) -> anyhow::Result<()> {
    let wrong = |error: anyhow::Error| SettingsError(format!("the setting database.url is wrong: {error:#}"));
    match &settings.database {
        DatabaseUrl::Temporary => {}
        DatabaseUrl::Sqlite(path) => check_sqlite(path, settings).await.map_err(wrong)?,
        DatabaseUrl::Postgres(url) => {
            warn_of_clear_text(&settings.database, url);
            for file in settings.database.files() {
                check_readable(&file).map_err(wrong)?;
            }
        }
    }
    Ok(())
}

async fn check_sqlite(path: &Path, settings: &Settings) -> anyhow::Result<()> {
    if !path.exists() {
        let folder = folder_of(path);
        // The file has no name, so it leaves nothing behind.
        tempfile::tempfile_in(folder)
            .with_context(|| format!("the folder {} can't be written to", folder.display()))?;
        return Ok(());
    }
    // Opening for writing checks the permission; nothing is written.
    let opened = std::fs::File::options().append(true).open(path);
    opened.with_context(|| format!("{} can't be written to", path.display()))?;
    let settings = SqliteSettings { path: path.to_owned(), ..settings.sqlite.clone() };
    let database = SqliteRepository::open_read_only(settings, Arc::new(TokioClock::start())).await?;
    match database.check_schema().await {
        // An old schema is no error: a start migrates it.
        Err(error) if *error.problem() == SqliteProblem::NotMigrated => Ok(()),
        checked => Ok(checked?),
    }
}

fn check_readable(file: &Path) -> anyhow::Result<()> {
    std::fs::File::open(file).map(drop).with_context(|| format!("{} can't be read", file.display()))
}
