//! How callers share budget, and in which order they get it.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use futures::poll;
use proptest::prelude::*;

use super::*;

fn caller(name: &str) -> Caller {
    Caller::Key(name.into())
}

fn reserve_all(budget: &Arc<SharedBudget>, caller: &Caller) -> Vec<Reservation> {
    std::iter::from_fn(|| budget.try_reserve(caller, 1)).collect()
}

#[track_caller]
fn check(size: usize, expect: [usize; 3]) {
    let budget = SharedBudget::new(size);
    let held = ["a", "b", "c"].map(|name| reserve_all(&budget, &caller(name)));
    assert_eq!(held.each_ref().map(Vec::len), expect, "{size}");
    drop(held);
    assert_eq!(budget.in_use(), 0);
    assert!(budget.lock().by_caller.is_empty(), "callers are remembered that hold nothing");
}

#[test]
fn a_caller_alone_has_three_quarters_and_leaves_budget_to_the_others() {
    check(0, [0, 0, 0]);
    check(1, [1, 0, 0]);
    check(2, [1, 1, 0]);
    check(3, [2, 1, 0]);
    check(4, [3, 1, 0]);
    check(256, [192, 48, 12]);
    check(1_024, [768, 192, 48]);
}

#[test]
fn a_proxy_may_take_the_whole_budget() {
    let budget = SharedBudget::new(8);
    let proxy = Caller::Proxy("192.0.2.1".parse().unwrap());
    assert_eq!(reserve_all(&budget, &proxy).len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_caller_is_woken_by_released_units_or_gives_up_in_time() {
    let budget = SharedBudget::new(1);
    let mut first = budget.try_reserve(&caller("a"), 1).unwrap();
    assert!(budget.reserve(&caller("b"), 1, Duration::from_secs(1)).await.is_none());
    let (own, other) = (Arc::clone(&budget), caller("b"));
    let waiting = tokio::spawn(async move { own.reserve(&other, 1, Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    first.release(1);
    assert!(waiting.await.unwrap().is_some());
}

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3_600);

/// Requests of callers for one unit each, by name. Each is queued when it is added.
#[derive(Default)]
struct Requests(Vec<(String, Request)>);

type Request = Pin<Box<dyn Future<Output = Option<Reservation>>>>;

impl Requests {
    async fn add(&mut self, budget: &Arc<SharedBudget>, name: &str) {
        let (budget, caller) = (Arc::clone(budget), caller(name));
        let mut request: Request = Box::pin(async move { budget.reserve(&caller, 1, LONG).await });
        assert!(poll!(&mut request).is_pending(), "{name} need not wait");
        self.0.push((name.to_owned(), request));
    }

    /// Returns the requests that were served since the last call: their callers, with their reservations.
    async fn served(&mut self) -> Vec<(String, Reservation)> {
        let (mut served, mut waiting) = (Vec::new(), Vec::new());
        for (name, mut request) in std::mem::take(&mut self.0) {
            match poll!(&mut request) {
                Poll::Ready(reservation) => served.push((name, reservation.expect("nobody waits in vain"))),
                Poll::Pending => waiting.push((name, request)),
            }
        }
        self.0 = waiting;
        served
    }

    /// Gives the one permit back, and each request's as soon as it is served. Returns the callers in the order in which they
    /// were served.
    async fn in_turn(&mut self, permit: Reservation) -> Vec<String> {
        drop(permit);
        let mut order = Vec::new();
        loop {
            let served = self.served().await;
            assert!(served.len() <= 1, "there is one permit");
            let Some((name, permit)) = served.into_iter().next() else { return order };
            order.push(name);
            drop(permit);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_one_request_is_served_before_one_with_many_is_served_again() {
    let budget = SharedBudget::new(1);
    let permit = budget.try_reserve(&caller("a"), 1).unwrap();
    let mut requests = Requests::default();
    for name in ["a", "a", "a", "b", "c", "b"] {
        requests.add(&budget, name).await;
    }
    assert_eq!(requests.in_turn(permit).await, ["b", "c", "a", "b", "a", "a"]);
    assert!(
        budget.lock().by_caller.is_empty() && budget.lock().turns.is_empty(),
        "callers are remembered that wait for nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn the_turn_of_a_caller_that_holds_its_share_passes_to_the_next() {
    let budget = SharedBudget::new(4);
    let mut held = reserve_all(&budget, &caller("a"));
    let mut requests = Requests::default();
    for _ in 0..4 {
        requests.add(&budget, "a").await;
    }
    let permit = budget.try_reserve(&caller("b"), 1).unwrap();
    requests.add(&budget, "b").await;
    let names = |served: &[(String, Reservation)]| served.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    drop(permit);
    let served = requests.served().await;
    assert_eq!(names(&served), ["b"]);
    drop(served);
    assert_eq!((names(&requests.served().await), budget.in_use()), (Vec::new(), 3));
    held.pop();
    assert_eq!(names(&requests.served().await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_withdrawn_holds_up_nobody_and_takes_nothing() {
    let budget = SharedBudget::new(1);
    let permit = budget.try_reserve(&caller("a"), 1).unwrap();
    let mut requests = Requests::default();
    for name in ["b", "c", "b", "d"] {
        requests.add(&budget, name).await;
    }
    // The first request of one caller, and the only one of another.
    requests.0.retain({
        let mut place = 0;
        move |_| {
            place += 1;
            place != 1 && place != 4
        }
    });
    assert_eq!(requests.in_turn(permit).await, ["c", "b"]);
    // One that is withdrawn after it was served releases its permit.
    let permit = budget.try_reserve(&caller("a"), 1).unwrap();
    requests.add(&budget, "b").await;
    drop(permit);
    assert_eq!(budget.in_use(), 1);
    drop(requests);
    assert_eq!(budget.in_use(), 0);
    assert!(
        budget.lock().by_caller.is_empty() && budget.lock().turns.is_empty(),
        "callers are remembered that wait for nothing"
    );
}

proptest! {
    /// For any order of requests at one permit: as long as two callers wait, neither is served more than once more often
    /// than the other, and each caller's own requests are served in their order.
    #[test]
    fn callers_that_wait_are_served_equally_often(names in prop::collection::vec(0..5_usize, 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let order = runtime.block_on(async {
            let budget = SharedBudget::new(1);
            let permit = budget.try_reserve(&caller("holder"), 1).unwrap();
            let mut requests = Requests::default();
            for name in &names {
                requests.add(&budget, &name.to_string()).await;
            }
            requests.in_turn(permit).await
        });
        prop_assert_eq!(order.len(), names.len());
        let asked = |name: usize| names.iter().filter(|other| **other == name).count();
        for end in 0..order.len() {
            let served = |name: usize| order[..end].iter().filter(|other| **other == name.to_string()).count();
            let still_waiting: Vec<usize> = (0..5).filter(|name| served(*name) < asked(*name)).collect();
            for (one, other) in still_waiting.iter().flat_map(|one| still_waiting.iter().map(move |other| (one, other))) {
                prop_assert!(served(*one).abs_diff(served(*other)) <= 1, "{:?}", order);
            }
        }
    }

    /// For any order of reservations and releases: what is in use is the sum of what they hold, the budget is exceeded by one
    /// request at most, and a caller that holds nothing has budget as long as any is free.
    #[test]
    fn budget_is_never_lost_nor_given_twice(steps in prop::collection::vec((0..4_usize, 1..50_usize, any::<bool>()), 1..200)) {
        let (budget, size) = (SharedBudget::new(100), 100);
        let mut held: Vec<Vec<Reservation>> = (0..4).map(|_| Vec::new()).collect();
        for (who, units, releases) in steps {
            if releases {
                held[who].pop();
            } else {
                let had_none = held[who].is_empty();
                let was_free = budget.in_use() < size;
                let reservation = budget.try_reserve(&caller(&who.to_string()), units);
                prop_assert!(reservation.is_some() || !(had_none && was_free));
                held[who].extend(reservation);
            }
            let sum: usize = held.iter().flatten().map(|reservation| reservation.units).sum();
            prop_assert_eq!(budget.in_use(), sum);
            prop_assert!(sum < size + 50);
        }
    }
}
