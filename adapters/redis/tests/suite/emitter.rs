//! Tests of the emitter beyond the conformance suite.

use std::time::Duration;

use redis::cmd;
use tallyhouse_core::ports::{MessageEmitter, PortErrorKind};
use tallyhouse_core::{Message, MessageFormat};
use tallyhouse_redis::{RedisEmitter, RedisSettings};
use tallyhouse_testing::Generator;
use tallyhouse_testing::generate;
use tallyhouse_tests::servers::redis_server::RedisServer;

use crate::{open, quick, until};

fn messages(count: usize) -> Vec<Message> {
    generate::messages(Generator::new(7).records("r", count))
}

fn published(server: &RedisServer) -> u64 {
    server.counts().unwrap().get("publish").copied().unwrap_or(0)
}

#[tokio::test]
async fn the_streams_are_trimmed() {
    let server = RedisServer::start().unwrap();
    let settings = RedisSettings { durable: true, durable_max_len: 500, ..quick(&server.url()) };
    let key = format!("{}:notifications:stream", settings.prefix);
    let emitter = RedisEmitter::new(&open(settings), MessageFormat::default());
    emitter.emit(&messages(3000)).await.unwrap();
    let len: u64 = cmd("XLEN").arg(key).query(&mut server.connection().unwrap()).unwrap();
    assert!((500..700).contains(&len), "about what was asked for: {len}");
}

#[tokio::test]
async fn nothing_is_published_repeatedly_while_the_server_is_full() {
    let server = RedisServer::start().unwrap();
    let settings = RedisSettings { durable: true, ..quick(&server.url()) };
    let emitter = RedisEmitter::new(&open(settings), MessageFormat::default());
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    for _ in 0..3 {
        let error = emitter.emit(&messages(5)).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Unavailable);
    }
    assert_eq!(published(&server), 0);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    let messages = messages(5);
    emitter.emit(&messages).await.unwrap();
    assert_eq!(published(&server), messages.len() as u64);
}

#[tokio::test]
async fn a_lost_answer_is_an_error_and_not_a_silent_repetition() {
    let server = RedisServer::start().unwrap();
    let settings = RedisSettings {
        response_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_millis(300),
        ..quick(&server.url())
    };
    let client = open(settings);
    let emitter = RedisEmitter::new(&client, MessageFormat::default());
    client.ping().await.unwrap();
    let messages = messages(3);
    server.freeze().unwrap();
    assert_eq!(emitter.emit(&messages).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    server.thaw().unwrap();
    until("the server is found", async || client.ping().await.is_ok()).await;
    assert!(published(&server) <= messages.len() as u64, "what was sent once is done at most once");
    emitter.emit(&messages).await.unwrap();
    assert!(published(&server) >= messages.len() as u64);
}

#[tokio::test]
async fn an_emitter_finds_a_server_that_was_restarted() {
    let mut server = RedisServer::start().unwrap();
    let emitter = RedisEmitter::new(&open(quick(&server.url())), MessageFormat::default());
    emitter.emit(&messages(1)).await.unwrap();
    server.kill().unwrap();
    assert_eq!(emitter.emit(&messages(1)).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    server.restart().unwrap();
    until("messages are taken again", async || emitter.emit(&messages(1)).await.is_ok()).await;
}
