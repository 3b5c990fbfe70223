//! Bodies that share room.

use super::*;

fn caller(name: &str) -> Caller {
    Caller::Key(name.into())
}

#[tokio::test(start_paused = true)]
async fn bodies_that_wait_for_one_another_are_done_in_turn() {
    let room = BodyRoom::new(100);
    let mut parts = ["a", "a", "b"].map(|name| room.part(&caller(name)));
    for part in &mut parts[..2] {
        assert!(part.add(50).await);
    }
    let [first, second, third] = parts;
    let finish = |mut part: BodyPart| async move {
        let done = part.add(50).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(part);
        done
    };
    let done = tokio::join!(finish(first), finish(second), finish(third));
    assert_eq!(done, (true, true, true));
    assert_eq!(room.bytes.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_room_is_exceeded_by_one_body_alone_and_not_waited_for_for_ever() {
    let room = BodyRoom::new(100);
    let (mut full, mut beyond, mut late) = (room.part(&caller("a")), room.part(&caller("b")), room.part(&caller("c")));
    assert!(full.add(100).await);
    assert!(beyond.add(10).await);
    assert!(beyond.add(10).await);
    assert!(!late.add(10).await);
    assert_eq!(room.bytes.in_use(), 120);
}
