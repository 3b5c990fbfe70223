//! A reader of Server-Sent Events (WHATWG HTML, section 9.2), as strict as what is promised: every event has an `id`,
//! one line of `data`, and nothing else. The first event of a stream may have an `id` alone: where it begins.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

use crate::clients::wire::{Wire, WireAnswer};
use crate::wait;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The position.
    pub id: String,
    /// The message, to the letter.
    pub data: String,
}

impl Event {
    /// Returns the message.
    ///
    /// # Panics
    /// It is not JSON.
    #[must_use]
    pub fn message(&self) -> Value {
        serde_json::from_str(&self.data).expect("a message is JSON")
    }
}

/// An open stream of events. A thread reads it, until the service or this end closes it.
#[derive(Debug)]
pub struct Events {
    received: Receiver<Item>,
}

#[derive(Debug)]
enum Item {
    Event(Event),
    /// An id alone: where the stream begins.
    Begin,
    Comment,
}

impl Events {
    /// Opens a stream; the answer's head has been read when this returns, so that nothing later is missed.
    ///
    /// # Panics
    /// The answer is anything but an event stream.
    #[must_use]
    #[track_caller]
    pub fn open(address: SocketAddr, path: &str, last_event_id: Option<&str>) -> Self {
        let mut wire = Wire::connect(address);
        let first = format!("GET {path}");
        let resume = last_event_id.map(|id| format!("Last-Event-ID: {id}"));
        let mut head = vec![first.as_str(), "Accept: text/event-stream"];
        head.extend(resume.as_deref());
        wire.head(&head).expect("the service reads");
        let answer = wire.answer().expect("the service answers");
        assert_eq!(answer.status, 200, "{path}");
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        assert!(media_type.starts_with("text/event-stream"), "{media_type}");
        let (sender, received) = channel();
        std::thread::spawn(move || {
            for item in items(answer) {
                // Nobody listens any more.
                if sender.send(item).is_err() {
                    return;
                }
            }
        });
        Self { received }
    }

    /// Waits for the next event.
    ///
    /// # Panics
    /// None comes, or the stream ends.
    #[must_use]
    #[track_caller]
    pub fn next_event(&mut self) -> Event {
        self.next_within(wait::PATIENCE).expect("an event should have come")
    }

    /// Waits for the next event; `None` if none comes in time, or the stream has ended.
    pub fn next_within(&mut self, patience: Duration) -> Option<Event> {
        loop {
            match self.received.recv_timeout(patience) {
                Ok(Item::Event(event)) => return Some(event),
                Ok(Item::Comment | Item::Begin) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Waits until the stream ends, and returns what still came.
    ///
    /// # Panics
    /// It does not end.
    #[track_caller]
    pub fn rest(self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            match self.received.recv_timeout(wait::PATIENCE) {
                Ok(Item::Event(event)) => events.push(event),
                Ok(Item::Comment | Item::Begin) => {}
                Err(RecvTimeoutError::Disconnected) => return events,
                Err(RecvTimeoutError::Timeout) => panic!("the stream does not end"),
            }
        }
    }

    /// Waits for the next comment, which says that the other end is alive; events before it are passed over.
    ///
    /// # Panics
    /// None comes, or the stream ends.
    #[track_caller]
    pub fn next_comment(&mut self) {
        loop {
            match self.received.recv_timeout(wait::PATIENCE).expect("a comment should have come") {
                Item::Comment => return,
                Item::Event(_) | Item::Begin => {}
            }
        }
    }
}

/// Reads until the stream ends.
fn items(answer: WireAnswer) -> impl Iterator<Item = Item> {
    let mut lines = BufReader::new(answer).lines().map_while(Result::ok);
    let mut is_first = true;
    std::iter::from_fn(move || {
        let (mut id, mut data) = (None, None);
        for line in lines.by_ref() {
            // Every field may be written with one blank behind the colon, or none.
            match line.split_once(':').map(|(name, value)| (name, value.strip_prefix(' ').unwrap_or(value))) {
                Some(("", _)) => return Some(Item::Comment),
                Some(("id", value)) => assert_eq!(id.replace(value.to_owned()), None, "two ids"),
                Some(("data", value)) => assert_eq!(data.replace(value.to_owned()), None, "two lines of data"),
                // How long a reader waits before it comes again: no part of an event.
                Some(("retry", _)) => {}
                None if line.is_empty() && id.is_none() && data.is_none() => {}
                None if line.is_empty() && is_first && data.is_none() => {
                    is_first = false;
                    return Some(Item::Begin);
                }
                None if line.is_empty() => {
                    is_first = false;
                    let event = Event { id: id.expect("an event has an id"), data: data.expect("an event has data") };
                    return Some(Item::Event(event));
                }
                Some(_) | None => panic!("an event has no such line: {line:?}"),
            }
        }
        None
    })
}
