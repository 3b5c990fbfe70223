//! Payloads that are too large: they never come into the process whole, and a take is bounded in bytes.

use std::process::Command;

use redis::{Connection, cmd};
use tallyhouse_core::RejectionCode;
use tallyhouse_core::ports::{
    DeadLetter, DeadLetterReason, DeadLetters, Delivery, Disposition, PAYLOAD_BYTES_MAX, RecordSource,
};
use tallyhouse_redis::{RedisClient, RedisDeadLetters};
use tallyhouse_tests::servers::redis_server::{RedisCluster, RedisServer};

use crate::{ack, list_source, open, payloads, quick, receive, shared_server, stream_source, until};

/// An oversized payload, larger than one receive may be and than the part of it that is digested.
const LARGE: usize = 20_000_000;

fn sha1(payload: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payload");
    std::fs::write(&file, payload).unwrap();
    let output = Command::new("sha1sum").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// Returns how many bytes the server has sent.
fn bytes_sent(connection: &mut Connection) -> u64 {
    let stats: String = cmd("INFO").arg("stats").query(connection).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:")).unwrap();
    line.parse().unwrap()
}

fn push(connection: &mut Connection, client_prefix: &str, queue: &str, payload: &[u8]) {
    match queue {
        "list" => cmd("LPUSH").arg(format!("{client_prefix}:records")).arg(payload).exec(connection).unwrap(),
        _ => {
            let key = format!("{client_prefix}:records:stream");
            cmd("XADD").arg(key).arg("*").arg("record").arg(payload).exec(connection).unwrap();
        }
    }
}

fn source(client: &RedisClient, queue: &str) -> Box<dyn RecordSource> {
    if queue == "list" { Box::new(list_source(client)) } else { Box::new(stream_source(client)) }
}

/// Dead-letters deliveries for the reasons that the source gives.
async fn dead_letter(source: &dyn RecordSource, deliveries: &[Delivery]) {
    for delivery in deliveries {
        let rejection = delivery.payload.clone().unwrap_err();
        assert_eq!(rejection.code, RejectionCode::TooLarge);
        let reason = DeadLetterReason::Rejection(rejection.code);
        let disposition = Disposition::DeadLetter { reason, detail: rejection.detail() };
        ack(source, std::slice::from_ref(delivery), &disposition).await;
    }
}

fn check_letter(letter: &DeadLetter, payload: &[u8]) {
    assert_eq!(letter.reason, "too-large");
    assert_eq!(letter.payload, payload[..=PAYLOAD_BYTES_MAX]);
    let digested = &payload[..payload.len().min(16 * 1024 * 1024)];
    let part = if digested.len() < payload.len() { " of the first 16 MiB" } else { "" };
    let expect = format!("this has {} bytes (SHA-1{part}: {})", payload.len(), sha1(digested));
    assert!(letter.detail.contains(&expect), "{}", letter.detail);
}

async fn kept(client: &RedisClient) -> u64 {
    let figures = client.queues().await.unwrap();
    figures.list + figures.processing + figures.stream
}

#[tokio::test]
async fn an_oversized_payload_becomes_a_dead_letter_and_is_never_received_whole() {
    let server = RedisServer::start().unwrap();
    for queue in ["list", "stream"] {
        let settings = quick(&server.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let mut connection = server.connection().unwrap();
        let large: Vec<u8> = (0..LARGE).map(|n| b'a' + u8::try_from(n % 23).unwrap()).collect();
        // One before a source starts, and one while it blocks.
        push(&mut connection, &prefix, queue, &large);
        push(&mut connection, &prefix, queue, b"good");
        let source = source(&client, queue);
        let before = bytes_sent(&mut connection);
        let first = receive(&*source, 2).await;
        assert_eq!(first[1].payload.as_deref(), Ok(&b"good"[..]), "{queue}");
        dead_letter(&*source, &first[..1]).await;
        assert_eq!(source.receive(10).await.unwrap(), [], "{queue}");
        let (woken, ()) = tokio::join!(receive(&*source, 1), async {
            until("the source blocks", async || blocked(&server)).await;
            push(&mut server.connection().unwrap(), &prefix, queue, &large);
        });
        ack(&*source, &woken, &Disposition::Nack).await;
        let again = receive(&*source, 1).await;
        dead_letter(&*source, &again).await;
        ack(&*source, &first[1..], &Disposition::Ack).await;
        assert!(bytes_sent(&mut connection) - before < 2_000_000, "{queue}");
        assert_eq!(kept(&client).await, 0, "{queue}");
        let letters = RedisDeadLetters::new(&client).list(None, 10).await.unwrap();
        assert_eq!(letters.len(), 2, "{queue}");
        letters.iter().for_each(|letter| check_letter(letter, &large));
    }
}

fn blocked(server: &RedisServer) -> bool {
    server.cli(&["INFO", "clients"]).unwrap().lines().any(|line| line.trim() == "blocked_clients:1")
}

#[tokio::test]
async fn an_oversized_payload_of_a_dead_consumer_becomes_a_dead_letter() {
    for queue in ["list", "stream"] {
        let settings = quick(&shared_server().url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let mut connection = shared_server().connection().unwrap();
        let large = vec![b'x'; LARGE];
        let dying = source(&client, queue);
        push(&mut connection, &prefix, queue, &large);
        assert_eq!(receive(&*dying, 1).await.len(), 1);
        drop(dying);
        let other = source(&client, queue);
        let found = receive(&*other, 1).await;
        dead_letter(&*other, &found).await;
        assert_eq!(kept(&client).await, 0, "{queue}");
        let letters = RedisDeadLetters::new(&client).list(None, 10).await.unwrap();
        check_letter(&letters[0], &large);
    }
}

#[tokio::test]
async fn an_oversized_payload_in_the_processing_list_survives_a_lost_connection() {
    let settings = quick(&shared_server().url());
    let prefix = settings.prefix.clone();
    let client = open(settings);
    let mut connection = shared_server().connection().unwrap();
    let source = list_source(&client);
    let large = vec![b'x'; LARGE];
    push(&mut connection, &prefix, "list", &large);
    let held = receive(&source, 1).await;
    // A call that is cancelled closes its connection: the next one reconciles.
    drop(tokio::time::timeout(std::time::Duration::from_millis(20), source.receive(1)).await);
    assert_eq!(source.receive(1).await.unwrap(), []);
    dead_letter(&source, &held).await;
    assert_eq!(kept(&client).await, 0);
}

#[tokio::test]
async fn one_receive_is_bounded_in_bytes() {
    for queue in ["list", "stream"] {
        let settings = quick(&shared_server().url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let mut connection = shared_server().connection().unwrap();
        let payload = vec![b' '; PAYLOAD_BYTES_MAX];
        for _ in 0..400 {
            push(&mut connection, &prefix, queue, &payload);
        }
        let source = source(&client, queue);
        let mut count = 0;
        while count < 400 {
            let deliveries = source.receive(1000).await.unwrap();
            let bytes: usize = payloads(&deliveries).iter().map(String::len).sum();
            assert!(bytes <= 9 * 1024 * 1024 + 1, "{queue}: {bytes}");
            count += deliveries.len();
            ack(&*source, &deliveries, &Disposition::Ack).await;
        }
    }
}

#[tokio::test]
async fn an_entry_without_a_record_is_cut_when_it_is_oversized_and_other_fields_do_not_count() {
    let settings = quick(&shared_server().url());
    let key = format!("{}:records:stream", settings.prefix);
    let client = open(settings);
    let mut connection = shared_server().connection().unwrap();
    let large = "y".repeat(1_000_000);
    let mut add = |fields: &[(&str, &str)]| cmd("XADD").arg(&key).arg("*").arg(fields).exec(&mut connection).unwrap();
    add(&[("Record", &large), ("more", "z")]);
    add(&[("record", "{}"), ("more", &large)]);
    add(&[("record", &large[..100_000]), ("record", &large[..100_000])]);
    let source = stream_source(&client);
    let deliveries = receive(&source, 3).await;
    assert_eq!(deliveries[1].payload.as_deref(), Ok(&b"{}"[..]));
    dead_letter(&source, &deliveries[..1]).await;
    assert_eq!(deliveries[2].payload.clone().unwrap_err().code, RejectionCode::Rejected);
    let reason = DeadLetterReason::Rejection(RejectionCode::Rejected);
    ack(&source, &deliveries[2..], &Disposition::DeadLetter { reason, detail: "twice".into() }).await;
    let letters = RedisDeadLetters::new(&client).list(None, 10).await.unwrap();
    assert!(letters[0].payload.starts_with(b"{\"Record\":\"yyy") && letters[0].payload.len() < 100_000);
    assert!(letters[0].detail.contains("has 1000011 bytes"), "{}", letters[0].detail);
    assert!(letters[1].payload.len() > 200_000, "both records are kept whole");
}

#[tokio::test]
async fn a_lost_wake_key_loses_no_element() {
    let settings = quick(&shared_server().url());
    let prefix = settings.prefix.clone();
    let client = open(settings);
    let mut connection = shared_server().connection().unwrap();
    let source = list_source(&client);
    assert_eq!(source.receive(1).await.unwrap(), []);
    let wake = format!("{prefix}:wake:{{{prefix}:records}}");
    // As `BLMOVE` leaves it if the server loses the key meanwhile.
    cmd("DEL").arg(&wake).exec(&mut connection).unwrap();
    cmd("LPUSH").arg(&wake).arg(&["a", "b"]).exec(&mut connection).unwrap();
    let mut found = payloads(&receive(&source, 2).await);
    found.sort();
    assert_eq!(found, ["a", "b"]);
    let kind: String = cmd("TYPE").arg(&wake).query(&mut connection).unwrap();
    assert_eq!(kind, "zset");
}

#[tokio::test]
async fn oversized_payloads_become_dead_letters_on_a_cluster() {
    let cluster = RedisCluster::start().unwrap();
    for queue in ["list", "stream"] {
        let settings = quick(&cluster.url());
        let prefix = settings.prefix.clone();
        let client = open(settings);
        let large = "x".repeat(100_000);
        let source = source(&client, queue);
        assert_eq!(source.receive(1).await.unwrap(), []);
        if queue == "list" {
            cluster.cli(&["LPUSH", &format!("{prefix}:records"), &large]).unwrap();
        } else {
            cluster.cli(&["XADD", &format!("{prefix}:records:stream"), "*", "record", &large]).unwrap();
        }
        let deliveries = receive(&*source, 1).await;
        ack(&*source, &deliveries, &Disposition::Nack).await;
        dead_letter(&*source, &receive(&*source, 1).await).await;
        assert_eq!(kept(&client).await, 0, "{queue}");
        check_letter(&RedisDeadLetters::new(&client).list(None, 10).await.unwrap()[0], large.as_bytes());
    }
}

#[tokio::test]
async fn a_page_of_dead_letters_is_bounded_in_bytes_and_never_empty_before_the_end() {
    let settings = quick(&shared_server().url());
    let key = format!("{}:dead-letters", settings.prefix);
    let letters = RedisDeadLetters::new(&open(settings));
    let mut connection = shared_server().connection().unwrap();
    for size in [6_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 10] {
        cmd("XADD").arg(&key).arg(&["*", "payload"]).arg(vec![b'x'; size]).exec(&mut connection).unwrap();
    }
    let (mut after, mut sizes) = (None, Vec::new());
    loop {
        let page = letters.list(after, 1000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        let bytes: usize = page.iter().map(|letter| letter.payload.len()).sum();
        assert!(page.len() == 1 || bytes < 6_000_000, "{bytes}");
        sizes.push(page.len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 7);
    assert_eq!(sizes[0], 1, "the first alone exceeds the bound");
}
