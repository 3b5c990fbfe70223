//! A service that can't write is not ready, and says why. It becomes ready again without any traffic.

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::Client;
use tallyhouse_tests::data::records::nth;
use tallyhouse_tests::servers::fleet::{Fleet, PATIENCE};
use tallyhouse_tests::servers::postgres::PostgresServer;
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

const DATABASE: &str = "tallyhouse.db";

/// Sends records that are not stored until the service is unready, and returns what it says.
#[track_caller]
fn await_unready(client: &Client) -> Value {
    let mut sent = 0;
    let unready = wait::within(PATIENCE, || {
        client.record(&nth("refused", sent)).problem(503, "unavailable");
        sent += 1;
        let answer = client.get("/readyz");
        (answer.status == 503).then(|| answer.problem(503, "unavailable"))
    });
    unready.unwrap_or_else(|| panic!("{sent} writes failed, and it is ready: {}", client.get("/readyz").text()))
}

/// Waits until the service is ready, and sends it nothing.
#[track_caller]
fn await_ready(client: &Client, next: &Value) {
    wait::within(PATIENCE, || (client.get("/readyz").status == 200).then_some(()))
        .unwrap_or_else(|| panic!("it stays unready: {}", client.get("/readyz").text()));
    client.record(next).expect_status(201);
    assert_eq!(client.get("/readyz").json()["status"], "ready");
}

#[test]
fn a_postgres_that_refuses_every_record_makes_the_service_unready_until_it_takes_them() {
    let fleet = Fleet::start(1);
    let client = fleet.instances[0].http();
    client.record(&nth("before", 0)).expect_status(201);
    for (n, (spoil, mend, detail)) in [
        (
            "ALTER TABLE records ADD CONSTRAINT nothing CHECK (false) NOT VALID",
            "ALTER TABLE records DROP CONSTRAINT nothing",
            "Writes to storage fail: the database refuses the records.",
        ),
        (
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'secret'; END $$; \
             CREATE TRIGGER fail BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION fail()",
            "DROP TRIGGER fail ON records",
            "Writes to storage fail.",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        fleet.psql(spoil);
        let problem = await_unready(&client);
        assert_eq!(problem["detail"], detail);
        assert_eq!(
            (&problem["dependencies"]["storage"], &problem["breakers"]["storage"]),
            (&json!("down"), &json!("open"))
        );
        assert_eq!(client.get("/healthz").status, 200);
        fleet.psql(mend);
        await_ready(&client, &nth("after", n));
    }
}

#[test]
fn an_sqlite_database_that_refuses_every_record_makes_the_service_unready_until_it_takes_them() {
    let service = Service::start();
    let client = service.http();
    client.record(&nth("before", 0)).expect_status(201);
    let database = rusqlite::Connection::open(service.folder().path().join(DATABASE)).expect("it can be opened");
    let spoil = "CREATE TRIGGER broken BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'secret'); END";
    database.execute_batch(spoil).expect("it is spoilt");
    let problem = await_unready(&client);
    assert_eq!(problem["detail"], "Writes to storage fail.");
    database.execute_batch("DROP TRIGGER broken").expect("it is mended");
    await_ready(&client, &nth("after", 0));
}

#[test]
fn a_database_file_that_is_gone_is_named_by_readiness() {
    let service = Service::start();
    let client = service.http();
    client.record(&nth("before", 0)).expect_status(201);
    let (file, away) = (service.folder().path().join(DATABASE), service.folder().path().join("away.db"));
    std::fs::rename(&file, &away).expect("it is moved");
    let problem = wait::until("unready", || {
        let answer = client.get("/readyz");
        (answer.status == 503).then(|| answer.problem(503, "unavailable"))
    });
    assert_eq!(problem["detail"], "Storage does not answer: the database file is gone.");
    std::fs::write(&file, b"").expect("another one takes its place");
    let problem = client.get("/readyz").problem(503, "unavailable");
    assert_eq!(problem["detail"], "Storage does not answer: the database file was replaced.");
    std::fs::rename(&away, &file).expect("it is back");
    await_ready(&client, &nth("after", 0));
}

/// A server that does not flush, and a database that takes no records.
#[test]
fn what_the_promise_of_durability_lacks_is_said_at_the_start() {
    let server = PostgresServer::start().expect("Postgres starts");
    let url = server.database().expect("a database");
    let start = || Service::start_with(Options::new().env("DATABASE_URL", url.clone()));
    let log = start().log();
    assert!(log.contains("fsync") && log.contains("can lose or damage acknowledged records"), "{log}");
    assert!(!log.contains("the database is read-only"), "{log}");
    let (_, name) = url.rsplit_once('/').expect("a URL has a path");
    let sql = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = on");
    server.psql("postgres", &sql).expect("a setting");
    let log = start().log();
    assert!(log.contains("the database is read-only: every write is answered with 503"), "{log}");
}
