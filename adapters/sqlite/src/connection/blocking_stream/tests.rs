//! Streams of parts: in order, to a certain end.

use futures::TryStreamExt;

use super::*;

#[tokio::test]
async fn parts_come_in_order_and_then_the_stream_ends() {
    let (parts, stream) = channel::<u32>("testing");
    let work = tokio::task::spawn_blocking(move || {
        let result = (0..100).try_for_each(|n| parts.send(n));
        parts.end(result, "testing");
    });
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap(), (0..100).collect::<Vec<_>>());
    work.await.unwrap();
}

#[tokio::test]
async fn work_that_breaks_off_is_not_taken_for_a_complete_answer() {
    let (parts, stream) = channel::<u32>("testing");
    let work = tokio::task::spawn_blocking(move || {
        parts.send(1).unwrap();
        panic!("a bug")
    });
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Misuse);
    work.await.unwrap_err();
}

#[tokio::test]
async fn a_failure_is_the_last_part() {
    let (parts, stream) = channel::<u32>("testing");
    let work = tokio::task::spawn_blocking(move || {
        parts.send(1).unwrap();
        parts.end(Err(DieselError::NotFound.into()), "testing");
    });
    let parts: Vec<_> = futures::StreamExt::collect(stream).await;
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[1].as_ref().unwrap_err().kind(), PortErrorKind::Unavailable);
    work.await.unwrap();
}

#[tokio::test]
async fn work_stops_when_nobody_listens() {
    let (parts, stream) = channel::<u64>("testing");
    let work = tokio::task::spawn_blocking(move || (0..u64::MAX).try_for_each(|n| parts.send(n)));
    drop(stream);
    assert!(matches!(work.await.unwrap(), Err(Stop::Dropped)));
}
