//! The main path with TLS, with users, on Sentinel and on Cluster.

use redis::Commands;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tallyhouse_core::ports::{DeadLetterReason, DeadLetters, Disposition, MessageEmitter, PortErrorKind, RecordSource};
use tallyhouse_core::{Message, MessageFormat};
use tallyhouse_redis::{RedisClient, RedisDeadLetters, RedisEmitter, RedisSettings};
use tallyhouse_testing::Generator;
use tallyhouse_testing::generate::messages;
use tallyhouse_tests::servers::redis_server::{RedisCluster, RedisOptions, RedisSentinel, RedisServer};

use crate::{ack, acknowledgements, list_source, open, payloads, quick, receive, stream_source, until};

/// Takes records through both queues with each disposition, and publishes messages.
async fn main_path(client: &RedisClient, prefix: &str, cli: impl Fn(&[&str]) -> String) {
    client.ping().await.unwrap();
    let (list, stream) = (format!("{prefix}:records"), format!("{prefix}:records:stream"));
    for n in 0..10 {
        cli(&["LPUSH", &list, &format!("l-{n}")]);
        cli(&["XADD", &stream, "*", "record", &format!("s-{n}")]);
    }
    let dead_letter = Disposition::DeadLetter { reason: DeadLetterReason::Conflict, detail: "value".into() };
    let (list, stream) = (list_source(client), stream_source(client));
    let sources: [&dyn RecordSource; 2] = [&list, &stream];
    for source in sources {
        let first = receive(source, 6).await;
        ack(source, &first[..2], &Disposition::Ack).await;
        ack(source, &first[2..4], &Disposition::Nack).await;
        ack(source, &first[4..], &dead_letter).await;
        let rest = receive(source, 6).await;
        let all: BTreeSet<String> = payloads(&[first, rest.clone()].concat()).into_iter().collect();
        assert_eq!(all.len(), 10);
        ack(source, &rest, &Disposition::Ack).await;
    }
    let letters = RedisDeadLetters::new(client);
    let page = letters.list(None, 10).await.unwrap();
    assert_eq!(page.len(), 4);
    assert!(letters.remove(&page[0].id).await.unwrap());
    let figures = client.queues().await.unwrap();
    assert_eq!(
        (figures.list, figures.processing, figures.stream, figures.pending, figures.dead_letters),
        (0, 0, 0, 0, 3)
    );
    let messages: Vec<Message> = messages(Generator::new(1).records("r", 30));
    RedisEmitter::new(client, MessageFormat::default()).emit(&messages).await.unwrap();
    let kept = ["notifications", "alerts"].map(|topic| cli(&["XLEN", &format!("{prefix}:{topic}:stream")]));
    let kept: usize = kept.iter().map(|text| text.parse::<usize>().unwrap()).sum();
    assert_eq!(kept, messages.len());
}

#[tokio::test]
async fn everything_works_over_tls() {
    let server = RedisServer::start_with(RedisOptions { tls: true, ..RedisOptions::default() }).unwrap();
    let settings = RedisSettings { ca_file: Some(server.ca_file()), durable: true, ..quick(&server.url()) };
    let prefix = settings.prefix.clone();
    main_path(&open(settings), &prefix, |args| server.cli(args).unwrap()).await;
    let strangers = RedisSettings { ca_file: None, ..quick(&server.url()) };
    open(strangers).ping().await.unwrap_err();
}

#[tokio::test]
async fn everything_works_for_a_user_with_few_rights_in_another_database() {
    let rights = "tallies on >s3cret ~t*:* &t*:* +ping +select +multi +exec +publish +eval +evalsha +blmove +lrange \
                  +llen +lpush +rpush +lpop +rpop +lrem +lpos +persist +time +zadd +zrem +zscore +zrange \
                  +zrangebyscore +xadd +xlen +xrange +xdel +xack +xclaim +xautoclaim +xpending +xreadgroup +xgroup +xinfo \
                  +client|reply";
    let server = RedisServer::start_with(RedisOptions {
        users: vec![rights.to_owned()],
        login: "tallies:s3cret".to_owned(),
        ..RedisOptions::default()
    })
    .unwrap();
    let settings = RedisSettings { durable: true, ..quick(&format!("{}/3", server.url())) };
    let prefix = settings.prefix.clone();
    main_path(&open(settings), &prefix, |args| server.cli(&[&["-n", "3"], args].concat()).unwrap()).await;
    assert_eq!(server.cli(&["-n", "0", "DBSIZE"]).unwrap(), "0");
    let url = server.url().replace("s3cret", "wrong");
    let error = open(quick(&url)).ping().await.unwrap_err();
    assert!(!format!("{error:?}").contains("wrong"), "no secret is shown");
}

#[tokio::test]
async fn everything_works_on_a_cluster() {
    let cluster = RedisCluster::start().unwrap();
    let settings = RedisSettings { durable: true, ..quick(&cluster.url()) };
    let prefix = settings.prefix.clone();
    main_path(&open(settings.clone()), &prefix, |args| cluster.cli(args).unwrap()).await;
    // The elements of a dead consumer are requeued.
    let client = open(settings);
    cluster.cli(&["LPUSH", &format!("{prefix}:records"), "held"]).unwrap();
    let dying = list_source(&client);
    receive(&dying, 1).await;
    drop(dying);
    // So are those of an unregistered consumer.
    cluster.cli(&["LPUSH", &format!("{prefix}:processing:{{{prefix}:records}}:stranger"), "forgotten"]).unwrap();
    let found: BTreeSet<String> = payloads(&receive(&list_source(&client), 2).await).into_iter().collect();
    assert_eq!(found, BTreeSet::from(["held".to_owned(), "forgotten".to_owned()]));
}

#[tokio::test]
async fn a_lost_answer_of_a_cluster_is_an_error_and_not_a_silent_repetition() {
    let cluster = RedisCluster::start().unwrap();
    let settings = RedisSettings {
        response_timeout: Duration::from_millis(500),
        connect_timeout: Duration::from_millis(500),
        ..quick(&cluster.url())
    };
    let client = open(settings);
    let emitter = RedisEmitter::new(&client, MessageFormat::default());
    let messages: Vec<Message> = messages(Generator::new(1).records("r", 3));
    emitter.emit(&messages).await.unwrap();
    let published = || -> u64 {
        let counts = cluster.nodes().iter().map(|node| node.counts().unwrap());
        counts.map(|counts| counts.get("publish").copied().unwrap_or(0)).sum()
    };
    let before = published();
    cluster.nodes().iter().for_each(|node| node.freeze().unwrap());
    let began = Instant::now();
    assert_eq!(emitter.emit(&messages).await.unwrap_err().kind(), PortErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    cluster.nodes().iter().for_each(|node| node.thaw().unwrap());
    until("the cluster is found", async || client.ping().await.is_ok()).await;
    assert!(published() - before <= messages.len() as u64, "what was sent once is done at most once");
    until("messages are taken again", async || emitter.emit(&messages).await.is_ok()).await;
}

#[tokio::test]
async fn a_slot_that_moves_to_another_node_is_followed() {
    let cluster = RedisCluster::start().unwrap();
    let settings = quick(&cluster.url());
    let list = format!("{}:records", settings.prefix);
    let client = open(settings);
    let source = list_source(&client);
    cluster.cli(&["LPUSH", &list, "before"]).unwrap();
    let before = receive(&source, 1).await;
    let slot = cluster.cli(&["CLUSTER", "KEYSLOT", &list]).unwrap();
    let holds = |node: &RedisServer| node.cli(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).unwrap() != "0";
    let (from, to): (Vec<_>, Vec<_>) = cluster.nodes().iter().partition(|node| holds(node));
    let id = |node: &RedisServer| node.cli(&["CLUSTER", "MYID"]).unwrap();
    let (from_id, to_id, port) = (id(from[0]), id(to[0]), to[0].port().to_string());
    to[0].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).unwrap();
    from[0].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).unwrap();
    while holds(from[0]) {
        let keys = from[0].cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).unwrap();
        let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        from[0].cli(&migrate.into_iter().chain(keys.lines()).collect::<Vec<_>>()).unwrap();
    }
    for node in to.iter().chain(&from) {
        node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).unwrap();
    }
    cluster.cli(&["LPUSH", &list, "after"]).unwrap();
    let after = receive(&source, 1).await;
    assert_eq!(payloads(&after), ["after"]);
    until("received elements are acknowledged or come again", async || {
        let again = source.receive(10).await.unwrap_or_default();
        let all = [&before[..], &after, &again].concat();
        source.ack(acknowledgements(&all, &Disposition::Ack)).await.is_ok()
            && client.queues().await.is_ok_and(|figures| figures.list + figures.processing == 0)
    })
    .await;
}

#[tokio::test]
async fn a_new_master_is_found_by_sentinel() {
    let mut set = RedisSentinel::start().unwrap();
    let settings = RedisSettings { durable: true, ..quick(&set.url()) };
    let prefix = settings.prefix.clone();
    let client = open(settings);
    let master = set.master().cli(&["ROLE"]).unwrap();
    assert!(master.starts_with("master"));
    {
        let master = &*set.master();
        main_path(&client, &prefix, |args| master.cli(args).unwrap()).await;
    }
    let (list, stream) = (list_source(&client), stream_source(&client));
    let mut connection = set.master().connection().unwrap();
    let _: () = connection.lpush(format!("{prefix}:records"), &["l-a", "l-b"]).unwrap();
    let _: () = connection.xadd(format!("{prefix}:records:stream"), "*", &[("record", "s-a")]).unwrap();
    assert_eq!(receive(&list, 1).await.len(), 1);
    let synced: u64 = redis::cmd("WAIT").arg(1).arg(5000).query(&mut connection).unwrap();
    assert_eq!(synced, 1);
    set.fail_over().unwrap();
    until("the new master answers", async || client.ping().await.is_ok()).await;
    assert_eq!(payloads(&receive(&list, 1).await), ["l-b"]);
    assert_eq!(payloads(&receive(&stream, 1).await), ["s-a"]);
    let replica = set.replica();
    assert_eq!(replica.cli(&["LLEN", &format!("{prefix}:records")]).unwrap(), "0");
}
