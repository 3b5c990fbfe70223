//! The drills, for a few seconds each; the program `drills` runs them for as long as an operator likes. And a record
//! that the database itself refuses.

use std::time::Duration;

use serde_json::{Value, json};
use tallyhouse_tests::data::records::{many, record_with};
use tallyhouse_tests::drills::{
    Intruders, LogLost, Standby, bad_clients, failover, few_handles, intruders, lease_ahead, log_lost, redis_outage,
    restored, short_deadlines, storage_outage,
};
use tallyhouse_tests::servers::fleet::Fleet;
use tallyhouse_tests::servers::service::Service;

/// How long the load runs before and after.
const SETTLED: Duration = Duration::from_secs(3);

/// How long a server is unavailable: longer than a commit is tried, so that the circuit breaker opens.
const OUTAGE: Duration = Duration::from_secs(8);

/// How soon the whole load is to be taken again, beside other tests and unoptimised.
const BACK_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn postgres_outage_under_load_is_refused_in_good_order_and_the_full_rate_comes_back() {
    println!("{}", storage_outage(SETTLED, OUTAGE, BACK_WITHIN));
}

#[test]
fn redis_outage_under_load_leaves_http_alone_and_every_message_goes_out_afterwards() {
    println!("{}", redis_outage(SETTLED, OUTAGE));
}

#[test]
fn intruders_neither_stop_good_clients_nor_fill_the_memory() {
    let attack = Intruders { slow: 500, body_bytes: 300_000_000, measured: Duration::from_secs(5) };
    println!("{}", intruders(&Service::start(), attack, 64));
}

#[test]
fn hundreds_of_bad_clients_take_nothing_from_good_ones() {
    println!("{}", bad_clients(Service::start_with(short_deadlines()), Duration::from_secs(5)));
}

#[test]
fn a_synchronous_standby_takes_over_under_load_and_nothing_acknowledged_is_lost() {
    println!("{}", failover(Standby::Synchronous, SETTLED, Duration::from_secs(2), BACK_WITHIN));
}

#[test]
fn an_asynchronous_standby_takes_over_under_load_and_only_its_lag_is_lost() {
    println!("{}", failover(Standby::Asynchronous, SETTLED, Duration::from_secs(2), BACK_WITHIN));
}

#[test]
fn a_database_restored_under_the_service_has_every_message_published() {
    println!("{}", restored(150));
}

#[test]
fn a_lease_hours_ahead_delays_no_message_of_a_dead_instance() {
    println!("{}", lease_ahead(500, Duration::from_secs(60)));
}

#[test]
fn a_full_log_delays_nothing_while_redis_is_restarted() {
    println!("{}", log_lost(LogLost::Full, Duration::from_secs(4)));
}

#[test]
fn a_stalled_log_delays_nothing_while_redis_is_restarted() {
    println!("{}", log_lost(LogLost::Stalled, Duration::from_secs(4)));
}

#[test]
fn with_64_file_handles_idle_connections_lose_nothing() {
    println!("{}", few_handles(SETTLED, Duration::from_secs(2)));
}

#[test]
fn a_record_that_the_database_refuses_leaves_its_999_neighbours_alone() {
    let fleet = Fleet::start(1);
    fleet.psql("ALTER TABLE records ADD CONSTRAINT refused CHECK (record_id <> 'poison')");
    let http = fleet.instances[0].http();
    let neighbours = many("neighbour", 999);
    let mut batch = neighbours.clone();
    batch.insert(500, record_with("poison", json!({"destinationId": "MIA"})));
    let answer = http.batch(&batch);
    let counts = ["processed", "duplicates", "conflicts", "rejected"].map(|name| answer[name].as_u64());
    assert_eq!(counts, [Some(999), Some(0), Some(0), Some(1)], "{answer}");
    let refused: Vec<&Value> =
        answer["results"].as_array().expect("a list").iter().filter(|result| result["outcome"] == "rejected").collect();
    assert_eq!((&refused[0]["index"], &refused[0]["recordId"]), (&json!(500), &json!("poison")));
    let text = refused[0].to_string().to_lowercase();
    assert!(!text.contains("constraint") && !text.contains("sql"), "the database's own words stay inside: {text}");
    fleet.check(&neighbours);
}
