//! What is wrong in the queues: it ends in the dead letters with its reason, and delays nothing that is right.

use std::collections::BTreeMap;

use redis::Commands as _;
use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Client, check_problem};
use tallyhouse_tests::data::records::{many, nth, record, record_with};
use tallyhouse_tests::servers::fleet::{self, Fleet};
use tallyhouse_tests::wait;

/// A payload that is to be refused.
struct Bad {
    /// The field of a stream's entry.
    field: &'static str,
    payload: Vec<u8>,
    reason: &'static str,
    /// What the detail names.
    names: &'static str,
}

impl Bad {
    fn nth(i: usize) -> Self {
        let bad = |payload: Vec<u8>, reason, names| Self { field: "record", payload, reason, names };
        let id = format!("bad-{i}");
        match i % 6 {
            0 => bad(format!("{{\"recordId\":\"{id}\"").into_bytes(), "not-json", ""),
            1 => bad(record_with(&id, json!({"value": "-1", "unit": ""})).to_string().into(), "rejected", "/unit"),
            2 => bad(
                record_with("known", json!({"value": (100 + i).to_string()})).to_string().into(),
                "conflict",
                "value",
            ),
            3 => bad([b"\xff\xfe", id.as_bytes()].concat(), "not-json", ""),
            4 => bad(too_large(&id).into_bytes(), "too-large", ""),
            _ => bad(format!("[{i}]").into_bytes(), "rejected", ""),
        }
    }
}

/// A record that is valid but for its length, which its last member causes.
fn too_large(id: &str) -> String {
    record_with(id, json!({"zzz": "x".repeat(70_000)})).to_string()
}

/// A dead letter as it is compared: payload, reason, origin.
type Letter = (Vec<u8>, String, String);

/// The fields of an entry of a stream.
type Fields = Vec<(String, Vec<u8>)>;

/// Lists the dead letters over HTTP, page by page.
#[track_caller]
fn listed(http: &Client, limit: usize) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = http.get(&format!("/v1/dead-letters?limit={limit}{after}")).expect_status(200).json();
        let letters = page["deadLetters"].as_array().expect("a list");
        assert!(letters.len() <= limit);
        all.extend(letters.iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        after = format!("&after={next}");
    }
}

/// Reads the dead letters where they lie, by their ids.
fn stored(fleet: &Fleet) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut connection = fleet.redis.connection().expect("Redis answers");
    let entries: Vec<(String, Fields)> = connection.xrange_all("tallyhouse:dead-letters").expect("Redis answers");
    entries.into_iter().map(|(id, fields)| (id, fields.into_iter().collect())).collect()
}

/// Waits for the only dead letter whose payload names this, and returns its id.
#[track_caller]
fn letter_of(fleet: &Fleet, what: &str) -> String {
    let letters = listed(&fleet.instances[0].http(), 1_000);
    let mine: Vec<&Value> =
        letters.iter().filter(|letter| letter["payload"].as_str().is_some_and(|text| text.contains(what))).collect();
    assert_eq!(mine.len(), 1, "{what}: {letters:?}");
    mine[0]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn one_bad_payload_in_ten_is_in_the_dead_letters_and_every_good_one_is_processed() {
    let fleet = Fleet::start(3);
    let known = record_with("known", json!({"value": "1"}));
    fleet::send(&fleet.clients(), std::slice::from_ref(&known));
    let good: Vec<String> = many("good", 1_800).iter().map(Value::to_string).collect();
    let bad: Vec<Bad> = (0..200).map(Bad::nth).collect();
    let nameless: Vec<String> = (0..20).map(|i| record(&format!("nameless-{i}")).to_string()).collect();

    // Nine good ones, a bad one, and so on, half of them in either queue.
    let mut list: Vec<&[u8]> = Vec::new();
    let mut stream: Vec<(&str, &[u8])> = Vec::new();
    let mut expected: Vec<Letter> = Vec::new();
    for (i, (nine, bad)) in good.chunks(9).zip(&bad).enumerate() {
        let payloads = nine.iter().map(String::as_bytes).chain([&*bad.payload]);
        // By pairs, so that every kind goes into both.
        let origin = if (i / 6).is_multiple_of(2) { "list" } else { "stream" };
        match origin {
            "list" => list.extend(payloads),
            _ => stream.extend(payloads.map(|payload| (bad.field, payload))),
        }
        // Of a payload that is too large, a byte more than the limit is kept.
        let kept = &bad.payload[..bad.payload.len().min(65_537)];
        expected.push((kept.to_vec(), bad.reason.to_owned(), origin.to_owned()));
    }
    for (i, payload) in nameless.iter().enumerate() {
        stream.insert(i * 40, ("other", payload.as_bytes()));
        // All that the entry had.
        let kept = json!({ "other": payload }).to_string();
        expected.push((kept.into_bytes(), "not-json".to_owned(), "stream".to_owned()));
    }
    fleet::push_payloads(&fleet.redis, list.into_iter());
    fleet::add_payloads(&fleet.redis, stream.into_iter());
    fleet.await_drained();

    check_letters(&fleet, expected, &bad);
    let mut records = many("good", 1_800);
    records.push(known);
    fleet.check(&records);
}

/// Checks that the dead letters are these, in Redis, over HTTP and in the list of the command.
#[track_caller]
fn check_letters(fleet: &Fleet, mut expected: Vec<Letter>, bad: &[Bad]) {
    let stored = stored(fleet);
    let text = |fields: &BTreeMap<String, Vec<u8>>, name: &str| {
        String::from_utf8(fields[name].clone()).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    for fields in stored.values() {
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["at", "detail", "origin", "payload", "reason"]);
        assert!(text(fields, "at").ends_with('Z') && !text(fields, "detail").is_empty(), "{fields:?}");
        if let Some(bad) = bad.iter().find(|bad| bad.payload == fields["payload"]) {
            assert!(text(fields, "detail").contains(bad.names), "{:?}", text(fields, "detail"));
        }
    }
    let letter = |fields: &BTreeMap<String, Vec<u8>>| {
        (fields["payload"].clone(), text(fields, "reason"), text(fields, "origin"))
    };
    let mut letters: Vec<Letter> = stored.values().map(letter).collect();
    letters.sort();
    expected.sort();
    assert_eq!(letters.len(), expected.len());
    for (letter, expected) in letters.iter().zip(&expected) {
        let cut = |letter: &Letter| {
            (
                String::from_utf8_lossy(&letter.0).chars().take(200).collect::<String>(),
                letter.1.clone(),
                letter.2.clone(),
            )
        };
        assert!(letter == expected, "{:?} instead of {:?}", cut(letter), cut(expected));
    }

    let listed = listed(&fleet.instances[2].http(), 30);
    let ids: Vec<&str> = listed.iter().map(|letter| letter["id"].as_str().expect("an id")).collect();
    assert_eq!(listed.len(), stored.len());
    for letter in &listed {
        let fields = &stored[letter["id"].as_str().expect("an id")];
        for name in ["reason", "detail", "origin", "at"] {
            assert_eq!(letter[name], text(fields, name));
        }
        match std::str::from_utf8(&fields["payload"]) {
            Ok(payload) => assert_eq!(letter["payload"], payload),
            Err(_) => {
                assert!(letter["payloadBase64"].as_str().is_some_and(|text| text.starts_with("//5iYWQt")), "{letter}")
            }
        }
    }
    let ran = fleet.instances[0].run(&["dead-letters", "list"]).ok();
    let by_command: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(by_command.iter().map(|letter| letter["id"].as_str().expect("an id")).collect::<Vec<_>>(), ids);
    for (by_command, listed) in by_command.iter().zip(&listed) {
        assert_eq!(by_command, listed);
    }
}

#[test]
fn a_dead_letter_is_replayed_when_its_cause_is_gone_and_stays_while_it_is_not() {
    let fleet = Fleet::start(2);
    let http = fleet.instances[0].http();
    assert_eq!(http.record(&record("known")).status, 201);
    // As when a database refuses what the service takes for good.
    fleet.psql("ALTER TABLE records ADD CONSTRAINT refused CHECK (record_id NOT LIKE 'poison-%')");
    let poison = |n: usize| record_with(&format!("poison-{n}"), json!({"destinationId": "MIA"}));
    let mut sent = many("good", 300);
    (0..3).for_each(|n| sent.insert(50 + 70 * n, poison(n)));
    sent.push(record_with("known", json!({"value": "12"})));
    fleet::push(&fleet.redis, &sent);
    fleet::push_payloads(&fleet.redis, [too_large("large").as_bytes(), b"{"].into_iter());
    // It takes another commit in between to blame a record, and the queue may be at its end.
    let mut more = 0;
    wait::until("the dead letters", || {
        assert_eq!(http.record(&nth("more", more)).status, 201);
        more += 1;
        (fleet.dead_letters() == 6).then_some(())
    });
    fleet.await_drained();

    let replay = |id: &str| http.post(&format!("/v1/dead-letters/{id}/replay"), "");
    let [conflict, large, broken] = ["\"known\"", "\"large\"", "{"].map(|what| match what {
        "{" => {
            let letters = listed(&http, 100);
            let broken = letters.iter().find(|letter| letter["payload"] == "{").expect("it is there");
            broken["id"].as_str().expect("an id").to_owned()
        }
        _ => letter_of(&fleet, what),
    });
    assert_eq!(replay(&conflict).problem(409, "conflict")["differs"], json!(["value"]));
    replay(&large).problem(413, "too-large");
    replay(&broken).problem(400, "not-json");
    let poisons: Vec<String> = (0..3).map(|n| letter_of(&fleet, &format!("\"poison-{n}\""))).collect();
    let refused = replay(&poisons[0]);
    assert!(refused.status >= 400, "{}", refused.text());
    assert_eq!(fleet.dead_letters(), 6, "what is not processed stays");

    fleet.psql("ALTER TABLE records DROP CONSTRAINT refused");
    let subscriber = fleet.subscribe();
    let processed = replay(&poisons[0]).expect_status(201).json();
    assert_eq!((&processed["recordId"], &processed["outcome"]), (&json!("poison-0"), &json!("processed")));
    assert_eq!(subscriber.await_ids(1, wait::PATIENCE)[0]["id"], "poison-0");
    replay(&poisons[0]).problem(404, "not-found");
    assert_eq!(http.record(&poison(1)).status, 201);
    let duplicate = replay(&poisons[1]).expect_status(200);
    assert_eq!(duplicate.header("idempotent-replayed"), Some("true"));
    replay(&poisons[1]).problem(404, "not-found");

    check_commands(&fleet, &poisons[2], &conflict, &large);
    let gone =
        |id: &str| tallyhouse_tests::clients::http::send(http.request("DELETE", &format!("/v1/dead-letters/{id}")));
    assert_eq!(gone(&conflict).status, 204);
    gone(&conflict).problem(404, "not-found");
    fleet.instances[1].run(&["dead-letters", "purge", &large]).ok().says("removed 1");
    assert_eq!(fleet.dead_letters(), 1);
    fleet.instances[1].run(&["dead-letters", "purge", "--all"]).ok().says("removed 1");
    assert_eq!(listed(&http, 100), Vec::<Value>::new());

    let mut records = many("good", 300);
    records.extend((0..3).map(poison));
    records.push(record("known"));
    records.extend((0..more).map(|i| nth("more", i)));
    fleet.check(&records);
}

/// Replays by the command: what can be processed now, and what can't.
#[track_caller]
fn check_commands(fleet: &Fleet, poison: &str, conflict: &str, large: &str) {
    fleet.instances[0].run(&["dead-letters", "replay", poison]).ok().says("processed 1");
    assert_eq!(fleet.dead_letters(), 3);
    fleet.instances[0].run(&["dead-letters", "replay", conflict]).exits(1).says("conflict: value");
    fleet.instances[0].run(&["dead-letters", "replay", large]).exits(1).says("rejected");
    fleet.instances[0].run(&["dead-letters", "replay", "--all"]).exits(1).says("conflict 1");
    assert_eq!(fleet.dead_letters(), 3);
    fleet.instances[0].http().get("/v1/records/large").problem(404, "not-found");
}

/// The 101st unit of a key is refused as in every other way, and a list that is refused is not mixed up with the rest.
#[test]
fn the_unit_limit_holds_in_the_queues_as_over_http() {
    let fleet = Fleet::start(2);
    let unit = |i: usize| record_with(&format!("unit-{i}"), json!({"unit": format!("u{i:03}")}));
    let first: Vec<Value> = (0..100).map(unit).collect();
    fleet::push(&fleet.redis, &first);
    fleet.await_drained();
    assert_eq!(fleet.dead_letters(), 0);
    fleet::push(&fleet.redis, &[unit(100), record_with("again", json!({"unit": "u000"}))]);
    fleet::add(&fleet.redis, &[unit(101)]);
    fleet.await_drained();
    let letters = listed(&fleet.instances[0].http(), 10);
    assert_eq!(letters.len(), 2);
    for letter in &letters {
        assert_eq!(letter["reason"], "rejected");
        assert!(letter["detail"].as_str().is_some_and(|detail| detail.contains("/unit")), "{letter}");
        let id = letter["id"].as_str().expect("an id");
        let answer = fleet.instances[1].http().post(&format!("/v1/dead-letters/{id}/replay"), "").expect_status(422);
        check_problem(&answer.json(), 422, "rejected");
    }
    let mut records = first;
    records.push(record_with("again", json!({"unit": "u000"})));
    fleet.check(&records);
}
