//! Real failures of the database, and the error that the caller gets.

use std::error::Error;
use std::time::{Duration, Instant};
use tallyhouse_core::ports::{
    AuditPart, ClaimScope, HistoryQuery, Outbox as _, Owner, PortError, PortErrorKind, RecordReader as _,
    RecordRepository,
};
use tallyhouse_core::{GroupQuery, Outcome, RecordId, RecordQuery};
use tallyhouse_testing::generate;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use futures::StreamExt;
use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
use tallyhouse_tests::servers::postgres::{PostgresOptions, PostgresServer};

use crate::proxy::Proxy;
use crate::support::{batch, commit, connect, database, make_it_lock, record, records, repository, settings};

/// Locks the key `(d, "")` as a batch does, until the connection is told otherwise.
fn lock_key(url: &str) -> PgConnection {
    let mut other = connect(url);
    other.batch_execute("BEGIN; SELECT * FROM lock_and_read(ARRAY['d'], ARRAY[''], '{}')").unwrap();
    other
}

/// Waits until some process of the database waits for a lock.
async fn await_waiter(server: &PostgresServer, url: &str) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.psql(url.rsplit('/').next().unwrap(), sql).unwrap() == "0" {
        assert!(Instant::now() < deadline, "no process waits for a lock");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Cuts the connection that waits for a lock.
fn cut_the_waiter(url: &str) {
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    assert_eq!(PostgresServer::shared().psql(url.rsplit('/').next().unwrap(), cut).unwrap(), "t");
}

fn told(error: &PortError) -> String {
    error.source().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_unavailable_makes_every_call_unavailable_and_none_remembers_it() {
    let mut server = PostgresServer::start().unwrap();
    let url = server.database().unwrap();
    server.stop().unwrap();
    // Made while there is no server.
    let quick = Duration::from_millis(300);
    let repository = PostgresRepository::new(PostgresSettings { acquire_timeout: quick, ..settings(&url) });
    let (id, owner) = (RecordId::new("r").unwrap(), Owner::new("o"));
    let page = RecordQuery { limit: 1, ..RecordQuery::default() };
    let history = HistoryQuery { after: 0, alerting_only: false, limit: 1 };
    let errors = [
        repository.commit(batch([record("r", "d", "")])).await.map(drop),
        repository.find(&id).await.map(drop),
        repository.records(page).await.map(drop),
        repository.groups(GroupQuery::default()).await.map(drop),
        repository.history(history).await.map(drop),
        repository.head().await.map(drop),
        repository.renew(&owner, quick).await,
        repository.claim(&owner, ClaimScope::Own, 1).await.map(drop),
        repository.mark_published(&owner, &[]).await,
        repository.backlog().await.map(drop),
        repository.audit().await.map(drop),
        repository.ping().await,
        repository.migrate().await.map(drop),
        repository.check_schema().await,
    ];
    for error in errors {
        assert_eq!(error.unwrap_err().kind(), PortErrorKind::Unavailable);
    }
    server.resume().unwrap();
    let repository = PostgresRepository::new(settings(&url));
    repository.migrate().await.unwrap();
    commit(&repository, [record("r", "d", "")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_is_survived_by_every_connection() {
    let mut server = PostgresServer::start().unwrap();
    let url = server.database().unwrap();
    let repository = repository(&url);
    repository.migrate().await.unwrap();
    for round in 0..3 {
        // Use as many connections as there are.
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let repository = repository.clone();
                tokio::spawn(async move {
                    commit(&repository, records(&format!("{round}-{n}"), 50, 5)).await;
                    repository.head().await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        server.restart().unwrap();
        assert_eq!(repository.head().await.unwrap(), (round + 1) * 400);
    }
    commit(&repository, [record("after", "d", "")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_the_server_is_killed() {
    let mut server = PostgresServer::start_with(PostgresOptions { fsync: true, ..Default::default() }).unwrap();
    let url = server.database().unwrap();
    // The promise does not hang on the server's setting.
    let name = url.rsplit('/').next().unwrap();
    server.psql("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = off")).unwrap();
    let repository = repository(&url);
    repository.migrate().await.unwrap();
    for n in 0..10 {
        commit(&repository, records(&format!("kept-{n}"), 20, 5)).await;
    }
    let mut other = lock_key(&url);
    let waiting = repository.clone();
    let task = tokio::spawn(async move { waiting.commit(batch([record("lost", "d", "")])).await });
    await_waiter(&server, &url).await;
    server.kill().unwrap();
    assert_eq!(task.await.unwrap().unwrap_err().kind(), PortErrorKind::Unavailable);
    assert!(other.batch_execute("COMMIT").is_err());

    server.resume().unwrap();
    assert_eq!(repository.head().await.unwrap(), 200);
    assert_eq!(commit(&repository, [record("lost", "d", "")]).await.outcomes[0].name(), "processed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_unavailable_and_used_again_when_it_thaws() {
    let server = PostgresServer::start().unwrap();
    let url = server.database().unwrap();
    let quick = Duration::from_millis(300);
    let short = PostgresSettings { writers: 1, acquire_timeout: quick, write_timeout: quick, ..settings(&url) };
    let repository = PostgresRepository::new(short);
    repository.migrate().await.unwrap();
    commit(&repository, [record("before", "d", "")]).await;
    server.freeze();
    for _ in 0..2 {
        // The first keeps the only connection; the second is told that there is none.
        let error = repository.commit(batch([record("during", "d", "")])).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Unavailable);
    }
    server.thaw();
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = repository.commit(batch([record("after", "d", "")])).await {
        assert_eq!(error.kind(), PortErrorKind::Unavailable);
        assert!(Instant::now() < deadline, "it does not heal");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_before_the_commit_is_replaced_without_a_word() {
    let url = database().await;
    let repository = repository(&url);
    // Once as one statement, once with a lock first.
    for id in ["r-1", "r-2"] {
        let mut other = lock_key(&url);
        let waiting = repository.clone();
        let task = tokio::spawn(async move { waiting.commit(batch([record(id, "d", "")])).await });
        await_waiter(PostgresServer::shared(), &url).await;
        cut_the_waiter(&url);
        await_waiter(PostgresServer::shared(), &url).await;
        other.batch_execute("ROLLBACK").unwrap();
        assert_eq!(task.await.unwrap().unwrap().outcomes[0].name(), "processed");
        make_it_lock(&repository, &url).await;
    }
}

/// Only the server knows the result: a repetition finds the records stored, and can't tell by which attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_unavailable_and_may_be_repeated() {
    let proxy = Proxy::before(PostgresServer::shared().port()).await;
    let repository = repository(&proxy.url(&database().await));
    commit(&repository, [record("before", "d", "")]).await;
    proxy.lose_the_next_answer();
    let error = repository.commit(batch([record("r", "d", "")])).await.unwrap_err();
    assert_eq!(
        (error.kind(), told(&error).as_str()),
        (PortErrorKind::Unavailable, "the connection was cut before the answer to COMMIT")
    );
    let Outcome::Duplicate { sequence, .. } = commit(&repository, [record("r", "d", "")]).await.outcomes[0] else {
        panic!("it was not done")
    };
    assert_eq!(sequence, 2);
    assert_eq!(repository.head().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_too_long_is_unavailable() {
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(20));
    for (write_timeout, lock_timeout, reason) in [
        (short, long, "canceling statement due to statement timeout"),
        (long, short, "canceling statement due to lock timeout"),
    ] {
        let url = database().await;
        let repository = PostgresRepository::new(PostgresSettings { write_timeout, lock_timeout, ..settings(&url) });
        let mut other = lock_key(&url);
        let error = repository.commit(batch([record("r", "d", "")])).await.unwrap_err();
        assert_eq!((error.kind(), told(&error).as_str()), (PortErrorKind::Unavailable, reason));
        other.batch_execute("ROLLBACK").unwrap();
        commit(&repository, [record("r", "d", "")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_victim_of_a_deadlock_begins_again() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap();
    // A waiter looks for a deadlock once, after this time: until then the other one must be waiting too.
    let later = format!("ALTER DATABASE {name} SET deadlock_timeout = '3s'");
    PostgresServer::shared().psql("postgres", &later).unwrap();
    let repository = repository(&url);
    // Somebody who locks in the wrong order, and is patient enough not to become the victim itself.
    let mut other = connect(&url);
    other
        .batch_execute("SET deadlock_timeout = '1min'; BEGIN; SELECT * FROM lock_and_read(ARRAY['b'], ARRAY[''], '{}')")
        .unwrap();
    let waiting = repository.clone();
    let records = [record("r-a", "a", ""), record("r-b", "b", "")];
    let task = tokio::spawn(async move { waiting.commit(batch(records)).await });
    await_waiter(PostgresServer::shared(), &url).await;
    other.batch_execute("SELECT * FROM lock_and_read(ARRAY['a'], ARRAY[''], '{}'); ROLLBACK").unwrap();
    let committed = task.await.unwrap().unwrap();
    assert!(committed.outcomes.iter().all(|outcome| outcome.name() == "processed"));

    // A session hands in its statistics when it ends, at the latest.
    drop(repository);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let deadline = Instant::now() + Duration::from_secs(30);
    while PostgresServer::shared().psql(name, deadlocks).unwrap() == "0" {
        assert!(Instant::now() < deadline, "there was no deadlock");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serialization_failure_is_tried_again_and_not_for_ever() {
    // Once without a lock, five times with it.
    for (failures, expected, attempts) in [(2, Ok("processed"), "3"), (1_000, Err(PortErrorKind::Unavailable), "6")] {
        let url = database().await;
        let name = url.rsplit('/').next().unwrap();
        // A sequence is not rolled back, so it counts the attempts.
        let trigger = format!(
            "CREATE SEQUENCE attempts; \
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('attempts') <= {failures} THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END IF; \
             RETURN NEW; END $$; \
             CREATE TRIGGER fail BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION fail()"
        );
        PostgresServer::shared().psql(name, &trigger).unwrap();
        let result = repository(&url).commit(batch([record("r", "d", "")])).await;
        let result = result.as_ref().map(|committed| committed.outcomes[0].name()).map_err(PortError::kind);
        assert_eq!(result, expected);
        assert_eq!(PostgresServer::shared().psql(name, "SELECT last_value FROM attempts").unwrap(), attempts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_refuses_is_refused_and_not_unavailable() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap();
    let repository = repository(&url);
    PostgresServer::shared().psql(name, "ALTER TABLE records ADD CHECK (unit <> 'poison')").unwrap();
    let poison = generate::record("p", "d", "", "1", "poison");
    let error = repository.commit(batch([record("good", "d", ""), poison])).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Refused);
    assert_eq!(repository.head().await.unwrap(), 0, "nothing of the batch is stored");
    commit(&repository, [record("good", "d", "")]).await;

    // A unique key that is not ours, as an operator may add it.
    PostgresServer::shared().psql(name, "CREATE UNIQUE INDEX ON batches (alerting)").unwrap();
    let error = repository.commit(batch([record("second", "d", "")])).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_is_unavailable_for_writes() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap();
    PostgresServer::shared()
        .psql("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
        .unwrap();
    let repository = repository(&url);
    let error = repository.commit(batch([record("r", "d", "")])).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (PortErrorKind::Unavailable, Some("the database is read-only")));
    assert_eq!(repository.ping_write().await.unwrap_err().reason(), error.reason());
    assert_eq!(repository.head().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_records_can_be_written_is_found_out_without_storing_one() {
    const RAISE: &str = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; \
         CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
         EXECUTE FUNCTION fail()";
    let url = database().await;
    let psql = |sql: &str| PostgresServer::shared().psql(url.rsplit('/').next().unwrap(), sql).unwrap();
    let repository = repository(&url);
    repository.ping_write().await.unwrap();
    for (spoil, mend, reason) in [
        (RAISE, "DROP TRIGGER fail ON outbox", None),
        (
            "ALTER TABLE records ADD CONSTRAINT c CHECK (false)",
            "ALTER TABLE records DROP CONSTRAINT c",
            Some("the database refuses the records"),
        ),
        ("BEGIN; ALTER TABLE summaries RENAME TO away; COMMIT", "ALTER TABLE away RENAME TO summaries", None),
    ] {
        psql(spoil);
        assert_eq!(repository.ping_write().await.unwrap_err().reason(), reason, "{spoil}");
        assert!(repository.ping().await.is_ok(), "it answers");
        psql(mend);
        repository.ping_write().await.unwrap();
    }
    let rows =
        "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM summaries) + (SELECT count(*) FROM batches)";
    assert_eq!(psql(&format!("{rows} + (SELECT count(*) FROM outbox)")), "0");
    assert_eq!(commit(&repository, [record("r", "d", "")]).await.entry.unwrap().first, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_breaks_a_rule_is_corrupt() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap();
    let repository = repository(&url);
    commit(&repository, [record("r", "d", ""), record("s", "d", "")]).await;
    let server = PostgresServer::shared();
    server.psql(name, "UPDATE records SET previous = 'nonsense' WHERE record_id = 's'").unwrap();
    let id = RecordId::new("s").unwrap();
    assert_eq!(repository.find(&id).await.unwrap_err().kind(), PortErrorKind::Corrupt);
    server.psql(name, "UPDATE summaries SET summary = '[]'").unwrap();
    let error = repository.commit(batch([record("t", "d", "")])).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Corrupt);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_names_what_can_not_be_read_and_goes_on() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap();
    let repository = repository(&url);
    for id in ["a", "b", "c", "d"] {
        commit(&repository, [record(id, id, "")]).await;
    }
    let spoil = "UPDATE records SET previous = 'nonsense' WHERE record_id = 'a'; \
                 DELETE FROM batches WHERE first = 2; \
                 UPDATE summaries SET summary = 'nonsense' WHERE destination_id = 'c'; \
                 DELETE FROM summaries WHERE destination_id = 'd'";
    PostgresServer::shared().psql(name, spoil).unwrap();
    let parts: Vec<AuditPart> = repository.audit().await.unwrap().map(Result::unwrap).collect().await;
    let shown: Vec<String> = parts
        .iter()
        .map(|part| match part {
            AuditPart::Key(key, kept) => format!("key {} {}", key.destination_id, kept.is_some()),
            AuditPart::Record(position, stored) => format!("{position} {}", stored.processed.record.record_id),
            AuditPart::Unreadable(what) => what.clone(),
            AuditPart::Outbox(first, last) => format!("outbox {first}-{last}"),
            AuditPart::RolledUpTo(position) => format!("rolled up to {position}"),
            AuditPart::RollUp(kept) => {
                format!("roll-up of {} {:?}: {}", kept.destination_id, kept.period, kept.side.count)
            }
        })
        .collect();
    let expected = [
        "key a true",
        "\"previous\" of the record \"a\" can't be read",
        "key b true",
        "the record \"b\" has no position: its batch is missing",
        "the summary of (\"c\", \"\") can't be read",
        "key c false",
        "3 c",
        "key d false",
        "4 d",
        "outbox 1-1",
        "outbox 2-2",
        "the outbox entry of the positions 2 to 2 is that of no batch",
        "outbox 3-3",
        "outbox 4-4",
    ];
    assert_eq!(shown, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_connection_is_understood_when_it_is_asked_for() {
    let url = format!("{}?sslmode=require", database().await);
    let error = repository(&url).ping().await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable);
    // It is the server that has no TLS, and not the library.
    assert!(told(&error).contains("server does not support SSL"), "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_encrypted_where_the_server_can() {
    let server = PostgresServer::start().unwrap();
    // The server's own account makes the certificate, in its own folder.
    let certificate = "openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.crt -days 2 \
                       -subj /CN=localhost 2>/dev/null && chmod 600 server.key";
    server.psql("postgres", &format!("COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; {certificate}'")).unwrap();
    server.psql("postgres", "ALTER SYSTEM SET ssl = on").unwrap();
    server.psql("postgres", "SELECT pg_reload_conf()").unwrap();
    let url = format!("{}?sslmode=require", server.url("postgres"));
    let repository = repository(&url);
    // The server reloads its settings at its leisure.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = repository.ping().await {
        assert!(Instant::now() < deadline, "{}", told(&error));
    }
    let encrypted = "SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid <> pg_backend_pid()";
    assert_ne!(server.psql("postgres", encrypted).unwrap().trim(), "0");
}
