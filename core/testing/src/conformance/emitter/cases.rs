//! The cases that every emitter must pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;

use super::EmitterFixture;
use crate::doubles::generate::{self, AWKWARD_TEXTS, Generator, draft, record};
use tallyhouse_core::ports::MessageEmitter;
use tallyhouse_core::{Draft, Message, MessageFormat, Record, StoredRecord, Summary, Topic};

/// Notifications and alerts arrive on their own topics, in the order in which they were emitted.
pub async fn messages_arrive_in_order_on_their_topics<F: EmitterFixture>() {
    let fixture = F::fresh().await;
    let emitter = fixture.emitter().await;
    let stored = stored(Generator::new(1).records("r", 60));
    for stored in stored.chunks(20) {
        emit(&*emitter, &messages(stored)).await;
    }
    for topic in Topic::ALL {
        let expected: Vec<String> = texts(&stored, topic);
        assert!(expected.len() > 20, "there are enough messages to have an order");
        assert_eq!(fixture.arrived(topic, expected.len()).await, expected, "{topic:?}");
    }
}

/// A message arrives unchanged: with every text that the rules allow, and at its greatest length.
pub async fn messages_arrive_unchanged<F: EmitterFixture>() {
    let fixture = F::fresh().await;
    let emitter = fixture.emitter().await;
    let longest = "𝄞".repeat(255);
    // The summary before the last record has as many units as there can be, with names as long as they can be together.
    let units = (0..=Summary::UNITS_MAX).map(|n| format!("{:𝄞>20}", n % Summary::UNITS_MAX));
    let mut records: Vec<_> =
        units.enumerate().map(|(n, unit)| record(&format!("u-{n}"), &longest, &longest, "9999999999", &unit)).collect();
    records.extend(AWKWARD_TEXTS.map(|text| {
        draft(Draft {
            record_id: text,
            time: "2026-01-01T00:00:00.000001Z",
            source_id: text,
            destination_id: text,
            record_type: "negative",
            value: "99999.0000",
            unit: text,
            reference: text,
        })
    }));
    let stored = stored(records);
    emit(&*emitter, &messages(&stored)).await;
    for topic in Topic::ALL {
        let expected = texts(&stored, topic);
        let arrived = fixture.arrived(topic, expected.len()).await;
        for (arrived, expected) in arrived.iter().zip(&expected) {
            assert_eq!(arrived, expected);
        }
        assert_eq!(arrived.len(), expected.len(), "{topic:?}");
    }
}

/// Emitting nothing is no error, and nothing arrives.
pub async fn emitting_nothing_is_no_error<F: EmitterFixture>() {
    let fixture = F::fresh().await;
    let emitter = fixture.emitter().await;
    emit(&*emitter, &[]).await;
    let stored = stored([record("r", "D", "", "1", "EUR")]);
    emit(&*emitter, &messages(&stored)).await;
    assert_eq!(fixture.arrived(Topic::Notifications, 1).await, texts(&stored, Topic::Notifications));
    assert_eq!(fixture.arrived(Topic::Alerts, 0).await, [""; 0]);
}

/// A message that another instance emits again is the same, byte for byte.
pub async fn a_repeated_message_is_identical<F: EmitterFixture>() {
    let fixture = F::fresh().await;
    let stored = stored(Generator::new(2).records("r", 5));
    for _ in 0..2 {
        // Another instance that has read the records back.
        let rebuilt: Vec<Positioned> = stored.iter().map(|(n, stored)| (*n, Arc::new((**stored).clone()))).collect();
        emit(&*fixture.emitter().await, &messages(&rebuilt)).await;
    }
    let expected = texts(&stored, Topic::Notifications);
    assert_eq!(fixture.arrived(Topic::Notifications, 10).await, [expected.clone(), expected].concat());
}

/// The messages of a large batch arrive once each, from several emitters at once.
pub async fn concurrent_messages_arrive_once_each<F: EmitterFixture>() {
    let fixture = F::fresh().await;
    let stored = stored(Generator::new(3).over(50, 2).records("r", 3_000));
    let emitters = [fixture.emitter().await, fixture.emitter().await];
    let emits = stored.chunks(1_000).enumerate().map(|(i, stored)| {
        let emitter = &emitters[i % 2];
        async move { emit(&**emitter, &messages(stored)).await }
    });
    join_all(emits).await;
    for topic in Topic::ALL {
        let expected = texts(&stored, topic);
        let arrived = fixture.arrived(topic, expected.len()).await;
        assert_eq!(arrived.len(), expected.len(), "{topic:?}");
        let (arrived, expected): (BTreeSet<_>, BTreeSet<_>) =
            (arrived.into_iter().collect(), expected.into_iter().collect());
        assert_eq!(arrived.symmetric_difference(&expected).next(), None, "{topic:?}");
    }
}

/// A stored record and its position.
type Positioned = (u64, Arc<StoredRecord>);

fn stored(records: impl IntoIterator<Item = Record>) -> Vec<Positioned> {
    (1..).zip(generate::stored(records)).collect()
}

async fn emit(emitter: &dyn MessageEmitter, messages: &[Message]) {
    emitter.emit(messages).await.expect("messages are emitted");
}

fn messages(stored: &[Positioned]) -> Vec<Message> {
    stored.iter().flat_map(|(position, stored)| Message::all_of(*position, stored)).collect()
}

fn texts(stored: &[Positioned], topic: Topic) -> Vec<String> {
    let format = MessageFormat::default();
    let messages = stored.iter().flat_map(|(position, stored)| Message::of(*position, stored, topic));
    messages.map(|message| format.to_json(&message)).collect()
}
