//! A breaker opens after failures, pings its dependency, and closes after a success.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::test_harness::PausedClock;

const SETTINGS: BreakerSettings = BreakerSettings {
    open_after: Duration::from_secs(5),
    ping_timeout: Duration::from_secs(2),
    retry: RetryPolicy { wait_min: Duration::from_millis(50), wait_max: Duration::from_secs(2) },
};

fn breaker() -> Breaker {
    Breaker::new("redis", PausedClock::start(), SETTINGS)
}

fn unavailable() -> PortError {
    PortError::new(PortErrorKind::Unavailable, "a test", "scripted")
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_after_failures_for_a_while_without_a_success() {
    let breaker = breaker();
    breaker.record_failure("a test", &unavailable());
    pass(4).await;
    breaker.record_failure("a test", &unavailable());
    assert_eq!(breaker.state(), BreakerState::Closed);
    breaker.record_success();
    pass(4).await;
    breaker.record_failure("a test", &unavailable());
    pass(4).await;
    breaker.record_failure("a test", &unavailable());
    assert_eq!(breaker.state(), BreakerState::Closed, "it had worked four seconds ago");
    pass(1).await;
    breaker.record_failure("a test", &unavailable());
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn refusals_count_once_they_have_lasted_for_a_while_also_between_answers() {
    let breaker = breaker();
    assert!((0..100).all(|_| !breaker.record_refusal()), "all at once");
    pass(5).await;
    breaker.record_success();
    assert!(!breaker.record_refusal());
    pass(10).await;
    assert!(!breaker.record_refusal(), "two refusals are few");
    breaker.record_ping_success();
    assert!(breaker.record_refusal());
    assert!(!breaker.record_refusal(), "the caller has found out");
    assert_eq!(breaker.state(), BreakerState::Closed);

    let error = unavailable().with_reason(Some("the disk is full"));
    breaker.trip("a test", &error);
    assert_eq!((breaker.state(), breaker.reason()), (BreakerState::Open, Some("the disk is full")));
    breaker.probe(|| async { Ok(()) }).await;
    assert!(breaker.record_refusal(), "one call decides a half-open breaker");
    breaker.record_success();
    assert_eq!(breaker.reason(), None);
}

#[tokio::test(start_paused = true)]
async fn one_call_decides_a_half_open_breaker() {
    for works in [true, false] {
        let breaker = breaker();
        breaker.trip("a test", &unavailable());
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.record_ping_success();
        assert_eq!(breaker.state(), BreakerState::Open, "an answer shows less than work done");
        breaker.probe(|| async { Ok(()) }).await;
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.record_ping_success();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        if works {
            breaker.record_success()
        } else {
            breaker.record_failure("a test", &unavailable())
        }
        assert_eq!(breaker.state(), if works { BreakerState::Closed } else { BreakerState::Open });
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_pings_with_back_off_and_closes_soon_after_recovery() {
    let breaker = breaker();
    breaker.trip("a test", &unavailable());
    let (pings, is_back) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ping = || async {
        pings.fetch_add(1, Ordering::SeqCst);
        if is_back.load(Ordering::SeqCst) { Ok(()) } else { Err(unavailable()) }
    };
    let probing = breaker.probe(ping);
    let begun = tokio::time::Instant::now();
    let coming_back = async {
        pass(60).await;
        is_back.store(true, Ordering::SeqCst);
    };
    tokio::join!(probing, coming_back);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert!(begun.elapsed() < Duration::from_secs(65), "{:?}", begun.elapsed());
    let pings = pings.into_inner();
    assert!((15..=40).contains(&pings), "{pings} pings in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_answers_only_pings_is_tried_with_back_off() {
    let breaker = breaker();
    breaker.trip("a test", &unavailable());
    let mut waits = Vec::new();
    for _ in 0..12 {
        let begun = tokio::time::Instant::now();
        breaker.probe(|| async { Ok(()) }).await;
        waits.push(begun.elapsed());
        breaker.record_failure("a test", &unavailable());
    }
    assert!(waits[0] < Duration::from_millis(150), "{waits:?}");
    assert!(waits[8..].iter().all(|wait| *wait >= Duration::from_secs(2)), "{waits:?}");
    breaker.probe(|| async { Ok(()) }).await;
    breaker.record_success();
    breaker.trip("a test", &unavailable());
    let begun = tokio::time::Instant::now();
    breaker.probe(|| async { Ok(()) }).await;
    assert!(begun.elapsed() < Duration::from_millis(150), "after a success the backoff starts over");
}

#[tokio::test(start_paused = true)]
async fn a_ping_without_an_answer_in_time_is_a_failure() {
    let breaker = breaker();
    let begun = tokio::time::Instant::now();
    let error = breaker.ping(std::future::pending()).await.unwrap_err();
    assert_eq!(begun.elapsed(), SETTINGS.ping_timeout);
    breaker.trip("a test", &unavailable().with_reason(Some("the disk is full")));
    breaker.record_failure("a test", &error);
    assert_eq!(breaker.reason(), Some("it does not answer in time"), "the last failure tells");
}

#[tokio::test(start_paused = true)]
async fn breakers_of_one_name_are_the_same() {
    let breakers = Breakers::new(PausedClock::start(), SETTINGS, SETTINGS);
    breakers.storage().trip("a test", &unavailable());
    assert_eq!(breakers.named("storage").state(), BreakerState::Open);
    breakers.named("storage").probe(|| async { Ok(()) }).await;
    breakers.named("queue-list").trip("a test", &unavailable());
    let _other = breakers.named("queue-stream");
    let all: Vec<_> = breakers.all().iter().map(|breaker| (breaker.name().to_owned(), breaker.state())).collect();
    let expected = [
        ("storage", BreakerState::HalfOpen),
        ("queue-list", BreakerState::Open),
        ("queue-stream", BreakerState::Closed),
    ];
    assert_eq!(all, expected.map(|(name, state)| (name.to_owned(), state)));
}
