//! How callers share room.

use proptest::prelude::*;

use super::*;

fn caller(name: &str) -> Caller {
    Caller::Key(name.into())
}

fn take_all(room: &Arc<SharedRoom>, caller: &Caller) -> Vec<Taken> {
    std::iter::from_fn(|| room.try_take(caller, 1)).collect()
}

#[track_caller]
fn check(size: usize, expect: [usize; 3]) {
    let room = SharedRoom::new(size);
    let held = ["a", "b", "c"].map(|name| take_all(&room, &caller(name)));
    assert_eq!(held.each_ref().map(Vec::len), expect, "{size}");
    drop(held);
    assert_eq!(room.in_use(), 0);
    assert!(room.lock().by.is_empty(), "callers are remembered that hold nothing");
}

#[test]
fn a_caller_alone_has_three_quarters_and_leaves_room_to_the_others() {
    check(0, [0, 0, 0]);
    check(1, [1, 0, 0]);
    check(2, [2, 0, 0]);
    check(4, [3, 1, 0]);
    check(256, [192, 48, 12]);
    check(1_024, [768, 192, 48]);
}

#[test]
fn a_proxy_may_take_the_whole_room() {
    let room = SharedRoom::new(8);
    let proxy = Caller::Proxy("192.0.2.1".parse().unwrap());
    assert_eq!(take_all(&room, &proxy).len(), 8);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_by_room_that_is_given_back_and_not_for_ever() {
    let room = SharedRoom::new(1);
    let mut first = room.try_take(&caller("a"), 1).unwrap();
    assert!(room.take(&caller("b"), 1, Duration::from_secs(1)).await.is_none());
    let (own, other) = (Arc::clone(&room), caller("b"));
    let waiting = tokio::spawn(async move { own.take(&other, 1, Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    first.give_back(1);
    assert!(waiting.await.unwrap().is_some());
}

proptest! {
    /// For any order of takes and returns: what is in use is the sum of what they hold, the room is exceeded by one
    /// request at most, and a caller that holds nothing has room as long as any is free.
    #[test]
    fn room_is_never_lost_nor_given_twice(steps in prop::collection::vec((0..4_usize, 1..50_usize, any::<bool>()), 1..200)) {
        let (room, size) = (SharedRoom::new(100), 100);
        let mut held: Vec<Vec<Taken>> = (0..4).map(|_| Vec::new()).collect();
        for (who, units, gives) in steps {
            if gives {
                held[who].pop();
            } else {
                let had_none = held[who].is_empty();
                let was_free = room.in_use() < size;
                let taken = room.try_take(&caller(&who.to_string()), units);
                prop_assert!(taken.is_some() || !(had_none && was_free));
                held[who].extend(taken);
            }
            let sum: usize = held.iter().flatten().map(|taken| taken.units).sum();
            prop_assert_eq!(room.in_use(), sum);
            prop_assert!(sum < size + 50);
        }
    }
}
