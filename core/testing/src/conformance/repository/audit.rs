//! The read for an audit: everything, in order, in one snapshot.

use futures::{StreamExt, TryStreamExt};
use tallyhouse_core::ports::{AuditPart, Batch, Owner, Store};

use super::consistency::assert_consistent;
use super::{RepositoryFixture, batch, batch_of, commit, commit_records, exact, rule, rules};
use crate::doubles::generate::{Generator, record};

/// Keys come by the bytes of the destination, then of the reference, each with its running summary and its records by
/// sequence; the outbox comes last.
pub async fn an_audit_reads_keys_records_and_outbox_in_order<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let me = Owner::new("me");
    let keys = [("b", ""), ("B", "z"), ("B", "é"), ("B", "Z"), ("ab", ""), ("a", "b"), ("a", "")];
    let rules = rules([rule("high", "1")]);
    for round in 0..3 {
        let records = keys.map(|(destination, reference)| {
            record(
                &format!("{destination}/{reference}/{}", 3 - round),
                destination,
                reference,
                &round.to_string(),
                "EUR",
            )
        });
        let owner = (round != 1).then(|| me.clone());
        commit(&*repository, Batch { rules: rules.clone(), owner, ..batch(records) }).await;
    }
    let own = repository.claim(&me, tallyhouse_core::ports::ClaimScope::Own, 10).await.expect("a claim is answered");
    repository.mark_published(&me, &[own[0].id]).await.expect("an entry is marked");

    let mut sorted = keys;
    sorted.sort_unstable();
    let mut expected = Vec::new();
    for (destination, reference) in sorted {
        expected.push(format!("key {destination}/{reference} 3"));
        let place = keys.iter().position(|key| *key == (destination, reference)).expect("the key is there");
        for round in 0..3 {
            let position = 1 + place + round * keys.len();
            expected.push(format!("record {destination}/{reference}/{} #{} at {position}", 3 - round, round + 1));
        }
    }
    expected.extend(["outbox 8 to 14".to_owned(), "outbox 15 to 21".to_owned()]);
    let parts = read(&*repository).await;
    let found: Vec<String> = parts.iter().map(describe).collect();
    assert_eq!(found, expected);
    for part in &parts {
        if let AuditPart::Record(_, stored) = part {
            let id = &stored.processed.record.record_id;
            let by_id = repository.find(id).await.expect("a record is looked up").expect("the record is there");
            assert_eq!(exact(stored), exact(&by_id));
        }
    }
    assert_consistent(&*repository).await;
}

/// An audit sees nothing that is committed or published while it reads.
pub async fn an_audit_is_one_snapshot_while_a_writer_goes_on<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (reader, writer) = (fixture.handle().await, fixture.handle().await);
    let me = Owner::new("me");
    let mut generator = Generator::new(61).over(30, 3);
    let first = commit(&*writer, batch_of(&me, generator.records("before", 3_000))).await;
    let expected: Vec<String> = read(&*reader).await.iter().map(describe).collect();
    let mut parts = reader.audit().await.expect("the audit begins");
    let mut found = Vec::new();
    while let Some(part) = parts.next().await {
        found.push(describe(&part.expect("a part is read")));
        if found.len() % 100 == 1 {
            let published: Vec<_> = first.entry.iter().map(|entry| entry.id).collect();
            let more = generator.records(&format!("during-{}", found.len()), 5);
            commit(&*writer, Batch { published, ..batch_of(&me, more) }).await;
        }
    }
    assert_eq!(found, expected);
    let report = tallyhouse_pipeline::audit(&*reader).await.expect("the audit ends");
    assert_eq!((report.findings, report.records > 3_000), (Vec::new(), true));
    commit_records(&*writer, [record("after", "D", "", "1", "EUR")]).await;
    assert_consistent(&*reader).await;
}

async fn read(repository: &dyn Store) -> Vec<AuditPart> {
    repository.audit().await.expect("the audit begins").try_collect().await.expect("the audit ends")
}

fn describe(part: &AuditPart) -> String {
    match part {
        AuditPart::Key(key, Some(summary)) => {
            format!("key {}/{} {}", key.destination_id, key.reference, summary.count())
        }
        AuditPart::Key(key, None) => format!("key {}/{} without a summary", key.destination_id, key.reference),
        AuditPart::Record(position, stored) => {
            format!("record {} #{} at {position}", stored.processed.record.record_id, stored.processed.sequence)
        }
        AuditPart::Unreadable(what) => format!("unreadable: {what}"),
        AuditPart::Outbox(first, last) => format!("outbox {first} to {last}"),
        AuditPart::RolledUpTo(position) => format!("rolled up to {position}"),
        AuditPart::RollUp(kept) => {
            format!("roll-up of {} {:?}: {}", kept.destination_id, kept.period, kept.side.count)
        }
    }
}
