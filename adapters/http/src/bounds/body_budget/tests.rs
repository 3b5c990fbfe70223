//! Bodies that share a budget.

use super::*;

fn caller(name: &str) -> Caller {
    Caller::Key(name.into())
}

#[tokio::test(start_paused = true)]
async fn bodies_that_wait_for_one_another_are_done_in_turn() {
    let budget = BodyBudget::new(100);
    let mut parts = ["a", "a", "b"].map(|name| budget.empty_reservation(&caller(name)));
    for part in &mut parts[..2] {
        assert!(part.grow(50).await);
    }
    let [first, second, third] = parts;
    let finish = |mut part: BodyReservation| async move {
        let done = part.grow(50).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(part);
        done
    };
    let done = tokio::join!(finish(first), finish(second), finish(third));
    assert_eq!(done, (true, true, true));
    assert_eq!(budget.bytes.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_budget_is_exceeded_by_one_body_alone_and_not_waited_for_for_ever() {
    let budget = BodyBudget::new(100);
    let (mut full, mut beyond, mut late) = (
        budget.empty_reservation(&caller("a")),
        budget.empty_reservation(&caller("b")),
        budget.empty_reservation(&caller("c")),
    );
    assert!(full.grow(100).await);
    assert!(beyond.grow(10).await);
    assert!(beyond.grow(10).await);
    assert!(!late.grow(10).await);
    assert_eq!(budget.bytes.in_use(), 120);
}
