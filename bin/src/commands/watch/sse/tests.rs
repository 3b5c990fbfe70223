//! Tests of event streams, in pieces of any size.

use super::*;

fn event(id: Option<&str>, data: Option<&str>) -> Event {
    Event { id: id.map(str::to_owned), data: data.map(str::to_owned) }
}

#[test]
fn events_are_parsed_from_pieces_of_any_size() {
    let stream = ": hello\n\nid: 1\ndata: {\"a\":1}\n\n: keep-alive\n\nid: 2-1\r\ndata: a\r\ndata:b\r\n\r\nid: 3\n\nevent: x\ndata\n\nid: 4\ndata: cut";
    let expect = [
        event(Some("1"), Some("{\"a\":1}")),
        event(Some("2-1"), Some("a\nb")),
        event(Some("3"), None),
        event(None, Some("")),
    ];
    for size in [1, 2, 3, 10, 1_000] {
        let mut events = Events::default();
        let mut read = Vec::new();
        for piece in stream.as_bytes().chunks(size) {
            events.feed(piece).unwrap();
            read.extend(std::iter::from_fn(|| events.next()));
        }
        assert_eq!(read, expect, "in pieces of {size}");
    }
}

#[test]
fn an_event_that_is_too_long_is_refused() {
    let mut events = Events::default();
    let piece = [b"data: ".as_slice(), &vec![b'x'; EVENT_BYTES_MAX]].concat();
    assert_eq!(events.feed(&piece), Err(EventTooLong));
}
