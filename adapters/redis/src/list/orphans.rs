//! Finds orphans: processing lists whose consumer is not registered. A consumer registers before it takes elements, but
//! a server may evict the registrations, an operator may delete them, or copy the lists without them.

use std::time::Duration;

use redis::{RedisResult, cmd};
use tokio::time::sleep;

use super::consumer::Consumer;
use crate::connection::Script;
use crate::error::is_forbidden;

/// Keys that one `SCAN` looks at.
const SCAN_COUNT: u32 = 1000;

/// Pause between two `SCAN`s, so that a server with many keys can serve others.
const SCAN_PAUSE: Duration = Duration::from_millis(10);

static REGISTER_ORPHANS: Script = Script::new(include_str!("scripts/register_orphans.lua"));

impl Consumer {
    /// Looks for orphans after each registration of this consumer: at the start, and after the server has lost it. It
    /// registers the orphans' consumers, so that their elements are requeued when that lease expires. Never returns.
    pub(super) async fn register_orphans(&self) {
        loop {
            self.registered.notified().await;
            while let Err(error) = self.scan_for_orphans().await {
                if is_forbidden(&error) {
                    tracing::info!("orphaned processing lists can't be found without the right to SCAN");
                    break;
                }
                // The source itself reports that the server is unavailable.
                tracing::debug!(%error, "the scan for orphaned processing lists failed");
                sleep(self.client.settings().lease).await;
            }
        }
    }

    async fn scan_for_orphans(&self) -> RedisResult<()> {
        let keys = self.client.keys();
        let (key_start, lease_ms) = (keys.processing(""), self.lease_ms());
        // A cursor is valid on one server only. The shared connection may be replaced by one to another server.
        let mut connection = self.client.connect_blocking().await?;
        let mut cursor = 0;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(keys.processing_pattern());
            scan.arg("COUNT").arg(SCAN_COUNT).arg("TYPE").arg("list");
            let (next, lists): (u64, Vec<Vec<u8>>) = connection.query_at(&keys.records, scan).await?;
            let names: Vec<&str> =
                lists.iter().filter_map(|list| str::from_utf8(list).ok()?.strip_prefix(&key_start)).collect();
            if !names.is_empty() {
                let registered: u64 = REGISTER_ORPHANS
                    .run(&mut connection, &[&keys.consumers], |args| {
                        args.arg(lease_ms).arg(&names);
                    })
                    .await?;
                if registered > 0 {
                    tracing::warn!(consumers = registered, "found processing lists of unregistered consumers");
                }
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
            sleep(SCAN_PAUSE).await;
        }
    }
}
