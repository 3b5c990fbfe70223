//! When a breaker opens, how it is probed, and what closes it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::harness::PausedClock;

const SETTINGS: BreakerSettings = BreakerSettings {
    open_after: Duration::from_secs(5),
    ping_timeout: Duration::from_secs(2),
    retry: RetryPolicy { wait_min: Duration::from_millis(50), wait_max: Duration::from_secs(2) },
};

fn breaker() -> Breaker {
    Breaker::new("redis", PausedClock::start(), SETTINGS)
}

fn away() -> PortError {
    PortError::new(PortErrorKind::Unavailable, "a test", "scripted")
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn it_opens_after_failing_for_a_while_with_no_success_in_between() {
    let breaker = breaker();
    breaker.failed("a test", &away());
    pass(4).await;
    breaker.failed("a test", &away());
    assert_eq!(breaker.state(), BreakerState::Closed);
    breaker.succeeded();
    pass(4).await;
    breaker.failed("a test", &away());
    pass(4).await;
    breaker.failed("a test", &away());
    assert_eq!(breaker.state(), BreakerState::Closed, "it had worked four seconds ago");
    pass(1).await;
    breaker.failed("a test", &away());
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn half_open_one_try_decides() {
    for works in [true, false] {
        let breaker = breaker();
        breaker.gave_up("a test", &away());
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.answered();
        assert_eq!(breaker.state(), BreakerState::Open, "an answer shows less than work done");
        breaker.probe(|| async { Ok(()) }).await;
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.answered();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        if works {
            breaker.succeeded()
        } else {
            breaker.failed("a test", &away())
        }
        assert_eq!(breaker.state(), if works { BreakerState::Closed } else { BreakerState::Open });
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_one_is_probed_seldom_and_found_closed_soon_after_it_is_back() {
    let breaker = breaker();
    breaker.gave_up("a test", &away());
    let (asked, is_back) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ping = || async {
        asked.fetch_add(1, Ordering::SeqCst);
        if is_back.load(Ordering::SeqCst) { Ok(()) } else { Err(away()) }
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
    let asked = asked.into_inner();
    assert!((15..=40).contains(&asked), "{asked} questions in a minute");
}

#[tokio::test(start_paused = true)]
async fn who_answers_questions_but_does_no_work_is_tried_less_and_less_often() {
    let breaker = breaker();
    breaker.gave_up("a test", &away());
    let mut waits = Vec::new();
    for _ in 0..12 {
        let begun = tokio::time::Instant::now();
        breaker.probe(|| async { Ok(()) }).await;
        waits.push(begun.elapsed());
        breaker.failed("a test", &away());
    }
    assert!(waits[0] < Duration::from_millis(150), "{waits:?}");
    assert!(waits[8..].iter().all(|wait| *wait >= Duration::from_secs(2)), "{waits:?}");
    breaker.probe(|| async { Ok(()) }).await;
    breaker.succeeded();
    breaker.gave_up("a test", &away());
    let begun = tokio::time::Instant::now();
    breaker.probe(|| async { Ok(()) }).await;
    assert!(begun.elapsed() < Duration::from_millis(150), "after a success it begins anew");
}

#[tokio::test(start_paused = true)]
async fn silence_is_no_answer() {
    let breaker = breaker();
    let begun = tokio::time::Instant::now();
    breaker.ask(std::future::pending()).await.unwrap_err();
    assert_eq!(begun.elapsed(), SETTINGS.ping_timeout);
}

#[tokio::test(start_paused = true)]
async fn breakers_are_known_by_their_names() {
    let breakers = Breakers::new(PausedClock::start(), SETTINGS);
    breakers.named("queue-list").gave_up("a test", &away());
    let _other = breakers.named("queue-stream");
    let all: Vec<_> = breakers.all().iter().map(|breaker| (breaker.name().to_owned(), breaker.state())).collect();
    assert_eq!(all, [("queue-list".to_owned(), BreakerState::Open), ("queue-stream".to_owned(), BreakerState::Closed)]);
}
