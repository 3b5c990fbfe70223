//! When a connection is cut, and when it may rest.

use super::*;

fn settings() -> HttpSettings {
    HttpSettings {
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        stall_timeout: Duration::from_secs(30),
        ..HttpSettings::default()
    }
}

async fn after(seconds: u64, activity: &Activity) -> Option<CutReason> {
    tokio::time::advance(Duration::from_secs(seconds)).await;
    activity.cut_reason(&settings())
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_sends_a_head_is_cut_early() {
    let activity = Activity::new();
    assert_eq!(after(9, &activity).await, None);
    assert_eq!(after(1, &activity).await, Some(CutReason::NoHead));
}

#[tokio::test(start_paused = true)]
async fn a_connection_rests_longer_between_requests_than_within_a_head() {
    let activity = Arc::new(Activity::new());
    drop(InFlight::begin(&activity));
    assert_eq!(after(74, &activity).await, None);
    activity.note_read(b"GET /");
    assert_eq!(after(9, &activity).await, Some(CutReason::Idle));

    drop(InFlight::begin(&activity));
    activity.note_read(b"GET /");
    assert_eq!(after(9, &activity).await, None);
    activity.note_read(b"one byte more does not help");
    assert_eq!(after(1, &activity).await, Some(CutReason::NoHead));
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_may_take_as_long_as_it_likes() {
    let activity = Arc::new(Activity::new());
    let request = InFlight::begin(&activity);
    activity.note_read(b"its body");
    assert_eq!(after(1_000, &activity).await, None);
    let other = InFlight::begin(&activity);
    drop(request);
    assert_eq!(after(1_000, &activity).await, None);
    drop(other);
    assert_eq!(after(74, &activity).await, None);
    assert_eq!(after(1, &activity).await, Some(CutReason::Idle));
}

#[tokio::test(start_paused = true)]
async fn the_frames_of_an_idle_http2_connection_are_no_head() {
    let activity = Arc::new(Activity::new());
    activity.note_read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    drop(InFlight::begin(&activity));
    activity.note_read(b"a ping");
    assert_eq!(after(60, &activity).await, None);
    assert_eq!(after(15, &activity).await, Some(CutReason::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_and_one_that_takes_a_little_is_not() {
    let activity = Arc::new(Activity::new());
    let _request = InFlight::begin(&activity);
    activity.note_write(true);
    assert_eq!(after(20, &activity).await, None);
    activity.note_write(false);
    activity.note_write(true);
    assert_eq!(after(20, &activity).await, None);
    activity.note_write(true);
    assert_eq!(after(10, &activity).await, Some(CutReason::Stalled));
}
