//! Subscribes to the notifications of Tallyhouse, and notices repeats and gaps.
//!
//! ```sh
//! cargo run -p tallyhouse-redis --example subscribe -- redis://127.0.0.1:6379
//! ```
//!
//! Pub/sub sends a message to the subscribers of that moment. A missed message shows as a gap, and is there over HTTP at
//! `GET /v1/notifications?after=…`. `examples/subscribe.py` shows how to catch up after every (re)connect.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::RedisResult;
use serde::Deserialize;

const CHANNEL: &str = "tallyhouse:notifications";

/// A gap is one that stays: instances publish side by side, so a later message may overtake an earlier one for a
/// moment.
const GAP: Duration = Duration::from_secs(5);

/// How many ids are remembered. Repeats come soon after the first, so that a bounded memory is enough.
const IDS_MAX: usize = 1_000_000;

/// What is read of a notification.
#[derive(Deserialize)]
struct Notification {
    source: String,
    id: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    record: Key,
    sequence: u64,
}

/// What sequences run along.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    destination_id: String,
    reference: String,
}

/// Remembers which messages were seen, by what identifies a CloudEvent.
#[derive(Default)]
struct Repeats {
    seen: HashSet<(String, String)>,
    order: VecDeque<(String, String)>,
}

impl Repeats {
    fn is_repeat(&mut self, message: &Notification) -> bool {
        let identity = (message.source.clone(), message.id.clone());
        if !self.seen.insert(identity.clone()) {
            return true;
        }
        self.order.push_back(identity);
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        false
    }
}

/// Follows the sequence of each key: 1, 2, 3 … without a gap.
#[derive(Default)]
struct Gaps(HashMap<Key, Place>);

struct Place {
    /// The sequence that comes next.
    next: u64,
    /// The sequences that have overtaken it, and when they came.
    ahead: BTreeMap<u64, Instant>,
}

impl Place {
    fn advance(&mut self) {
        while self.ahead.remove(&self.next).is_some() {
            self.next += 1;
        }
    }
}

impl Gaps {
    fn note(&mut self, data: &Data) {
        // What was before the first message that we see is not ours to miss.
        let new = Place { next: data.sequence, ahead: BTreeMap::new() };
        let place = self.0.entry(data.record.clone()).or_insert(new);
        if data.sequence >= place.next {
            place.ahead.insert(data.sequence, Instant::now());
        } else {
            let Key { destination_id, reference } = &data.record;
            let sequence = data.sequence;
            println!(
                "back {destination_id:?} {reference:?}: {sequence} is late, or the database was restored: start over"
            );
        }
        place.advance();
    }

    /// Tells each gap that stays, once, and goes on behind it.
    fn tell_lasting(&mut self) {
        for (Key { destination_id, reference }, place) in &mut self.0 {
            if let Some((&first, came)) = place.ahead.first_key_value()
                && came.elapsed() > GAP
            {
                println!("gap {destination_id:?} {reference:?}: {} to {} are missing", place.next, first - 1);
                place.next = first;
                place.advance();
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let client = redis::Client::open(url)?;
    let (mut repeats, mut gaps) = (Repeats::default(), Gaps::default());
    loop {
        if let Err(error) = follow(&client, &mut repeats, &mut gaps) {
            eprintln!("reconnecting: {error}");
        }
        sleep(Duration::from_secs(1));
    }
}

/// Follows the channel until the connection breaks.
fn follow(client: &redis::Client, repeats: &mut Repeats, gaps: &mut Gaps) -> RedisResult<()> {
    let mut connection = client.get_connection()?;
    let mut subscription = connection.as_pubsub();
    subscription.subscribe(CHANNEL)?;
    subscription.set_read_timeout(Some(Duration::from_secs(1)))?;
    loop {
        match subscription.get_message() {
            Ok(message) => match serde_json::from_slice::<Notification>(message.get_payload_bytes()) {
                Ok(message) if repeats.is_repeat(&message) => println!("repeat {}", message.id),
                Ok(message) => {
                    gaps.note(&message.data);
                    println!("{} {}", message.id, message.data.sequence);
                }
                Err(error) => eprintln!("not a notification: {error}"),
            },
            Err(error) if error.is_timeout() => {}
            Err(error) => return Err(error),
        }
        gaps.tell_lasting();
    }
}
