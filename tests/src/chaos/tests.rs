//! What finds nothing wrong must be able to: each thing that could go wrong is done by hand, and found.

use super::*;
use crate::chaos::content::Item;
use crate::chaos::listener::{Message, Received};

/// How long the producers work.
const LOAD: Duration = Duration::from_secs(3);

/// Everything that a run leaves, with nothing disturbed.
struct Left {
    world: World,
    ledger: Arc<Ledger>,
    received: Received,
}

impl Left {
    fn behind() -> Self {
        let world = World::start(2);
        let ledger = Arc::new(Ledger::new(1));
        let listeners = Listeners::start(&world.redis.url(), &ledger);
        let context = producer_context(&world, &ledger);
        let producers = producer::start(&context, 300, &mut Seed::again(1));
        std::thread::sleep(LOAD);
        context.ending.store(true, Ordering::Relaxed);
        settle(&world, &ledger, producers);
        await_messages(&world, &listeners).unwrap();
        let received = listeners.end();
        Self { world, ledger, received }
    }

    /// Returns what was found wrong, and how many records were found to be lost and doubled.
    fn judged(&self, received: &Received) -> (u64, usize, usize) {
        let before = self.ledger.found();
        let http = Client::new(&self.world.instances[0].url);
        let counts = Judge::new(&self.ledger, received.clone()).judge(&http, &self.world.redis).unwrap();
        (self.ledger.found() - before, counts.lost, counts.doubled)
    }

    fn sql(&self, sql: &str) {
        self.world.psql(sql).unwrap();
    }
}

#[test]
fn every_manipulation_of_stored_or_published_data_is_found() {
    let left = Left::behind();
    assert_eq!(left.judged(&left.received), (0, 0, 0), "nothing has been done yet");

    let published = |change: fn(&mut Message)| {
        let mut received = left.received.clone();
        change(&mut received.notifications[7]);
        left.judged(&received).0
    };
    assert_eq!(published(|message| message.hash += 1), 1, "other words");
    assert_eq!(published(|message| message.streamed = 0), 1, "published by the channel alone");
    assert_eq!(published(|message| *message = Message::default()), 2, "never published, and one too few");
    let mut received = left.received.clone();
    received.alerts.clear();
    assert!(left.judged(&received).0 > 0, "no alerts were published");

    // From here on each stays as it is, and what is found adds up.
    let summary =
        |key: &str| format!("SELECT summary FROM summaries WHERE destination_id = '{key}' AND reference = ''");
    let other = summary("hot-1");
    left.sql(&format!("UPDATE summaries SET summary = ({other}) WHERE destination_id = 'hot-0' AND reference = ''"));
    assert_eq!(left.judged(&left.received).0, 1, "a running summary");
    left.sql("UPDATE records SET value = value + 1 WHERE record_id = 'r-3'");
    assert_eq!(left.judged(&left.received).0, 3, "a value: not as it was sent, and not as it was published");
    left.sql("UPDATE records SET record_id = 'r-4000000000' WHERE record_id = 'r-5'");
    let (found, lost, _) = left.judged(&left.received);
    assert!(found >= 5 && lost == 1, "one was never sent, and one is lost: {found}, {lost}");

    let letters: u64 =
        left.world.redis.cli(&["XTRIM", "tallyhouse:dead-letters", "MAXLEN", "1"]).unwrap().parse().unwrap();
    assert!(letters > 0 && left.judged(&left.received).0 >= found + letters, "{letters} dead letters are missing");
}

#[test]
fn what_producers_and_listeners_are_told_wrongly_is_found() {
    let ledger = Ledger::new(1);
    let (one, other) = (ledger.next(), ledger.next());
    let found = |item, outcome: &str, sequence| {
        let before = ledger.found();
        ledger.answered(item, outcome, sequence);
        ledger.found() > before
    };
    assert!(!found(Item::Record(one), "processed", 4));
    assert!(!found(Item::Record(one), "duplicate", 4));
    assert!(found(Item::Record(one), "duplicate", 5), "another sequence");
    assert!(found(Item::Record(one), "processed", 5), "processed twice");
    assert!(found(Item::Record(other), "conflict", 0), "a conflict with itself");
    assert!(found(Item::Conflict(one, 1), "duplicate", 4), "no conflict");
    assert!(found(Item::Bad(1), "processed", 1), "no record");
}
