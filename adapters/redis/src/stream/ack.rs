//! How entries leave the stream.

use std::sync::atomic::Ordering;

use redis::aio::ConnectionLike;
use redis::{RedisResult, cmd};
use tallyhouse_core::ports::{Acknowledgement, Disposition};

use super::{Consumer, GROUP, NAME};
use crate::dead_letter::Refusal;
use crate::dead_letters;
use crate::error::is_group_missing;
use crate::script::Script;

/// Entries in one call of a script: the server does nothing else meanwhile.
const CALL_ENTRIES_MAX: usize = 1000;

/// Refusals in one call of a script: they carry their payloads.
const CALL_REFUSALS_MAX: usize = 64;

/// An idle time by which an entry can be claimed whatever the lease.
const ABANDONED_MS: u64 = 24 * 60 * 60 * 1000;

static REMOVE: Script = Script::new(include_str!("ack.lua"));
static REFUSE: Script = Script::new(include_str!("dead_letter.lua"));

impl Consumer {
    /// Settles entries. They are forgotten here first: where the rest fails or is cancelled, nobody keeps them fresh,
    /// and they are claimed.
    pub(super) async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> RedisResult<()> {
        let (mut done, mut refused, mut returned) = (Vec::new(), Vec::new(), Vec::new());
        for Acknowledgement { tag, disposition } in acknowledgements {
            // What is not under way here was settled before, or will be read again, by us or by another.
            let Some(payload) = self.in_flight.release(&tag) else { continue };
            match disposition {
                Disposition::Ack => done.push(tag),
                Disposition::DeadLetter { reason, detail } => {
                    refused.push((tag, Refusal { payload, reason, detail, origin: NAME, at: self.clock.now() }));
                }
                Disposition::Nack => returned.push(tag),
            }
        }
        let mut link = self.client.shared();
        self.remove(&mut link, &done).await?;
        for refusals in refused.chunks(CALL_REFUSALS_MAX) {
            self.refuse(&mut link, refusals).await?;
        }
        self.give_back(&mut link, &returned).await
    }

    /// Acknowledges and deletes entries.
    pub(super) async fn remove(&self, link: &mut (impl ConnectionLike + Send), ids: &[String]) -> RedisResult<()> {
        for ids in ids.chunks(CALL_ENTRIES_MAX) {
            REMOVE
                .run::<()>(link, &[&self.client.keys().stream], |args| {
                    args.arg(GROUP).arg(ids);
                })
                .await?;
        }
        Ok(())
    }

    async fn refuse(&self, link: &mut (impl ConnectionLike + Send), refusals: &[(String, Refusal)]) -> RedisResult<()> {
        let keys = self.client.keys();
        if self.client.connector().is_cluster() {
            // The dead letters lie in another slot, out of a script's reach. So they are written first.
            dead_letters::write(link, &keys.dead_letters, refusals.iter().map(|(_, refusal)| refusal)).await?;
            let ids: Vec<_> = refusals.iter().map(|(id, _)| id.clone()).collect();
            return self.remove(link, &ids).await;
        }
        REFUSE
            .run(link, &[&keys.stream, &keys.dead_letters], |args| {
                args.arg(GROUP);
                for (id, refusal) in refusals {
                    args.arg(id);
                    refusal.add_to(args);
                }
            })
            .await
    }

    /// Makes entries look abandoned, so that the next one to look claims them: this consumer or another.
    async fn give_back(&self, link: &mut (impl ConnectionLike + Send), ids: &[String]) -> RedisResult<()> {
        for ids in ids.chunks(CALL_ENTRIES_MAX) {
            let mut command = cmd("XCLAIM");
            command.arg(&self.client.keys().stream).arg(GROUP).arg(&self.name).arg(0).arg(ids);
            command.arg("IDLE").arg(ABANDONED_MS).arg("JUSTID");
            match command.exec_async(link).await {
                // A group that is made again reads them again.
                Err(error) if is_group_missing(&error) => {}
                result => result?,
            }
            self.claimable.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
