//! The emitter in memory passes the suite that every emitter passes, and fails when a test says so.

use super::RecordingEmitter;
use crate::doubles::generate::{Generator, stored};
use tallyhouse_core::Message;
use tallyhouse_core::ports::{MessageEmitter, PortErrorKind};

crate::emitter_conformance!(crate::RecordingFixture);

#[tokio::test]
async fn scripted_failures_come_first_and_emit_nothing() {
    let emitter = RecordingEmitter::new();
    let stored = stored(Generator::new(1).records("r", 1));
    let messages: Vec<Message> = Message::all_of(1, &stored[0]).collect();
    emitter.fail_next(1);
    assert_eq!(emitter.emit(&messages).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    assert_eq!(emitter.messages(), []);
    emitter.emit(&messages).await.unwrap();
    emitter.until(messages.len()).await;
    assert_eq!(emitter.messages(), messages);
}
