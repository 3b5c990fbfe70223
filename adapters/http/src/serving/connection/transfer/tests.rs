//! How a response is handed out, and when its client is too slow.

use futures::StreamExt;
use futures::task::noop_waker;
use http_body_util::Full;
use tokio::time::advance;

use super::*;
use crate::bounds::caller::Caller;
use crate::bounds::shared_budget::SharedBudget;
use crate::serving::connection::activity::Activity;

const LIMIT: MinRate = MinRate { grace: Duration::from_secs(30), bytes_per_second_min: 4_096 };

fn transfer(reservation: Option<Reservation>, end: Option<CancellationToken>) -> Arc<Transfer> {
    Transfer::new(LIMIT, reservation, [None, None], end, InFlight::begin(&Arc::new(Activity::new())))
}

/// Polls for a piece: `None` while there is none, `Some(None)` at the end.
fn piece<B: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin>(body: &mut InPieces<B>) -> Option<Option<Piece>> {
    match Pin::new(body).poll_frame(&mut Context::from_waker(&noop_waker())) {
        Poll::Pending => None,
        Poll::Ready(None) => Some(None),
        Poll::Ready(Some(frame)) => Some(Some(frame.unwrap().into_data().unwrap())),
    }
}

/// A body of which nothing has come yet.
struct Silent;

impl Body for Silent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_body_is_handed_out_in_pieces_and_releases_its_memory_as_they_are_sent() {
    let length = 2 * PIECE_BYTES_MAX + 1;
    let budget = SharedBudget::new(1 << 20);
    let reservation = budget.try_reserve(&Caller::Others, length).unwrap();
    let mut body = InPieces::new(Full::new(Bytes::from(vec![7; length])), transfer(Some(reservation), None));
    assert_eq!(body.size_hint().exact(), Some(length as u64));
    let mut left = length;
    for expect in [PIECE_BYTES_MAX, PIECE_BYTES_MAX, 1] {
        let sent = piece(&mut body).unwrap().unwrap();
        assert_eq!((sent.remaining(), budget.in_use()), (expect, left));
        drop(sent);
        left -= expect;
        assert_eq!(budget.in_use(), left);
        assert_eq!(body.size_hint().exact(), Some(left as u64));
    }
    assert!(body.is_end_stream() && piece(&mut body).unwrap().is_none());
}

#[tokio::test]
async fn a_body_without_a_length_keeps_its_reservation_until_its_end() {
    let budget = SharedBudget::new(1 << 20);
    let reservation = budget.try_reserve(&Caller::Others, PIECE_BYTES_MAX).unwrap();
    let in_flight = InFlight::begin(&Arc::new(Activity::new()));
    let transfer = Transfer::new(LIMIT, None, [Some(reservation), None], None, in_flight);
    let mut body = InPieces::new(Full::new(Bytes::from(vec![7; 3 * PIECE_BYTES_MAX])), transfer);
    for _ in 0..3 {
        drop(piece(&mut body).unwrap().unwrap());
        assert_eq!(budget.in_use(), PIECE_BYTES_MAX);
    }
    drop(body);
    assert_eq!(budget.in_use(), 0);
}

#[tokio::test]
async fn a_long_body_ends_by_http2_only_when_all_of_it_is_sent() {
    let full = |length| Full::new(Bytes::from(vec![7; length]));
    let mut short = InPieces::new(full(10), transfer(None, Some(CancellationToken::new())));
    let _unsent = piece(&mut short).unwrap().unwrap();
    assert!(short.is_end_stream(), "a short one is a single frame");

    // A stream panics when it is asked again after its end.
    let frames = futures::stream::iter([PIECE_BYTES_MAX, 1]).map(|length| Bytes::from(vec![7; length]));
    let once = futures::stream::unfold(Some(frames), |frames| async move {
        let mut frames = frames?;
        let bytes = frames.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Frame::data(bytes)), Some(frames)))
    });
    let mut streamed =
        InPieces::new(http_body_util::StreamBody::new(Box::pin(once)), transfer(None, Some(CancellationToken::new())));
    let pieces = [piece(&mut streamed).unwrap(), piece(&mut streamed).unwrap()];
    assert!(piece(&mut streamed).is_none() && piece(&mut streamed).is_none());
    drop(pieces);
    assert!(piece(&mut streamed).unwrap().is_none());

    let mut long = InPieces::new(full(PIECE_BYTES_MAX + 1), transfer(None, Some(CancellationToken::new())));
    let pieces = [piece(&mut long).unwrap(), piece(&mut long).unwrap()];
    assert!(!long.is_end_stream() && piece(&mut long).is_none());
    drop(pieces);
    assert!(piece(&mut long).unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_client_that_takes_nothing_is_ended_and_its_connection_if_that_does_not_help() {
    let end = CancellationToken::new();
    let stream = transfer(None, Some(end.clone()));
    let connection = transfer(None, None);
    advance(Duration::from_secs(29)).await;
    assert_eq!((stream.check(None), connection.check(None)), (Progress::Good, Progress::Good));
    advance(Duration::from_secs(1)).await;
    assert_eq!((stream.check(None), connection.check(None)), (Progress::StreamEnded, Progress::Stalled));
    assert!(end.is_cancelled());
    assert_eq!(stream.check(None), Progress::Good);
    advance(Duration::from_secs(30)).await;
    assert_eq!(stream.check(None), Progress::Stalled);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_nothing_to_send_costs_its_client_nothing() {
    let quiet = transfer(None, None);
    assert!(piece(&mut InPieces::new(Silent, Arc::clone(&quiet))).is_none());
    advance(Duration::from_secs(100_000)).await;
    assert_eq!(quiet.check(None), Progress::Good);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_judged_by_the_bytes_that_were_sent_not_by_those_handed_out() {
    let slow = transfer(None, None);
    let mut body = InPieces::new(Full::new(Bytes::from(vec![7; 1 << 20])), Arc::clone(&slow));
    let seconds = async |bytes_per_second: u64, body: &mut InPieces<_>| {
        for _ in 0..30 {
            let sent = piece(body).unwrap().unwrap();
            advance(Duration::from_secs(PIECE_BYTES_MAX as u64 / bytes_per_second)).await;
            if slow.check(None) != Progress::Good {
                return false;
            }
            drop(sent);
        }
        true
    };
    assert!(seconds(4_096, &mut body).await, "just fast enough");
    assert!(!seconds(1_024, &mut body).await, "too slow");
}

#[tokio::test(start_paused = true)]
async fn the_worst_of_all_transfers_counts_and_those_that_ended_do_not() {
    let all = Transfers::default();
    let (good, bad) = (transfer(None, None), transfer(None, None));
    good.state().stall_timer.pause();
    all.add(&good);
    all.add(&bad);
    advance(Duration::from_secs(30)).await;
    assert_eq!(all.check(None), Progress::Stalled);
    drop(bad);
    assert_eq!(all.check(None), Progress::Good);
}
