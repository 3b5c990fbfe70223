//! How elements leave our list.

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult};
use tallyhouse_core::ports::{Acknowledgement, Disposition};

use super::{Consumer, NAME};
use crate::dead_letter::Refusal;
use crate::dead_letters;
use crate::script::Script;

/// Payload bytes in one call of a script: the server does nothing else meanwhile.
const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Elements in one call of a script, for the same reason.
const CALL_ELEMENTS_MAX: usize = 1000;

static REMOVE: Script = Script::new(include_str!("ack.lua"));
static REFUSE: Script = Script::new(include_str!("dead_letter.lua"));
static GIVE_BACK: Script = Script::new(include_str!("nack.lua"));

/// Elements whose settling is under way. Dropped before its end, it leaves our list in doubt.
struct Settling<'a> {
    consumer: &'a Consumer,
    key: String,
    count: usize,
    done: bool,
    removed: Vec<Vec<u8>>,
    refused: Vec<Refusal>,
    /// With their tags, which rise with their age's end: the larger, the newer.
    returned: Vec<(u64, Vec<u8>)>,
}

impl<'a> Settling<'a> {
    fn begin(consumer: &'a Consumer, acknowledgements: Vec<Acknowledgement>) -> Self {
        let mut in_flight = consumer.in_flight();
        let key = consumer.client.keys().processing(&in_flight.name);
        let (mut removed, mut refused, mut returned) = (Vec::new(), Vec::new(), Vec::new());
        let mut count = 0;
        for Acknowledgement { tag, disposition } in acknowledgements {
            // What is not in_flight was settled before, or is not ours any more and somebody else's to settle.
            let Some((tag, payload)) = in_flight.begin_settling(&tag) else { continue };
            count += 1;
            match disposition {
                Disposition::Ack => removed.push(payload),
                Disposition::DeadLetter { reason, detail } => {
                    refused.push(Refusal { payload, reason, detail, origin: NAME, at: consumer.clock.now() });
                }
                Disposition::Nack => returned.push((tag, payload)),
            }
        }
        drop(in_flight);
        Self { consumer, key, count, done: false, removed, refused, returned }
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.consumer.in_flight().end_settling(self.count, self.done);
    }
}

impl Consumer {
    pub(super) async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> RedisResult<()> {
        let _no_sweep = self.settling.read().await;
        let mut settling = Settling::begin(self, acknowledgements);
        let mut link = self.client.shared();
        for payloads in calls(&settling.removed, Vec::len) {
            self.remove(&mut link, &settling.key, payloads).await?;
        }
        for refusals in calls(&settling.refused, |refusal| refusal.payload.len()) {
            self.refuse(&mut link, &settling.key, refusals).await?;
        }
        settling.returned.sort_unstable_by_key(|(tag, _)| std::cmp::Reverse(*tag));
        let returned: Vec<_> = std::mem::take(&mut settling.returned).into_iter().map(|(_, payload)| payload).collect();
        self.give_back(&mut link, &settling.key, &returned).await?;
        settling.done = true;
        Ok(())
    }

    /// Puts elements, newest first, back to the end of the records from which they are taken next.
    pub(super) async fn give_back(
        &self,
        link: &mut (impl ConnectionLike + Send),
        key: &str,
        newest_first: &[Vec<u8>],
    ) -> RedisResult<()> {
        for payloads in calls(newest_first, Vec::len) {
            let keys = [key, &self.client.keys().records];
            GIVE_BACK.run::<()>(link, &keys, |args| add(args, payloads)).await?;
        }
        Ok(())
    }

    async fn remove(
        &self,
        link: &mut (impl ConnectionLike + Send),
        key: &str,
        payloads: &[Vec<u8>],
    ) -> RedisResult<()> {
        REMOVE.run(link, &[key], |args| add(args, payloads)).await
    }

    async fn refuse(
        &self,
        link: &mut (impl ConnectionLike + Send),
        key: &str,
        refusals: &[Refusal],
    ) -> RedisResult<()> {
        let dead_letters = &*self.client.keys().dead_letters;
        if self.client.connector().is_cluster() {
            // The dead letters lie in another slot, out of a script's reach. So they are written first.
            dead_letters::write(link, dead_letters, refusals.iter()).await?;
            return REMOVE
                .run(link, &[key], |args| {
                    for refusal in refusals {
                        args.arg(&refusal.payload);
                    }
                })
                .await;
        }
        REFUSE
            .run(link, &[key, dead_letters], |args| {
                for refusal in refusals {
                    refusal.add_to(args);
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

/// Cuts elements into parts that one call of a script may take.
fn calls<T>(elements: &[T], bytes: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = elements;
    std::iter::from_fn(move || {
        let mut room = CALL_BYTES_MAX;
        let fits = |element: &&T| {
            let size = bytes(element);
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        };
        let count = rest.iter().take(CALL_ELEMENTS_MAX).take_while(fits).count().max(1).min(rest.len());
        let (part, after) = rest.split_at(count);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}
