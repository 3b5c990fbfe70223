//! Three instances on one Postgres and one Redis: a month of flights by every ingress at once, and what is left of it when
//! instances are killed.

mod messages;
mod outages;
mod refusals;
mod subscribers;

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tallyhouse_tests::clients::subscriber::Subscriber;
use tallyhouse_tests::data::flights::{self, month};
use tallyhouse_tests::data::invariants;
use tallyhouse_tests::data::records::{nth, record_with};
use tallyhouse_tests::data::seed::Seed;
use tallyhouse_tests::data::sums::Ledger;
use tallyhouse_tests::servers::fleet::{self, Fleet, PATIENCE};
use tallyhouse_tests::servers::service::Service;
use tallyhouse_tests::wait;

/// Gives every record to two of the three ingresses, HTTP, list and stream, by three producers at once and in any order,
/// while something happens to the instances.
fn by_every_ingress(
    fleet: &mut Fleet,
    records: &[Value],
    seed: &mut Seed,
    meanwhile: impl FnOnce(&mut [Service], &mut Seed),
) {
    let thirds: Vec<&[Value]> = records.chunks(records.len().div_ceil(3)).collect();
    let [http, list, stream] = [[0, 2], [1, 0], [2, 1]].map(|[first, second]| {
        let mut both = [thirds[first], thirds[second]].concat();
        (1..both.len()).rev().for_each(|i| both.swap(i, seed.below(i + 1)));
        both
    });
    let clients = fleet.clients();
    let Fleet { instances, redis, .. } = fleet;
    let redis = &*redis;
    std::thread::scope(|scope| {
        scope.spawn(|| fleet::send(&clients, &http));
        scope.spawn(|| fleet::push(redis, &list));
        scope.spawn(|| fleet::add(redis, &stream));
        meanwhile(instances, seed);
    });
}

/// Checks what a subscriber heard: for each record its notification, by key with the sequences 1 to n, each with the
/// summary of those before, computed here. Returns how many messages were repeats.
#[track_caller]
fn check_heard(subscriber: &Subscriber, records: &[Value]) -> usize {
    subscriber.await_ids(records.len(), PATIENCE);
    let heard = subscriber.heard();
    let repeats = fleet::check_repeats(&heard, records.len());
    let mut sent: BTreeMap<&str, &Value> =
        records.iter().map(|record| (record["recordId"].as_str().expect("an id"), record)).collect();
    let mut keys: BTreeMap<(String, String), BTreeMap<u64, Value>> = BTreeMap::new();
    for (_, text) in &heard {
        let mut message: Value = serde_json::from_str(text).expect("a message is JSON");
        let data = message["data"].take();
        if let Some(record) = sent.remove(message["id"].as_str().expect("an id")) {
            assert_eq!(&data["record"], record);
        }
        let key = ["destinationId", "reference"].map(|field| data["record"][field].to_string());
        let sequence = data["sequence"].as_u64().expect("a sequence");
        let other = keys.entry(key.clone().into()).or_default().insert(sequence, data.clone());
        assert!(other.is_none_or(|other| other == data), "{key:?}: {sequence} is there twice");
    }
    assert!(sent.is_empty(), "{} records were not heard of", sent.len());
    for (key, by_sequence) in keys {
        let mut ledger = Ledger::default();
        for ((sequence, data), expected) in by_sequence.iter().zip(1..) {
            assert_eq!(*sequence, expected, "{key:?}");
            assert_eq!(data["previous"], ledger.summary(), "{key:?}: previous of {sequence}");
            ledger.add(&data["record"]);
        }
    }
    repeats
}

/// Checks the state that a month by every ingress ends in.
#[track_caller]
fn check_month(fleet: &Fleet, month: &[Value]) {
    fleet.await_drained();
    assert_eq!(fleet.dead_letters(), 0);
    fleet.check(month);
    let answer = fleet.instances[0].http().get("/v1/aggregates?records=false").expect_status(200).json();
    let mut groups = serde_json::Map::new();
    for mut group in answer["groups"].as_array().expect("a list").clone() {
        let name = group.as_object_mut().expect("an object").remove("destinationId").expect("a name");
        groups.insert(name.as_str().expect("text").to_owned(), group);
    }
    assert_eq!(Value::from(groups), flights::totals());
    assert_eq!(fleet.psql("SELECT count(*) FROM records"), flights::RECORDS.to_string());
}

#[test]
fn a_month_by_every_ingress_at_once_counts_once_and_is_notified_once() {
    let mut seed = Seed::draw();
    let month = month();
    let mut fleet = Fleet::start(3);
    let subscriber = fleet.subscribe();
    by_every_ingress(&mut fleet, &month, &mut seed, |_, _| {});
    let repeats = check_heard(&subscriber, &month);
    check_month(&fleet, &month);
    assert_eq!(repeats, 0, "nothing failed, so that nothing may be published twice");
    assert_eq!(subscriber.count(), month.len(), "nothing came later either");
}

#[test]
fn instances_that_are_killed_in_the_middle_of_it_change_nothing() {
    let mut seed = Seed::draw();
    let month = month();
    let mut fleet = Fleet::start(3);
    let subscriber = fleet.subscribe();
    by_every_ingress(&mut fleet, &month, &mut seed, |instances, seed| {
        let random_moment = |seed: &mut Seed, from: usize| {
            let share = from + seed.below(month.len() / 5);
            wait::within(PATIENCE, || (subscriber.count() > share).then_some(())).expect("the records are processed");
        };
        random_moment(seed, month.len() / 10);
        instances[0].kill();
        // How long it is unavailable is random as well.
        sleep(Duration::from_millis(seed.bits() % 3_000));
        instances[0].restart();
        random_moment(seed, month.len() / 2);
        // From here on two go on alone.
        instances[1].kill();
    });
    let repeats = check_heard(&subscriber, &month);
    println!("{repeats} messages were published twice");
    check_month(&fleet, &month);
}

#[test]
fn a_hot_key_from_three_instances_at_once_loses_nothing() {
    let mut seed = Seed::draw();
    let hot = |i: usize| {
        let whole = nth("hot", i);
        let id = whole["recordId"].as_str().expect("an id").to_owned();
        record_with(&id, serde_json::json!({"value": whole["value"], "type": whole["type"], "unit": whole["unit"]}))
    };
    let records: Vec<Value> = (0..6_000).map(hot).collect();
    let mut fleet = Fleet::start(3);
    let subscriber = fleet.subscribe();
    by_every_ingress(&mut fleet, &records, &mut seed, |_, _| {});
    assert_eq!(check_heard(&subscriber, &records), 0);
    fleet.await_drained();
    fleet.check(&records);
    assert_eq!(fleet.psql("SELECT sum(deadlocks) FROM pg_stat_database"), "0");
    assert_eq!(fleet.dead_letters(), 0);
    let last = invariants::catch_up(&fleet.instances[2].http(), "notifications", 1_000).pop().expect("there are some");
    assert_eq!(last["data"]["sequence"], records.len());
}
