//! Buckets by a clock that the tests wind, and who has which.

use tokio::time::advance;

use std::net::IpAddr;

use super::*;

fn meter(per_second: u64, burst: u64) -> Meter {
    Meter::new(&Arc::new(Limits::new(RateLimit { per_second, burst })), Caller::Key("a".into()))
}

fn headers(meter: &Meter) -> (String, String) {
    let mut headers = HeaderMap::new();
    meter.set_headers(&mut headers);
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    (text("ratelimit-policy"), text("ratelimit"))
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_the_rate_holds() {
    let meter = meter(2, 5);
    assert_eq!(headers(&meter), ("\"default\";q=5;w=3".to_owned(), "\"default\";r=5;t=0".to_owned()));
    for _ in 0..5 {
        meter.acquire_one().unwrap();
    }
    assert_eq!(meter.acquire_one(), Err(Problem::rate_limited(1)));
    assert_eq!(headers(&meter).1, "\"default\";r=0;t=3");
    advance(Duration::from_millis(499)).await;
    assert!(meter.acquire_one().is_err());
    advance(Duration::from_millis(1)).await;
    meter.acquire_one().unwrap();
    assert!(meter.acquire_one().is_err());
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(headers(&meter).1, "\"default\";r=5;t=0");
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_burst_passes_once_and_is_paid_for() {
    let meter = meter(2, 5);
    meter.acquire_one().unwrap();
    meter.acquire_rest(25).unwrap();
    // Twenty units of debt, and one to try_acquire, at two a second.
    assert_eq!(meter.acquire_one(), Err(Problem::rate_limited(11)));
    assert_eq!(headers(&meter).1, "\"default\";r=0;t=13");
    advance(Duration::from_millis(10_499)).await;
    assert_eq!(meter.acquire_one(), Err(Problem::rate_limited(1)));
    advance(Duration::from_millis(1)).await;
    meter.acquire_one().unwrap();
}

#[tokio::test(start_paused = true)]
async fn batches_at_once_do_not_pass_for_the_price_of_one() {
    let meter = meter(1, 5);
    meter.acquire_one().unwrap();
    meter.acquire_one().unwrap();
    meter.acquire_rest(100).unwrap();
    // The second one was let in, but finds the bucket in debt once it is read.
    assert_eq!(meter.acquire_rest(100), Err(Problem::rate_limited(97)));
    // An empty one costs its call alone.
    advance(Duration::from_secs(97)).await;
    meter.acquire_one().unwrap();
    meter.acquire_rest(0).unwrap();
    assert_eq!(headers(&meter).1, "\"default\";r=0;t=5");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_let_through_at_the_rate() {
    let meter = meter(10, 10);
    assert_eq!(meter.records_at_once(), 10);
    let began = Instant::now();
    for _ in 0..10 {
        meter.acquire_when_available(10).await;
    }
    // The first ten are there; each ten after them are drawn as soon as one unit is there, and owed.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(8_100) && took <= Duration::from_millis(8_200), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn no_rate_is_too_large_or_too_small_to_count() {
    for (per_second, burst) in [(1, 1), (1, 1 << 40), (1 << 40, 1), (1 << 40, 1 << 40), (u64::MAX, u64::MAX), (0, 0)] {
        let meter = meter(per_second, burst);
        meter.acquire_one().unwrap();
        meter.acquire_rest(10_000_000).unwrap();
        advance(Duration::from_secs(100 * 365 * 24 * 3_600)).await;
        meter.acquire_one().unwrap();
        assert!(meter.records_at_once() >= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn callers_have_buckets_of_their_own() {
    let limits = Arc::new(Limits::new(RateLimit { per_second: 1, burst: 1 }));
    let try_acquire = |caller: Caller| Meter::new(&limits, caller).acquire_one().is_ok();
    let at = |ip: &str| Caller::at(ip.parse().unwrap(), &[]);
    assert!(try_acquire(Caller::Key("a".into())));
    assert!(!try_acquire(Caller::Key("a".into())));
    assert!(try_acquire(Caller::Key("b".into())));
    assert!(try_acquire(at("192.0.2.1")));
    assert!(!try_acquire(at("::ffff:192.0.2.1")));
    assert!(try_acquire(at("192.0.2.2")));
    assert!(try_acquire(at("2001:db8:0:1::1")));
    assert!(!try_acquire(at("2001:db8:0:1:ffff::2")));
    assert!(try_acquire(at("2001:db8:0:2::1")));
}

#[tokio::test(start_paused = true)]
async fn buckets_are_bounded_and_the_full_ones_are_dropped() {
    let limits = Arc::new(Limits::new(RateLimit { per_second: 1, burst: 2 }));
    let caller = |i: u32| Caller::at(IpAddr::V4(i.into()), &[]);
    let try_acquire = |caller: Caller| Meter::new(&limits, caller).acquire_one().is_ok();
    let count = || limits.buckets.lock().unwrap().of.len();
    let max = u32::try_from(BUCKETS_MAX).unwrap();
    for i in 0..max {
        assert!(try_acquire(caller(i)));
    }
    assert_eq!(count(), BUCKETS_MAX);
    // Those beyond share one.
    assert_eq!([max, max + 1, max + 2].map(|i| try_acquire(caller(i))), [true, true, false]);
    assert_eq!(count(), BUCKETS_MAX + 1);
    assert!(try_acquire(caller(0)));
    advance(Duration::from_secs(1)).await;
    // All but two are full again.
    assert!(try_acquire(caller(max)));
    assert_eq!(count(), 3);
}
