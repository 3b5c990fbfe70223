//! Tests of the dead letters.

use tallyhouse_core::ports::{
    Acknowledgement, DeadLetterReason, DeadLetters, Disposition, PortErrorKind, RecordSource,
};
use tallyhouse_redis::{RedisClient, RedisDeadLetters};

use crate::{list_source, open, quick, receive, shared_server};

/// Makes `count` dead letters.
async fn dead_letter(count: usize) -> (RedisClient, RedisDeadLetters) {
    let settings = quick(&shared_server().url());
    let payloads: Vec<String> = (0..count).map(|n| format!("p-{n}")).collect();
    let mut connection = shared_server().connection().unwrap();
    redis::cmd("LPUSH").arg(format!("{}:records", settings.prefix)).arg(&payloads).exec(&mut connection).unwrap();
    let client = open(settings);
    let source = list_source(&client);
    let acknowledgement = |(n, tag): (usize, &String)| {
        let disposition = Disposition::DeadLetter { reason: DeadLetterReason::Conflict, detail: format!("detail {n}") };
        Acknowledgement { tag: tag.clone(), disposition }
    };
    let tags: Vec<String> = receive(&source, count).await.into_iter().map(|delivery| delivery.tag).collect();
    source.ack(tags.iter().enumerate().map(acknowledgement).collect()).await.unwrap();
    let letters = RedisDeadLetters::new(&client);
    (client, letters)
}

#[tokio::test]
async fn pages_come_oldest_first_and_end() {
    let (client, letters) = dead_letter(25).await;
    let (mut after, mut details) = (None, Vec::new());
    loop {
        let page = letters.list(after.clone(), 10).await.unwrap();
        assert!(page.len() <= 10);
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        details.extend(page.into_iter().map(|letter| letter.detail));
    }
    assert_eq!(details, (0..25).map(|n| format!("detail {n}")).collect::<Vec<_>>());
    assert_eq!(letters.list(None, 0).await.unwrap(), []);
    assert_eq!(client.queues().await.unwrap().dead_letters, 25);
}

#[tokio::test]
async fn a_dead_letter_is_found_as_it_was_written_and_removed_once() {
    let (_, letters) = dead_letter(2).await;
    let all = letters.list(None, 10).await.unwrap();
    let found = letters.find(&all[1].id).await.unwrap().unwrap();
    assert_eq!(found, all[1]);
    assert_eq!((found.payload.as_slice(), found.reason.as_str()), (&b"p-1"[..], "conflict"));
    assert_eq!((found.origin.as_str(), found.at.as_str()), ("list", "2026-01-01T00:00:00Z"));
    assert!(letters.remove(&found.id).await.unwrap());
    assert!(!letters.remove(&found.id).await.unwrap());
    assert_eq!(letters.find(&found.id).await.unwrap(), None);
    assert_eq!(letters.list(None, 10).await.unwrap(), all[..1]);
}

#[tokio::test]
async fn an_unknown_id_finds_nothing_and_a_malformed_one_is_misuse() {
    let (_, letters) = dead_letter(1).await;
    for id in ["", "x", "1", "-", "+", "$", "1-2-3", "0-0 ", "(0-0"] {
        assert_eq!(letters.find(id).await.unwrap(), None, "{id}");
        assert!(!letters.remove(id).await.unwrap(), "{id}");
        let error = letters.list(Some(id.to_owned()), 10).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Misuse, "{id}");
    }
    assert_eq!(letters.list(None, 10).await.unwrap().len(), 1);
}
