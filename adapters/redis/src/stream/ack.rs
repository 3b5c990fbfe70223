//! Acknowledges, requeues or dead-letters entries of the stream.

use redis::aio::ConnectionLike;
use redis::{RedisResult, cmd};
use tallyhouse_core::ports::{Acknowledgement, Disposition};

use super::consumer::{Consumer, NAME};
use crate::connection::{Script, calls};
use crate::dead_letter::DeadLetterDraft;
use crate::dead_letters;
use crate::error::is_group_missing;
use crate::keys::GROUP;

/// Entries in one call of a script: the server executes nothing else meanwhile.
const CALL_ENTRIES_MAX: usize = 1000;

/// An idle time that exceeds every lease, so that the entry can be claimed at once.
const ABANDONED_MS: u64 = 24 * 60 * 60 * 1000;

static ACK: Script = Script::new(include_str!("scripts/ack.lua"));
static DEAD_LETTER: Script = Script::new(include_str!("scripts/dead_letter.lua"));

impl Consumer {
    /// Acknowledges entries. It removes them from those in flight first: if the rest fails or is cancelled, no heartbeat
    /// resets their idle time, and they are claimed.
    pub(super) async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> RedisResult<()> {
        let (mut acked, mut dead_letters, mut nacked) = (Vec::new(), Vec::new(), Vec::new());
        for Acknowledgement { tag, disposition } in acknowledgements {
            // An entry that is not in flight was acknowledged before, or will be read again.
            let Some(payload) = self.in_flight.remove(&tag) else { continue };
            match disposition {
                Disposition::Ack => acked.push(tag),
                Disposition::DeadLetter { reason, detail } => {
                    let at = self.clock.now();
                    dead_letters.push((tag, DeadLetterDraft { payload, reason, detail, origin: NAME, at }));
                }
                Disposition::Nack => nacked.push(tag),
            }
        }
        let mut connection = self.client.shared();
        self.remove(&mut connection, &acked).await?;
        for drafts in calls(&dead_letters, |(_, draft)| draft.payload.len()) {
            self.dead_letter(&mut connection, drafts).await?;
        }
        self.nack(&mut connection, &nacked).await
    }

    /// Acknowledges and deletes entries. A transaction would cost less than the script, but a server that is at its
    /// `maxmemory` queues no command.
    pub(super) async fn remove(
        &self,
        connection: &mut (impl ConnectionLike + Send),
        ids: &[String],
    ) -> RedisResult<()> {
        for ids in ids.chunks(CALL_ENTRIES_MAX) {
            ACK.run::<()>(connection, &[&self.client.keys().stream], |args| {
                args.arg(GROUP).arg(ids);
            })
            .await?;
        }
        Ok(())
    }

    async fn dead_letter(
        &self,
        connection: &mut (impl ConnectionLike + Send),
        drafts: &[(String, DeadLetterDraft)],
    ) -> RedisResult<()> {
        let keys = self.client.keys();
        if self.client.connector().is_cluster() {
            // The dead letters lie in another slot, which the script can't reach. So they are written first.
            dead_letters::write(connection, &keys.dead_letters, drafts.iter().map(|(_, draft)| draft)).await?;
            let ids: Vec<_> = drafts.iter().map(|(id, _)| id.clone()).collect();
            return self.remove(connection, &ids).await;
        }
        DEAD_LETTER
            .run(connection, &[&keys.stream, &keys.dead_letters], |args| {
                args.arg(GROUP);
                for (id, draft) in drafts {
                    args.arg(id);
                    draft.add_to(args);
                }
            })
            .await
    }

    /// Makes entries look abandoned: the next consumer that looks for entries to claim takes them.
    async fn nack(&self, connection: &mut (impl ConnectionLike + Send), ids: &[String]) -> RedisResult<()> {
        for ids in ids.chunks(CALL_ENTRIES_MAX) {
            let mut command = cmd("XCLAIM");
            command.arg(&self.client.keys().stream).arg(GROUP).arg(&self.name).arg(0).arg(ids);
            command.arg("IDLE").arg(ABANDONED_MS).arg("JUSTID");
            match command.exec_async(connection).await {
                // A group that is created again reads them again.
                Err(error) if is_group_missing(&error) => {}
                result => result?,
            }
            self.note_nack();
        }
        Ok(())
    }
}
