//! The audit of files that are whole, and of damaged ones.

use futures::TryStreamExt;
use tallyhouse_core::ports::RecordReader as _;

use super::*;
use crate::test_support::{Database, commit, fill, simple};

async fn read(database: &Database) -> Vec<String> {
    let repository = database.repository().await;
    let parts: Vec<AuditPart> = repository.audit().await.unwrap().try_collect().await.unwrap();
    parts.iter().map(describe).collect()
}

fn describe(part: &AuditPart) -> String {
    match part {
        AuditPart::Key(key, summary) => {
            format!(
                "key {}/{} {:?}",
                key.destination_id,
                key.reference,
                summary.as_ref().map(tallyhouse_core::Summary::count)
            )
        }
        AuditPart::Record(position, stored) => format!("record {} at {position}", stored.processed.record.record_id),
        AuditPart::Unreadable(what) => format!("unreadable {what}"),
        AuditPart::Outbox(first, last) => format!("outbox {first} to {last}"),
        AuditPart::RolledUpTo(position) => format!("rolled up to {position}"),
        AuditPart::RollUp(roll_up) => {
            format!("roll-up of {} {:?}: {}", roll_up.destination_id, roll_up.period, roll_up.side.count)
        }
    }
}

/// Spoils three good records, and checks what an audit reads then.
async fn check(spoil: &str, expected: &[&str]) {
    let database = Database::new();
    commit(&database.repository().await, ["a", "b", "c"].map(simple)).await;
    database.spoil(spoil);
    assert_eq!(read(&database).await, expected, "{spoil}");
}

#[tokio::test]
async fn rows_that_can_not_be_read_are_named_and_the_others_are_read() {
    check("SELECT 1", &["key D/R Some(3)", "record a at 1", "record b at 2", "record c at 3", "outbox 1 to 3"]).await;
    check(
        "UPDATE records SET value = 'x' WHERE position = 2",
        &[
            "key D/R Some(3)",
            "record a at 1",
            "unreadable table records, position 2: value \"x\" must be a decimal such as 12, 12.50 or 1.25e3, as a JSON \
             number or as a string of the same form",
            "record c at 3",
            "outbox 1 to 3",
        ],
    )
    .await;
    check(
        "UPDATE summaries SET summary = '[3]'",
        &[
            "key D/R None",
            "unreadable table summaries, destination \"D\", reference \"R\": summary \"[3]\" must be a summary in compact \
             form, of at least one record",
            "record a at 1",
            "record b at 2",
            "record c at 3",
            "outbox 1 to 3",
        ],
    )
    .await;
    check(
        "UPDATE records SET destination_id = '' WHERE position = 1; INSERT INTO summaries VALUES ('', '', '[]')",
        &[
            "unreadable table summaries, destination \"\", reference \"\": destination_id must have 1 to 255 characters, \
             has 0",
            "unreadable table records, position 1: destination_id \"\" must have 1 to 255 characters, has 0",
            "key D/R Some(3)",
            "record b at 2",
            "record c at 3",
            "outbox 1 to 3",
        ],
    )
    .await;
}

#[tokio::test]
async fn keys_without_a_summary_or_without_records_are_shown() {
    check(
        "DELETE FROM summaries",
        &["key D/R None", "record a at 1", "record b at 2", "record c at 3", "outbox 1 to 3"],
    )
    .await;
    check("DELETE FROM records; DELETE FROM outbox", &["key D/R Some(3)"]).await;
    check(
        "UPDATE records SET reference = 'S' WHERE position > 1",
        &["key D/R Some(3)", "record a at 1", "key D/S None", "record b at 2", "record c at 3", "outbox 1 to 3"],
    )
    .await;
    check(
        "UPDATE outbox SET first = -1",
        &[
            "key D/R Some(3)",
            "record a at 1",
            "record b at 2",
            "record c at 3",
            "unreadable table outbox, first -1: position -1 must be 1 or more",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_store_that_was_only_committed_to_has_no_findings() {
    let database = Database::new();
    let repository = database.repository().await;
    fill(&repository, 5_000).await;
    let report = tallyhouse_pipeline::audit(&repository).await.unwrap();
    assert_eq!((report.records, report.findings), (5_000, Vec::new()));
    database.spoil("UPDATE records SET value = '0.1' || value WHERE position = 77");
    let report = tallyhouse_pipeline::audit(&repository).await.unwrap();
    assert!(report.findings_count > 0);
}
