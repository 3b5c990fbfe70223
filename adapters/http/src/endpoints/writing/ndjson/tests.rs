//! How much of its lines an upload may keep.

use futures::stream;

use super::*;

fn input(pieces: &[usize], long_lines: &Arc<Semaphore>) -> Input {
    let mut pieces: Vec<Bytes> = pieces.iter().map(|bytes| Bytes::from(vec![b'x'; *bytes])).collect();
    pieces.push(Bytes::from_static(b"\n"));
    Input {
        body: RequestBody::new(stream::iter(pieces.into_iter().map(Ok)), &HeaderMap::new()),
        piece: Bytes::new(),
        lines: Lines::new(64 * 1024),
        line_bytes_max: 64 * 1024,
        traceparent: None,
        long_lines: Arc::clone(long_lines),
        long_line: None,
        ended: false,
    }
}

/// Reads as far as it may go; returns how many lines came.
fn drain(input: &mut Input) -> usize {
    let (chunk, prefixes) = (Chunk::default(), WritePrefixes::default());
    let mut gathered = Gathered { chunk, bytes: 0, records_max: 10, blank_bytes: 0, prepaid: 1, prefixes };
    while !input.ended && input.read().now_or_never().is_some_and(|read| read.is_ok()) {
        input.gather(&mut gathered);
    }
    gathered.chunk.len()
}

#[test]
fn a_long_partial_line_waits_for_a_permit_and_a_short_one_does_not() {
    let long_lines = Arc::new(Semaphore::new(1));
    let held = Arc::clone(&long_lines).try_acquire_owned().unwrap();
    assert_eq!(drain(&mut input(&[4_000, 4_000], &long_lines)), 1);
    let mut long = input(&[4_000, 6_000, 20_000], &long_lines);
    assert_eq!((drain(&mut long), long.lines.is_long()), (0, true));
    drop(held);
    assert_eq!(drain(&mut long), 1);
    assert_eq!(long_lines.available_permits(), 1, "what is no longer kept takes no permit");
}
