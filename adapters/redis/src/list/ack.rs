//! Acknowledges, requeues or dead-letters elements of the processing list.

use std::cmp::Reverse;

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult};
use tallyhouse_core::ports::{Acknowledgement, Disposition};

use super::consumer::{Consumer, NAME};
use super::element::Element;
use crate::connection::{Script, calls};
use crate::dead_letter::DeadLetterDraft;
use crate::dead_letters;
use crate::oversize::Oversize;

static ACK: Script = Script::new(include_str!("scripts/ack.lua"));
static DEAD_LETTER: Script = Script::new(include_str!("scripts/dead_letter.lua"));
static NACK: Script = Script::new(include_str!("scripts/nack.lua"));
static END_OVERSIZED: Script =
    Script::new(concat!(include_str!("../digest.lua"), include_str!("scripts/end_oversized.lua")));

/// Acknowledgements in flight. If this is dropped before they are done, the processing list must be reconciled.
struct AcksInProgress<'a> {
    consumer: &'a Consumer,
    key: String,
    count: usize,
    done: bool,
    acked: Vec<Vec<u8>>,
    dead_letters: Vec<DeadLetterDraft>,
    /// With their tags, which rise: the larger, the newer.
    nacked: Vec<(u64, Element)>,
    oversized: Vec<(Oversize, OversizedEnd)>,
}

/// How an oversized element leaves the list. The scripts for other elements find them by the whole payload.
enum OversizedEnd {
    Ack,
    DeadLetter(DeadLetterDraft),
    Nack,
}

impl<'a> AcksInProgress<'a> {
    fn begin(consumer: &'a Consumer, acknowledgements: Vec<Acknowledgement>) -> Self {
        let mut in_flight = consumer.in_flight();
        let key = consumer.client.keys().processing(&in_flight.name);
        let (mut acked, mut dead_letters, mut nacked, mut oversized) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut count = 0;
        for Acknowledgement { tag, disposition } in acknowledgements {
            // An element that is not in flight was acknowledged before, or belongs to another consumer by now.
            let Some((tag, element)) = in_flight.begin_ack(&tag) else { continue };
            count += 1;
            let draft = |payload, reason, detail| DeadLetterDraft {
                payload,
                reason,
                detail,
                origin: NAME,
                at: consumer.clock.now(),
            };
            match (disposition, element) {
                (Disposition::Nack, element) => nacked.push((tag, element)),
                (Disposition::Ack, Element { payload, oversize: None }) => acked.push(payload),
                (Disposition::Ack, Element { oversize: Some(oversize), .. }) => {
                    oversized.push((oversize, OversizedEnd::Ack));
                }
                (Disposition::DeadLetter { reason, detail }, Element { payload, oversize: None }) => {
                    dead_letters.push(draft(payload, reason, detail));
                }
                (Disposition::DeadLetter { reason, detail }, Element { payload, oversize: Some(oversize) }) => {
                    oversized.push((oversize, OversizedEnd::DeadLetter(draft(payload, reason, detail))));
                }
            }
        }
        drop(in_flight);
        Self { consumer, key, count, done: false, acked, dead_letters, nacked, oversized }
    }
}

impl Drop for AcksInProgress<'_> {
    fn drop(&mut self) {
        self.consumer.in_flight().end_ack(self.count, self.done);
    }
}

impl Consumer {
    pub(super) async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> RedisResult<()> {
        let _no_reconciliation = self.acking.read().await;
        let mut acks = AcksInProgress::begin(self, acknowledgements);
        let mut connection = self.client.shared();
        for payloads in calls(&acks.acked, Vec::len) {
            ACK.run::<()>(&mut connection, &[&acks.key], |args| add(args, payloads)).await?;
        }
        for drafts in calls(&acks.dead_letters, |draft| draft.payload.len()) {
            self.dead_letter(&mut connection, &acks.key, drafts).await?;
        }
        for (oversize, end) in &acks.oversized {
            self.end_oversized(&mut connection, &acks.key, oversize, end).await?;
        }
        acks.nacked.sort_unstable_by_key(|(tag, _)| Reverse(*tag));
        let nacked: Vec<_> = std::mem::take(&mut acks.nacked).into_iter().map(|(_, element)| element).collect();
        self.nack(&mut connection, &acks.key, &nacked).await?;
        acks.done = true;
        Ok(())
    }

    /// Requeues elements, newest first, to the right end of the records, from which they are taken next.
    pub(super) async fn nack(
        &self,
        connection: &mut (impl ConnectionLike + Send),
        key: &str,
        newest_first: &[Element],
    ) -> RedisResult<()> {
        let keys = [key, &self.client.keys().records];
        for elements in newest_first.chunk_by(|a, b| a.oversize.is_none() && b.oversize.is_none()) {
            if let [Element { oversize: Some(oversize), .. }] = elements {
                self.end_oversized(connection, key, oversize, &OversizedEnd::Nack).await?;
                continue;
            }
            for elements in calls(elements, |element| element.payload.len()) {
                NACK.run::<()>(connection, &keys, |args| {
                    for element in elements {
                        args.arg(&element.payload);
                    }
                })
                .await?;
            }
        }
        Ok(())
    }

    async fn end_oversized(
        &self,
        connection: &mut (impl ConnectionLike + Send),
        key: &str,
        oversize: &Oversize,
        end: &OversizedEnd,
    ) -> RedisResult<()> {
        let keys = self.client.keys();
        let (keys, action, draft) = match end {
            OversizedEnd::Ack => (vec![key], "ack", None),
            OversizedEnd::Nack => (vec![key, &keys.records], "nack", None),
            OversizedEnd::DeadLetter(draft) if self.client.connector().is_cluster() => {
                // The dead letters lie in another slot, which the script can't reach. So they are written first.
                dead_letters::write(connection, &keys.dead_letters, std::iter::once(draft)).await?;
                (vec![key], "ack", None)
            }
            OversizedEnd::DeadLetter(draft) => (vec![key, &*keys.dead_letters], "dead-letter", Some(draft)),
        };
        END_OVERSIZED
            .run(connection, &keys, |args| {
                args.arg(oversize.bytes).arg(&oversize.sha1).arg(action);
                if let Some(draft) = draft {
                    draft.add_to(args);
                }
            })
            .await
    }

    async fn dead_letter(
        &self,
        connection: &mut (impl ConnectionLike + Send),
        key: &str,
        drafts: &[DeadLetterDraft],
    ) -> RedisResult<()> {
        let dead_letters = &*self.client.keys().dead_letters;
        if self.client.connector().is_cluster() {
            // The dead letters lie in another slot, which the script can't reach. So they are written first.
            dead_letters::write(connection, dead_letters, drafts.iter()).await?;
            return ACK
                .run(connection, &[key], |args| {
                    for draft in drafts {
                        args.arg(&draft.payload);
                    }
                })
                .await;
        }
        DEAD_LETTER
            .run(connection, &[key, dead_letters], |args| {
                for draft in drafts {
                    draft.add_to(args);
                }
            })
            .await
    }
}

fn add(args: &mut Cmd, payloads: &[Vec<u8>]) {
    for payload in payloads {
        args.arg(payload);
    }
}
