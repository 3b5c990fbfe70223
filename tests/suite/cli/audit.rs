//! `tallyhouse verify` names the fault when a row was altered behind the service's back.

use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};
use tallyhouse_tests::data::records::{many, ndjson, record_with};
use tallyhouse_tests::folder::Folder;

/// Makes a database with four records of two keys; the second has an alert.
fn database() -> Folder {
    let folder = Folder::new();
    let records = [
        record_with("a", serde_json::json!({})),
        record_with("b", serde_json::json!({"value": "20000", "type": "negative"})),
        record_with("c", serde_json::json!({"value": "7"})),
        record_with("other", serde_json::json!({"reference": "JFK"})),
    ];
    folder.write("a.ndjson", ndjson(&records));
    folder.run(&["import", "a.ndjson"]).ok();
    folder
}

fn alter(folder: &Folder, sql: &str) {
    let path = folder.path().join("tallyhouse.db");
    let mut connection = SqliteConnection::establish(path.to_str().expect("a path is text")).expect("it opens");
    let rows = diesel::sql_query(sql).execute(&mut connection).expect("the statement runs");
    assert!(rows > 0, "nothing was altered by {sql}");
}

/// Alters a good database, and expects a finding with these words.
#[track_caller]
fn check(sql: &[&str], words: &[&str]) {
    let folder = database();
    folder.run(&["verify"]).ok();
    sql.iter().for_each(|sql| alter(&folder, sql));
    let ran = folder.run(&["verify"]).exits(1);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}, after {sql:?}");
    }
    assert!(!said.contains("panick"), "{said}");
}

#[test]
fn a_good_database_passes_and_says_what_was_read() {
    let ran = database().run(&["verify"]).ok();
    assert!(ran.stdout.contains('4'), "the records are counted: {}", ran.stdout);
}

#[test]
fn a_changed_value_is_found() {
    check(&["UPDATE records SET value = '12' WHERE record_id = 'a'"], &["\"IAH\"", "\"EWR\""]);
    check(&["UPDATE records SET value = '8' WHERE record_id = 'c'"], &["\"IAH\"", "\"EWR\"", "summary"]);
    check(&["UPDATE records SET type = 'positive' WHERE record_id = 'b'"], &["\"IAH\""]);
    check(&["UPDATE records SET unit = 'hour' WHERE record_id = 'c'"], &["\"IAH\""]);
    check(&["UPDATE records SET time = time + 86400000000 WHERE record_id = 'c'"], &["\"IAH\""]);
    check(&["UPDATE records SET destination_id = 'MIA' WHERE record_id = 'c'"], &["\"MIA\""]);
}

#[test]
fn a_deleted_record_is_found() {
    check(&["DELETE FROM records WHERE record_id = 'a'"], &["\"b\"", "sequence"]);
    check(&["DELETE FROM records WHERE record_id = 'c'"], &["\"IAH\"", "\"EWR\""]);
    check(&["DELETE FROM records WHERE record_id = 'other'"], &["\"JFK\""]);
}

#[test]
fn a_changed_or_lost_summary_is_found() {
    check(
        &["UPDATE summaries SET summary = replace(summary, '\"18\"', '\"19\"') WHERE reference = 'EWR'"],
        &["\"IAH\"", "\"EWR\""],
    );
    check(&["DELETE FROM summaries WHERE reference = 'JFK'"], &["\"JFK\"", "no running summary"]);
    check(&["UPDATE summaries SET summary = 'nonsense' WHERE reference = 'JFK'"], &["JFK"]);
    check(&["UPDATE summaries SET reference = 'LGA' WHERE reference = 'JFK'"], &["\"LGA\"", "\"JFK\""]);
}

#[test]
fn a_changed_previous_is_found() {
    check(
        &["UPDATE records SET previous = replace(previous, '\"11\"', '\"10\"') WHERE record_id = 'b'"],
        &["\"b\"", "previous"],
    );
    check(&["UPDATE records SET previous = NULL WHERE record_id = 'c'"], &["\"c\"", "previous"]);
    check(&["UPDATE records SET previous = '[' WHERE record_id = 'c'"], &["c"]);
}

#[test]
fn a_broken_sequence_is_found() {
    check(&["UPDATE records SET sequence = 5 WHERE record_id = 'c'"], &["\"c\"", "sequence 5", "3"]);
    check(&["UPDATE records SET sequence = 2 WHERE record_id = 'c'"], &["sequence 2"]);
}

#[test]
fn a_gap_in_the_positions_is_found() {
    check(&["UPDATE records SET position = 9 WHERE record_id = 'other'"], &["position"]);
}

#[test]
fn what_cannot_be_read_is_named_not_skipped() {
    check(&["UPDATE records SET value = 'lots' WHERE record_id = 'b'"], &["b"]);
    check(&["UPDATE records SET unit = '' WHERE record_id = 'b'"], &["b"]);
    check(&["UPDATE records SET alerts = '{' WHERE record_id = 'b'"], &["b"]);
}

#[test]
fn a_wrong_alert_and_a_wrong_outbox_are_found() {
    check(
        &["UPDATE records SET alerts = replace(alerts, '10000', '30000') WHERE record_id = 'b'"],
        &["\"b\"", "alert"],
    );
    check(&["UPDATE outbox SET last = last + 7"], &["the outbox reaches position"]);
}

#[test]
fn totals_that_are_kept_ready_and_wrong_are_found() {
    let folder = Folder::new();
    // Enough of them that they are folded.
    folder.write("many.ndjson", ndjson(&many("r", 70_000)));
    folder.run(&["import", "many.ndjson"]).ok();
    alter(&folder, "UPDATE roll_up_position SET position = position WHERE position > 0");
    folder.run(&["verify"]).ok();
    alter(&folder, "UPDATE roll_ups SET count = count + 1 WHERE days = 32 AND destination_id = 'D3'");
    let said = folder.run(&["verify"]).exits(1);
    assert!(said.stdout.contains("destination \"D3\": the roll-up of 32 days from 2012-"), "{}", said.stdout);
}
