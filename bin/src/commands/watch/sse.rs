//! Parses Server-Sent Events (HTML Standard, section 9.2).

use std::collections::VecDeque;

/// Longest event. A message is far shorter.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The position to resume after.
    pub(super) id: Option<String>,
    /// The message. An event without data only moves the position.
    pub(super) data: Option<String>,
}

/// An event is longer than [`EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has no end within {EVENT_BYTES_MAX} bytes")]
pub(super) struct EventTooLong;

/// Parses a stream in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    event: Event,
    event_bytes: usize,
    ready: VecDeque<Event>,
}

impl Events {
    /// Parses the next piece.
    ///
    /// # Errors
    /// An event is too long.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), EventTooLong> {
        for part in piece.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() + self.event_bytes > EVENT_BYTES_MAX {
                return Err(EventTooLong);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
            }
        }
        Ok(())
    }

    /// Returns the next complete event.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            self.event_bytes = 0;
            if event != Event::default() {
                self.ready.push_back(event);
            }
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.event.id = Some(value.to_owned()),
            "data" => match &mut self.event.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.event.data = Some(value.to_owned()),
            },
            // Comments and unused fields.
            _ => return,
        }
        self.event_bytes += line.len();
    }
}

#[cfg(test)]
mod tests;
