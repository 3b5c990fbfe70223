//! History that is lost, and history that is not durable yet: neither is acknowledged or marked as published by mistake.

use std::time::{Duration, Instant};
use tallyhouse_core::ports::{ClaimScope, Outbox as _, Owner, PortErrorKind, RecordRepository};

use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
use tallyhouse_tests::servers::postgres::PostgresServer;

use crate::support::{batch, commit, database, record, repository, settings};

/// Commits new records until one waits for a standby: the server reloads its settings at its leisure.
async fn await_standby_wait(server: &PostgresServer, repository: &PostgresRepository) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut number = 0;
    loop {
        let probing = repository.clone();
        number += 1;
        let probe = record(&format!("probe-{number}"), &format!("probe-{number}"), "");
        let task = tokio::spawn(async move { probing.commit(batch([probe])).await.map(drop) });
        while !task.is_finished() {
            if server.psql("postgres", waiting).unwrap() != "0" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(Instant::now() < deadline, "no commit waits for a standby");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_acknowledged_only_when_the_synchronous_standby_has_it() {
    let server = PostgresServer::start().unwrap();
    let url = server.database().unwrap();
    let quick = Duration::from_millis(300);
    let quickly = || PostgresSettings { acquire_timeout: quick, write_timeout: quick, ..settings(&url) };
    // One expects duplicates and looks ids up; the other finds out by the insert and takes locks.
    let [looking_up, inserting] = [(); 2].map(|()| PostgresRepository::new(quickly()));
    looking_up.migrate().await.unwrap();
    for _ in 0..2 {
        commit(&looking_up, [record("r", "d", "")]).await;
    }

    server.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'").unwrap();
    server.psql("postgres", "SELECT pg_reload_conf()").unwrap();
    await_standby_wait(&server, &PostgresRepository::new(quickly())).await;
    let conflict = || tallyhouse_testing::generate::record("r", "d", "", "1", "EUR");
    let attempts = [
        looking_up.commit(batch([record("r", "d", "")])),
        looking_up.commit(batch([conflict()])),
        inserting.commit(batch([record("r", "d", "")])),
    ];
    for result in futures::future::join_all(attempts).await {
        assert_eq!(
            result.map(|committed| committed.outcomes[0].name()).unwrap_err().kind(),
            PortErrorKind::Unavailable
        );
    }

    server.psql("postgres", "ALTER SYSTEM RESET synchronous_standby_names").unwrap();
    server.psql("postgres", "SELECT pg_reload_conf()").unwrap();
    for repository in [looking_up, inserting] {
        let deadline = Instant::now() + Duration::from_secs(60);
        let committed = loop {
            match repository.commit(batch([record("r", "d", "")])).await {
                Ok(committed) => break committed,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        assert_eq!(committed.outcomes[0].name(), "duplicate");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_lost_history_marks_no_other_one_as_published() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap();
    let (repository, owner) = (repository(&url), Owner::new("me"));
    let owned = |id: &str| {
        let mut batch = batch([record(id, id, "")]);
        batch.owner = Some(owner.clone());
        batch
    };
    let lost = repository.commit(owned("lost")).await.unwrap().entry.unwrap();
    // The store goes back to before the commit, and the position is used again.
    PostgresServer::shared().psql(name, "TRUNCATE records, summaries, batches, outbox").unwrap();
    let kept = repository.commit(owned("kept")).await.unwrap().entry.unwrap();
    assert_eq!((lost.first, kept.first), (1, 1));

    repository.mark_published(&owner, &[lost.id]).await.unwrap();
    let mut next = owned("next");
    next.published = vec![lost.id];
    let next = repository.commit(next).await.unwrap().entry.unwrap();
    assert_eq!(repository.claim(&owner, ClaimScope::Own, 10).await.unwrap(), [kept, next]);
    repository.mark_published(&owner, &[kept.id, next.id]).await.unwrap();
    assert_eq!(repository.claim(&owner, ClaimScope::Own, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_from_the_future_has_lapsed() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap();
    let (repository, gone, other) = (repository(&url), Owner::new("gone"), Owner::new("other"));
    repository.renew(&gone, Duration::from_secs(60)).await.unwrap();
    let mut owned = batch([record("r", "d", "")]);
    owned.owner = Some(gone);
    let entry = repository.commit(owned).await.unwrap().entry.unwrap();
    assert_eq!(repository.claim(&other, ClaimScope::Abandoned, 10).await.unwrap(), []);
    // The clock that wrote the lease was ahead, and has been set right.
    PostgresServer::shared().psql(name, "UPDATE leases SET until = until + interval '5 hours'").unwrap();
    assert_eq!(repository.claim(&other, ClaimScope::Abandoned, 10).await.unwrap(), [entry]);
}
