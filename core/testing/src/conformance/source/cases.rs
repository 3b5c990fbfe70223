//! The cases that every queue must pass.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, join, select};

use super::SourceFixture;
use crate::conformance::assert_distinct;
use tallyhouse_core::ports::{
    Acknowledgement, DeadLetterReason, Delivery, Disposition, PAYLOAD_BYTES_MAX, RecordSource,
};
use tallyhouse_core::{RejectionCode, Timestamp};

/// Long enough for a queue to deliver its payloads.
const A_WHILE: Duration = Duration::from_millis(300);

/// Payloads come in the order in which they were pushed, with any bytes unchanged.
pub async fn payloads_come_in_order_byte_for_byte<F: SourceFixture>() {
    let fixture = F::fresh().await;
    let large = vec![b'x'; PAYLOAD_BYTES_MAX];
    let payloads: [&[u8]; 8] = [
        br#"{"recordId":"r-1"}"#,
        b"",
        b"\0\r\n\x1b \xff\xfe",
        "Zürich 🙂".as_bytes(),
        b"\"quoted\" 'twice' \\",
        b"*3\r\n$3\r\nDEL\r\n",
        &large,
        b"last",
    ];
    for payload in payloads {
        fixture.push(payload).await;
    }
    let consumer = fixture.consumer().await;
    let deliveries = receive(&*consumer, payloads.len()).await;
    for (delivery, payload) in deliveries.iter().zip(payloads) {
        assert!(
            delivery.payload.as_deref() == Ok(payload),
            "{:?} comes as it was pushed",
            String::from_utf8_lossy(payload)
        );
        assert_eq!(delivery.traceparent, None);
    }
    assert_distinct(deliveries.iter().map(|delivery| &delivery.tag));
    assert!(!consumer.name().is_empty());
}

/// An acked payload is gone; one that is not acknowledged is still there.
pub async fn an_acked_payload_is_removed<F: SourceFixture>() {
    let fixture = F::fresh().await;
    push(&fixture, "a", 3).await;
    let consumer = fixture.consumer().await;
    let deliveries = receive(&*consumer, 3).await;
    assert_eq!(fixture.kept().await, 3, "receiving removes nothing");
    end(&*consumer, &deliveries[1..2], &Disposition::Ack).await;
    assert_eq!(fixture.kept().await, 2);
    end(&*consumer, &deliveries, &Disposition::Ack).await;
    assert_eq!(fixture.kept().await, 0);
    assert_eq!(fixture.dead_letters().await, []);
    end(&*consumer, &[], &Disposition::Ack).await;
    assert_eq!(push_and_receive(&fixture, &*consumer, "b").await, ["b-0"]);
}

/// A refused payload is in the dead letters with its reason, and no longer in the queue.
pub async fn a_refused_payload_becomes_a_dead_letter<F: SourceFixture>() {
    let fixture = F::fresh().await;
    let payloads: [&[u8]; 4] = [b"\xff not text \0", b"{}", b"[1", b"again"];
    for payload in payloads {
        fixture.push(payload).await;
    }
    let consumer = fixture.consumer().await;
    let deliveries = receive(&*consumer, 4).await;
    let reasons = [
        (DeadLetterReason::Rejection(RejectionCode::NotJson), "not-json", "is not \"UTF-8\"\nfrom byte 0 on"),
        (DeadLetterReason::Rejection(RejectionCode::Rejected), "rejected", "/recordId is missing; /zeit fehlt völlig"),
        (DeadLetterReason::Rejection(RejectionCode::TooLarge), "too-large", ""),
        (DeadLetterReason::Conflict, "conflict", "was processed before with other content: value"),
    ];
    let acknowledgements = deliveries.iter().zip(reasons).map(|(delivery, (reason, _, detail))| Acknowledgement {
        tag: delivery.tag.clone(),
        disposition: Disposition::DeadLetter { reason, detail: detail.to_owned() },
    });
    consumer.ack(acknowledgements.collect()).await.expect("acknowledgements are done");
    assert_eq!(fixture.kept().await, 0);
    let mut letters = fixture.dead_letters().await;
    assert_distinct(letters.iter().map(|letter| &letter.id));
    // The dead letters of one call have no order among each other.
    let place = |payload: &[u8]| payloads.iter().position(|pushed| *pushed == payload);
    letters.sort_by_key(|letter| place(&letter.payload));
    assert_eq!(letters.len(), 4);
    for ((letter, payload), (_, reason, detail)) in letters.iter().zip(payloads).zip(reasons) {
        let found = (letter.payload.as_slice(), letter.reason.as_str(), letter.detail.as_str(), letter.origin.as_str());
        assert_eq!(found, (payload, reason, detail, consumer.name()));
        assert!(Timestamp::parse(&letter.at).is_ok(), "{:?} is RFC 3339", letter.at);
    }
}

/// A nacked payload is received again, by any consumer, and no other payload is delayed or lost.
pub async fn a_nacked_payload_is_received_again<F: SourceFixture>() {
    let fixture = F::fresh().await;
    push(&fixture, "a", 4).await;
    let consumer = fixture.consumer().await;
    let deliveries = receive(&*consumer, 4).await;
    end(&*consumer, &deliveries[..2], &Disposition::Nack).await;
    end(&*consumer, &deliveries[2..], &Disposition::Ack).await;
    assert_eq!(fixture.kept().await, 2);
    push(&fixture, "b", 1).await;
    let another = fixture.consumer().await;
    let again = receive(&*another, 3).await;
    assert_eq!(texts(&again), BTreeSet::from(["a-0", "a-1", "b-0"].map(str::to_owned)));
    end(&*another, &again, &Disposition::Ack).await;
    assert_eq!(fixture.kept().await, 0);
    assert_eq!(fixture.dead_letters().await, []);
}

/// Payloads that are nacked in one call come again in their old order, before new ones: also the second time.
pub async fn nacked_payloads_come_again_in_their_order<F: SourceFixture>() {
    let fixture = F::fresh().await;
    push(&fixture, "a", 6).await;
    let consumer = fixture.consumer().await;
    let received = receive(&*consumer, 6).await;
    end(&*consumer, &received, &Disposition::Nack).await;
    push(&fixture, "b", 2).await;
    // Some of them once more.
    let again = receive(&*consumer, 3).await;
    end(&*consumer, &again, &Disposition::Nack).await;
    let mut all = Vec::new();
    for n in [2, 1, 3, 2] {
        all.extend(receive(&*consumer, n).await);
    }
    let texts: Vec<_> = all.iter().map(|delivery| texts(std::slice::from_ref(delivery)).pop_first()).collect();
    let expected = ["a-0", "a-1", "a-2", "a-3", "a-4", "a-5", "b-0", "b-1"].map(|text| Some(text.to_owned()));
    assert_eq!(texts, expected);
    end(&*consumer, &all, &Disposition::Ack).await;
    assert_eq!(fixture.kept().await, 0);
}

/// The deliveries of one call may end in different ways.
pub async fn one_call_may_ack_nack_and_dead_letter<F: SourceFixture>() {
    let fixture = F::fresh().await;
    push(&fixture, "a", 90).await;
    let consumer = fixture.consumer().await;
    let deliveries = receive(&*consumer, 90).await;
    let reason = DeadLetterReason::Conflict;
    let acknowledgements = deliveries.iter().enumerate().map(|(i, delivery)| {
        let refused = Disposition::DeadLetter { reason, detail: format!("number {i}") };
        Acknowledgement {
            tag: delivery.tag.clone(),
            disposition: [Disposition::Ack, refused, Disposition::Nack][i % 3].clone(),
        }
    });
    consumer.ack(acknowledgements.collect()).await.expect("acknowledgements are done");
    assert_eq!(fixture.kept().await, 30);
    assert_eq!(fixture.dead_letters().await.len(), 30);
    for letter in fixture.dead_letters().await {
        let number: usize = letter.detail.replace("number ", "").parse().expect("the detail is as it was given");
        assert_eq!(letter.payload, format!("a-{number}").into_bytes(), "each letter has its own reason");
    }
    let again = receive(&*consumer, 30).await;
    let expected: BTreeSet<String> = (0..90).filter(|i| i % 3 == 2).map(|i| format!("a-{i}")).collect();
    assert_eq!(texts(&again), expected);
}

/// Acknowledging a delivery again, in any way, does nothing.
pub async fn acknowledging_twice_does_no_harm<F: SourceFixture>() {
    let fixture = F::fresh().await;
    push(&fixture, "a", 2).await;
    let consumer = fixture.consumer().await;
    let deliveries = receive(&*consumer, 2).await;
    let refused = Disposition::DeadLetter { reason: DeadLetterReason::Conflict, detail: "once".to_owned() };
    end(&*consumer, &deliveries[..1], &Disposition::Ack).await;
    end(&*consumer, &deliveries[1..], &refused).await;
    for disposition in [Disposition::Ack, refused, Disposition::Nack] {
        end(&*consumer, &deliveries, &disposition).await;
    }
    assert_eq!(fixture.kept().await, 0);
    assert_eq!(fixture.dead_letters().await.len(), 1);
    assert_eq!(push_and_receive(&fixture, &*consumer, "b").await, ["b-0"]);
}

/// No call returns more than it was asked for, and a long queue is received completely.
pub async fn a_call_returns_many_but_no_more_than_asked_for<F: SourceFixture>() {
    let fixture = F::fresh().await;
    push(&fixture, "a", 500).await;
    let consumer = fixture.consumer().await;
    let (mut received, mut calls) = (Vec::new(), 0);
    while received.len() < 500 {
        let deliveries = consumer.receive(60).await.expect("payloads are received");
        assert!(deliveries.len() <= 60, "no more than asked for");
        calls += 1;
        end(&*consumer, &deliveries, &Disposition::Ack).await;
        received.extend(deliveries);
    }
    assert_eq!(texts(&received), (0..500).map(|i| format!("a-{i}")).collect());
    assert!(calls < 100, "what is there is returned at once: {calls} calls for 500");
    let one = push_and_receive(&fixture, &*consumer, "b").await;
    assert_eq!((one.len(), fixture.kept().await), (1, 1));
}

/// An empty queue is no error: the call waits, and returns the payloads that arrive or, after a while, none.
pub async fn a_call_waits_at_an_empty_queue<F: SourceFixture>() {
    let fixture = F::fresh().await;
    let consumer = fixture.consumer().await;
    assert_eq!(peek(&fixture, &*consumer).await, Vec::<Delivery>::new());
    let wait = receive(&*consumer, 1);
    let push = async {
        fixture.pause(Duration::from_millis(50)).await;
        fixture.push(b"at last").await;
    };
    let (deliveries, ()) = join(wait, push).await;
    assert_eq!(deliveries[0].payload.as_deref(), Ok(&b"at last"[..]));
}

/// Consumers share a queue: each payload goes to one of them.
pub async fn consumers_share_a_queue<F: SourceFixture>() {
    let fixture = F::fresh().await;
    push(&fixture, "a", 100).await;
    let (one, two) = (fixture.consumer().await, fixture.consumer().await);
    let (mut by_one, mut by_two) = (Vec::new(), Vec::new());
    while by_one.len() + by_two.len() < 100 {
        by_one.extend(peek_some(&fixture, &*one, 7).await);
        by_two.extend(peek_some(&fixture, &*two, 7).await);
    }
    assert!(!by_one.is_empty() && !by_two.is_empty(), "both get some");
    let all: Vec<Delivery> = by_one.iter().chain(&by_two).cloned().collect();
    assert_eq!((all.len(), texts(&all).len()), (100, 100), "each once");
    assert_eq!(
        peek(&fixture, &*one).await,
        Vec::<Delivery>::new(),
        "no other consumer gets what a live one has not acknowledged"
    );
    end(&*one, &by_one, &Disposition::Ack).await;
    assert_eq!(fixture.kept().await, by_two.len());
}

/// The unacknowledged deliveries of a dead consumer go to another one, once; the acknowledged ones do not.
pub async fn unacknowledged_payloads_of_a_dead_consumer_go_to_another<F: SourceFixture>() {
    let fixture = F::fresh().await;
    push(&fixture, "a", 12).await;
    let (dying, heir) = (fixture.consumer().await, fixture.consumer().await);
    let unacknowledged = receive(&*dying, 12).await;
    end(&*dying, &unacknowledged[..2], &Disposition::Ack).await;
    assert_eq!(fixture.kept().await, 10);
    fixture.kill(dying).await;
    let received = receive(&*heir, 10).await;
    assert_eq!(texts(&received), (2..12).map(|i| format!("a-{i}")).collect());
    end(&*heir, &received, &Disposition::Ack).await;
    assert_eq!(fixture.kept().await, 0);
    assert_eq!(fixture.dead_letters().await, []);
}

/// The unacknowledged deliveries of all dead consumers go to a consumer that starts afterwards.
pub async fn unacknowledged_payloads_wait_for_the_next_consumer<F: SourceFixture>() {
    let fixture = F::fresh().await;
    push(&fixture, "a", 6).await;
    for _ in 0..2 {
        let dying = fixture.consumer().await;
        assert_eq!(receive(&*dying, 3).await.len(), 3);
        fixture.kill(dying).await;
    }
    assert_eq!(fixture.kept().await, 6);
    let next = fixture.consumer().await;
    let mut all = receive(&*next, 6).await;
    assert_eq!(texts(&all).len(), 6);
    let last = all.split_off(5);
    end(&*next, &all, &Disposition::Ack).await;
    end(&*next, &last, &Disposition::Nack).await;
    assert_eq!(texts(&receive(&*next, 1).await), texts(&last));
}

/// A call may be cancelled at any moment: payloads that it had taken by then are received again.
pub async fn a_cancelled_receive_loses_nothing<F: SourceFixture>() {
    let fixture = F::fresh().await;
    let consumer = fixture.consumer().await;
    let mut pushed = 0;
    for round in 0..30_u64 {
        let give_up = async {
            if round % 2 == 0 {
                fixture.push(format!("a-{pushed}").as_bytes()).await;
            }
            fixture.pause(Duration::from_micros(150 * round)).await;
        };
        // A cancelled call acknowledges nothing: the payloads that it had taken stay with the consumer.
        if let Either::Left((received, give_up)) = select(pin!(consumer.receive(10)), pin!(give_up)).await {
            let deliveries = received.expect("payloads are received");
            end(&*consumer, &deliveries, &Disposition::Nack).await;
            give_up.await;
        }
        pushed += u64::from(round % 2 == 0);
    }
    let mut found = BTreeSet::new();
    while found.len() < 15 {
        let deliveries = consumer.receive(10).await.expect("payloads are received");
        found.extend(texts(&deliveries));
        end(&*consumer, &deliveries, &Disposition::Ack).await;
    }
    assert_eq!(found, (0..15).map(|i| format!("a-{i}")).collect());
    assert_eq!(fixture.kept().await, 0);
}

async fn push<F: SourceFixture>(fixture: &F, prefix: &str, n: usize) {
    for i in 0..n {
        fixture.push(format!("{prefix}-{i}").as_bytes()).await;
    }
}

/// Receives exactly `n` payloads, in as many calls as it takes.
async fn receive(consumer: &dyn RecordSource, n: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < n {
        deliveries.extend(consumer.receive(n - deliveries.len()).await.expect("payloads are received"));
    }
    assert_eq!(deliveries.len(), n, "no more than asked for");
    deliveries
}

/// Receives the payloads that are there now, or none after a while.
async fn peek_some<F: SourceFixture>(fixture: &F, consumer: &dyn RecordSource, max: usize) -> Vec<Delivery> {
    match select(pin!(consumer.receive(max)), pin!(fixture.pause(A_WHILE))).await {
        Either::Left((received, _)) => received.expect("payloads are received"),
        Either::Right(((), _)) => Vec::new(),
    }
}

async fn peek<F: SourceFixture>(fixture: &F, consumer: &dyn RecordSource) -> Vec<Delivery> {
    peek_some(fixture, consumer, 100).await
}

/// Shows that the queue still works: pushes a payload and receives it.
async fn push_and_receive<F: SourceFixture>(fixture: &F, consumer: &dyn RecordSource, prefix: &str) -> Vec<String> {
    push(fixture, prefix, 1).await;
    texts(&receive(consumer, 1).await).into_iter().collect()
}

async fn end(consumer: &dyn RecordSource, deliveries: &[Delivery], disposition: &Disposition) {
    let acknowledgement =
        |delivery: &Delivery| Acknowledgement { tag: delivery.tag.clone(), disposition: disposition.clone() };
    consumer.ack(deliveries.iter().map(acknowledgement).collect()).await.expect("acknowledgements are done");
}

fn texts(deliveries: &[Delivery]) -> BTreeSet<String> {
    let text =
        |delivery: &Delivery| String::from_utf8_lossy(delivery.payload.as_deref().unwrap_or_default()).into_owned();
    deliveries.iter().map(text).collect()
}
