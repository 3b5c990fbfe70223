//! Exports by request and by command: imported elsewhere, they become the same records.

use std::io::Read as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Answer, Client, send};
use tallyhouse_tests::data::records::{many, ndjson, record_with};
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::service::Service;

const NAMES: &str = "recordId,time,sourceId,destinationId,type,value,unit,reference,sequence,processedAt";

fn get_as(http: &Client, media_type: &str, path: &str) -> Answer {
    let answer = send(http.request("GET", path).header("accept", media_type)).expect_status(200);
    assert!(answer.header("content-type").unwrap_or_default().starts_with(media_type), "{:?}", answer.headers);
    assert_eq!(answer.header("vary"), Some("accept"));
    answer
}

/// Reads CSV into objects of texts.
fn rows(answer: &str) -> Vec<Value> {
    let mut reader = csv::Reader::from_reader(answer.as_bytes());
    let names = reader.headers().expect("a first row").clone();
    let object = |row: Result<csv::StringRecord, csv::Error>| {
        let row = row.expect("as many fields as names");
        names.iter().map(str::to_owned).zip(row.iter().map(|field| json!(field))).collect()
    };
    reader.records().map(object).collect()
}

/// A record with the fields that rows have, each as a text.
fn as_row(record: &Value) -> Value {
    let text = |name: &str| record[name].as_str().map_or_else(|| record[name].to_string(), str::to_owned);
    NAMES.split(',').map(|name| (name.to_owned(), json!(text(name)))).collect()
}

/// Records with texts that each form must escape: quotes, commas, spaces, formulas of spreadsheets.
fn awkward() -> Vec<Value> {
    let texts = ["a,b", "say \"hi\"", " spaces ", "=1+1", "@x", "-1", "'", "ü𝔘", "\"", ",", "\\n", "a;b\u{2028}"];
    let record = |(i, text): (usize, &&str)| {
        record_with(
            &format!("{text}{i}"),
            json!({"sourceId": text, "destinationId": text, "unit": text, "reference": text, "value": "0.10",
                   "time": format!("2013-01-01T10:00:00.00000{}Z", i % 3)}),
        )
    };
    texts.iter().enumerate().map(record).collect()
}

/// Returns the aggregates without `processedAt`, which an import sets again.
fn aggregates(folder: &Folder) -> Value {
    let ran = folder.run(&["aggregate", "--format", "json"]).ok();
    let mut answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    for group in answer["groups"].as_array_mut().expect("a list") {
        for record in group["records"].as_array_mut().expect("a list") {
            assert!(record.as_object_mut().expect("an object").remove("processedAt").is_some());
        }
    }
    answer
}

#[test]
fn a_page_of_records_is_the_same_in_every_form() {
    let service = Service::start();
    let http = service.http();
    http.batch(&many("r", 230));
    http.batch(&awkward());
    for path in ["/v1/records", "/v1/records?limit=7&type=negative", "/v1/records?destinationId=nowhere"] {
        let whole = http.get(path).expect_status(200);
        let records = whole.json()["records"].as_array().expect("a list").clone();
        let lines = get_as(&http, "application/x-ndjson", path);
        assert_eq!(lines.json_lines(), records, "{path}");
        let table = get_as(&http, "text/csv", path);
        assert_eq!(table.text().lines().next(), Some(NAMES));
        assert_eq!(rows(table.text()), records.iter().map(as_row).collect::<Vec<_>>(), "{path}");
        assert_eq!([lines.next_link(), table.next_link()], [whole.next_link(), whole.next_link()], "{path}");
    }
    let mut all = Vec::new();
    let mut next = Some("/v1/records?limit=100".to_owned());
    while let Some(path) = next {
        let page = get_as(&http, "text/csv", &path);
        all.extend(rows(page.text()));
        next = page.next_link();
    }
    assert_eq!(all.len(), 242);
    assert_eq!(http.get("/v1/records").header("content-type"), Some("application/json"));
    send(http.request("GET", "/v1/records?limit=0").header("accept", "text/csv")).problem(400, "bad-parameter");
}

#[test]
fn totals_as_rows_are_those_of_the_document() {
    let service = Service::start();
    let http = service.http();
    http.batch(&many("r", 300));
    http.batch(&awkward());
    for query in ["", "?limit=3", "?records=false&unit=EUR", "?destinationId=nowhere"] {
        let whole = http.get(&format!("/v1/aggregates{query}")).expect_status(200);
        let table = get_as(&http, "text/csv", &format!("/v1/aggregates{query}"));
        let mut expected = Vec::new();
        for group in whole.json()["groups"].as_array().expect("a list") {
            for total in group["totals"].as_array().expect("a list") {
                let [positive, negative] = [&total["positive"], &total["negative"]];
                expected.push(json!({
                    "destinationId": group["destinationId"], "unit": total["unit"], "count": total["count"].to_string(),
                    "positiveCount": positive["count"].to_string(), "positiveSum": positive["sum"],
                    "negativeCount": negative["count"].to_string(), "negativeSum": negative["sum"],
                    "net": total["net"], "firstTime": group["firstTime"], "lastTime": group["lastTime"],
                }));
            }
        }
        assert_eq!(rows(table.text()), expected, "{query}");
        assert_eq!(table.next_link(), whole.next_link(), "{query}");
    }
    // The command has the same rows.
    let command = service.run(&["aggregate", "--format", "csv"]).ok().stdout;
    assert_eq!(command, get_as(&http, "text/csv", "/v1/aggregates").text());
    let records = http.request("GET", "/v1/aggregates?records=true").header("accept", "text/csv");
    send(records).problem(400, "bad-parameter");
}

#[test]
fn what_is_exported_and_imported_elsewhere_has_the_same_aggregates() {
    let service = Service::start();
    let http = service.http();
    http.batch(&awkward());
    // The records are sent latest first: an export by time instead of by position would change their sequences.
    let mut sent = many("r", 1_500);
    sent.reverse();
    http.batch(&sent);
    let expected = aggregates(service.folder());
    let (url, folder) = (service.url(), service.folder());
    for name in ["a.ndjson", "b.csv", "c.ndjson.gz", "d.csv.gz"] {
        for remote in [&[][..], &["--url", &url]] {
            let ran = folder.run(&[&["export", "--output", name], remote].concat()).ok();
            assert_eq!(ran.stdout, "exported 1512\n", "{}", ran.stderr);
            let elsewhere = Folder::new();
            let file = folder.path().join(name);
            let file = file.to_str().expect("text");
            assert_eq!(elsewhere.run(&["import", file]).ok().counts(), [1512, 0, 0, 0], "{name}");
            assert_eq!(aggregates(&elsewhere), expected, "{name} {remote:?}");
            elsewhere.run(&["verify"]).ok();
        }
    }
    let lines = folder.run(&["export"]).ok().stdout;
    assert_eq!(lines, folder.read("a.ndjson"));
    assert_eq!(get_as(&http, "application/x-ndjson", "/v1/export").text(), lines);
    assert_eq!(http.get("/v1/export").text(), lines, "lines are what is usual");
    assert_eq!(get_as(&http, "text/csv", "/v1/export").text(), folder.read("b.csv"));
}

#[test]
fn an_export_holds_what_its_filters_let_through() {
    let service = Service::start();
    let http = service.http();
    http.batch(&many("r", 700));
    let kept = http.get("/v1/records?limit=1000&destinationId=D3&type=negative").json();
    let mut kept: Vec<&str> =
        kept["records"].as_array().expect("a list").iter().map(|r| r["recordId"].as_str().expect("text")).collect();
    kept.sort_unstable();
    let filters = ["export", "--destination-id", "D3", "--type", "negative"];
    let url = service.url();
    for remote in [&[][..], &["--url", &url]] {
        let ran = service.run(&[&filters[..], remote].concat()).ok();
        let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let ids: Vec<&str> = lines.iter().map(|line| line["recordId"].as_str().expect("text")).collect();
        assert_eq!(ids, kept, "processed in the order of their ids");
        assert!(lines.iter().all(|line| line.as_object().is_some_and(|members| members.len() == 10)), "{lines:?}");
    }
    let none = service.run(&["export", "--format", "csv", "--unit", "none"]).ok();
    assert_eq!(none.stdout, format!("{NAMES}\n"));
    http.get("/v1/export?limit=3").problem(400, "bad-parameter");
    http.get("/v1/export?type=neutral").problem(400, "bad-parameter");
}

#[test]
fn an_export_is_one_moment_while_records_come_in() {
    let service = Service::start();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let http = service.http();
            many("w", 6_000).chunks(40).for_each(|chunk| assert_eq!(http.batch(chunk)["processed"], 40));
            done.store(true, Ordering::Release);
        });
        let (http, mut exports) = (service.http(), 0);
        while !done.load(Ordering::Acquire) || exports == 0 {
            let lines = http.get("/v1/export").expect_status(200).json_lines();
            // The export holds whole batches, in their order: `many` numbers its records.
            assert_eq!(lines.len() % 40, 0);
            for (i, line) in lines.iter().enumerate() {
                assert_eq!(line["recordId"], format!("w-{i:06}"));
            }
            exports += 1;
        }
        writer.join().expect("the writer does not panic");
        assert!(exports > 1, "the reader came too late to see anything");
    });
}

#[test]
fn an_export_of_any_size_takes_the_same_memory() {
    let service = Service::start();
    let long = |i: usize| {
        let destination = if i.is_multiple_of(8) { "few" } else { "many" };
        let texts = json!({"reference": "r".repeat(255), "sourceId": "𝔘".repeat(255), "destinationId": destination});
        record_with(&format!("{i:0>250}"), texts)
    };
    let body: String = (0..20_000).map(|i| format!("{}\n", long(i))).collect();
    assert_eq!(service.http().lines("?results=failed", body)[0]["processed"], 20_000);
    let export = |query: &str, records: usize| {
        let answer = service.http().get(&format!("/v1/export{query}")).expect_status(200);
        assert!(answer.body.len() > records * 1_500);
        service.memory_kib()
    };
    let of_few = export("?destinationId=few", 2_500);
    let grown = export("", 20_000).saturating_sub(of_few);
    assert!(grown < 8 * 1024, "the service grew by {grown} KiB for eight times as many records");
}

#[test]
fn an_export_that_fails_leaves_the_file_as_it_was() {
    let mut service = Service::start();
    service.http().batch(&many("r", 100));
    let folder = service.folder().clone();
    folder.write("kept.ndjson", "as it was");
    let url = service.url();
    let missing = folder.run(&["export", "-o", "missing/a.csv"]).exits(1);
    assert!(missing.stderr.contains("missing/a.csv"), "{}", missing.stderr);
    let files = || std::fs::read_dir(folder.path()).expect("a folder").count();
    service.kill();
    let before = files();
    folder.run(&["export", "-o", "kept.ndjson", "--url", &url]).exits(1);
    let elsewhere = ["--database-url", "sqlite://missing.db"];
    folder.run(&[&["export", "-o", "kept.ndjson"], &elsewhere[..]].concat()).exits(1);
    assert_eq!((folder.read("kept.ndjson").as_str(), files()), ("as it was", before));
    folder.run(&["export", "-o", "kept.ndjson"]).ok();
    assert_eq!(folder.read("kept.ndjson").lines().count(), 100);
    folder.run(&["export", "-o", "/dev/null"]).ok();
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = Folder::new();
    folder.write("a.ndjson", ndjson(&many("r", 5_000)));
    folder.run(&["import", "a.ndjson"]).ok();
    let mut command = folder.command();
    command.args(["export"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0; 100]).expect("it begins");
    drop(out);
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}
