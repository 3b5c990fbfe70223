//! The views for reports: the same columns on both databases, with exact values.

use serde_json::json;
use tallyhouse_tests::clients::http::Client;
use tallyhouse_tests::data::records::record_with;
use tallyhouse_tests::servers::fleet::Fleet;
use tallyhouse_tests::servers::service::Service;

use crate::api::history::DATABASE;

/// The columns in their order: what reports rely on.
const RECORDS: &str = "record_id,time,source_id,destination_id,type,value,unit,reference,sequence,processed_at";
const TOTALS: &str = "destination_id,reference,unit,positive_count,positive_sum,negative_count,negative_sum";

/// What the view of totals shows after [`send`].
const EXPECTED: [&str; 2] =
    ["IAH|EWR|EUR|0|0|1|0.0000000000000000000000000001", "IAH|EWR|minute|2|10000000000000000000000000.60|0|0"];

fn send(http: &Client) {
    let records = [
        json!({"value": "10000000000000000000000000.50", "time": "1969-12-31T23:59:59.999999Z"}),
        json!({"value": "0.1"}),
        json!({"value": "0.0000000000000000000000000001", "unit": "EUR", "type": "negative", "time": "0001-01-01T00:00:00Z"}),
    ];
    for (number, members) in records.into_iter().enumerate() {
        http.record(&record_with(&format!("r{number}"), members)).expect_status(201);
    }
}

#[test]
fn the_views_of_postgres_are_exact() {
    let fleet = Fleet::start(1);
    send(&fleet.instances[0].http());
    let columns = |view: &str| {
        fleet.psql(&format!(
            "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns \
             WHERE table_name = '{view}'"
        ))
    };
    assert_eq!([columns("tallyhouse_records"), columns("tallyhouse_totals")], [RECORDS, TOTALS]);
    let records = "SELECT record_id, time AT TIME ZONE 'UTC', type, value, sequence FROM tallyhouse_records ORDER BY 1";
    let expect = "r0|1969-12-31 23:59:59.999999|positive|10000000000000000000000000.50|1\n\
                  r1|2013-01-01 10:00:00|positive|0.1|2\n\
                  r2|0001-01-01 00:00:00|negative|0.0000000000000000000000000001|3";
    assert_eq!(fleet.psql(records), expect);
    assert_eq!(fleet.psql("SELECT * FROM tallyhouse_totals ORDER BY unit"), EXPECTED.join("\n"));
}

#[test]
fn the_views_of_sqlite_are_exact() {
    let service = Service::start();
    send(&service.http());
    let database = rusqlite::Connection::open(service.folder().path().join(DATABASE)).expect("it can be opened");
    let rows = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).expect("the view is there");
        let count = statement.column_count();
        let text = |row: &rusqlite::Row<'_>| {
            let cells = (0..count).map(|place| match row.get_ref(place)? {
                rusqlite::types::ValueRef::Integer(number) => Ok(number.to_string()),
                other => Ok(other.as_str().expect("a text").to_owned()),
            });
            Ok(cells.collect::<rusqlite::Result<Vec<String>>>()?.join("|"))
        };
        let rows = statement.query_map([], text).expect("it can be read");
        rows.collect::<rusqlite::Result<_>>().expect("it can be read")
    };
    for (view, columns) in [("tallyhouse_records", RECORDS), ("tallyhouse_totals", TOTALS)] {
        assert_eq!(rows(&format!("SELECT name FROM pragma_table_info('{view}')")).join(","), columns);
    }
    let records = "SELECT record_id, time, type, value, sequence FROM tallyhouse_records ORDER BY 1";
    let expect = [
        "r0|1969-12-31T23:59:59.999999Z|positive|10000000000000000000000000.50|1",
        "r1|2013-01-01T10:00:00.000000Z|positive|0.1|2",
        "r2|0001-01-01T00:00:00.000000Z|negative|0.0000000000000000000000000001|3",
    ];
    assert_eq!(rows(records), expect);
    assert_eq!(rows("SELECT * FROM tallyhouse_totals ORDER BY unit"), EXPECTED);
    let processed = service.http().get("/v1/records/r0").json()["processedAt"].clone();
    assert_eq!(processed, rows("SELECT processed_at FROM tallyhouse_records WHERE record_id = 'r0'")[0]);
}
