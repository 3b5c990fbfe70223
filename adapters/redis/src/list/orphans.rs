//! Finds the lists of consumers that nobody knows of any more. A consumer is known before it takes anything; but a
//! server may have evicted who they were, an operator may have removed it, or moved the lists here without it.

use std::time::Duration;

use redis::{RedisResult, cmd};
use tokio::time::sleep;

use super::Consumer;
use crate::error::is_forbidden;
use crate::script::Script;

/// How many keys the server looks at in one call.
const KEYS_A_CALL: u32 = 1000;

/// What is waited between two calls, so that a server with many keys has its time for others.
const PAUSE: Duration = Duration::from_millis(10);

static ADOPT: Script = Script::new(include_str!("claim_orphan.lua"));

impl Consumer {
    /// Looks for such lists whenever we have joined, which we do at the start and when we were forgotten ourselves, and
    /// has those consumers known again; their elements are taken over as those of any other that is silent. Goes on for
    /// ever.
    pub(super) async fn adopt(&self) {
        loop {
            self.joined.notified().await;
            while let Err(error) = self.adopt_all().await {
                if is_forbidden(&error) {
                    tracing::info!(
                        "without the right to SCAN, lists of consumers that Redis has forgotten are not found"
                    );
                    break;
                }
                // The source itself reports that the server is away.
                tracing::debug!(%error, "lists of unknown consumers could not be looked for");
                sleep(self.client.settings().lease).await;
            }
        }
    }

    async fn adopt_all(&self) -> RedisResult<()> {
        let keys = self.client.keys();
        let (all, lease_ms) = (keys.processing(""), self.lease_ms());
        // Not the shared connection, which may be replaced unseen: a cursor holds on its own server only.
        let mut link = self.connect().await?;
        let mut cursor = 0;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(keys.processing_pattern());
            scan.arg("COUNT").arg(KEYS_A_CALL).arg("TYPE").arg("list");
            let (next, lists): (u64, Vec<Vec<u8>>) = link.ask_where(&keys.records, scan).await?;
            let names: Vec<&str> =
                lists.iter().filter_map(|list| str::from_utf8(list).ok()?.strip_prefix(&all)).collect();
            if !names.is_empty() {
                let adopted: u64 = ADOPT
                    .run(&mut link, &[&keys.consumers], |args| {
                        args.arg(lease_ms).arg(&names);
                    })
                    .await?;
                if adopted > 0 {
                    tracing::warn!(consumers = adopted, "Redis holds lists of consumers that it did not know any more");
                }
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
            sleep(PAUSE).await;
        }
    }
}
