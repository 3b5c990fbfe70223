//! The commands of the binary, run as a user runs them.

use std::io::Write as _;

use serde_json::{Value, json};
use tallyhouse_tests::data::records::{many, ndjson, record, record_with};
use tallyhouse_tests::data::sums;
use tallyhouse_tests::folder::{Folder, Running};
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).expect("memory takes all");
    gz.finish().expect("memory takes all")
}

fn csv(records: &[Value]) -> String {
    let fields = ["reference", "recordId", "time", "sourceId", "destinationId", "type", "value", "unit"];
    let row = |record: &Value| fields.map(|field| record[field].as_str().expect("text").to_owned()).join(",");
    format!("{}\n{}\n", fields.join(","), records.iter().map(row).collect::<Vec<_>>().join("\n"))
}

fn stored(folder: &Folder) -> Value {
    serde_json::from_str(&folder.run(&["aggregate", "--format", "json"]).ok().stdout).expect("JSON")
}

#[test]
fn every_form_of_a_file_gives_the_same_records() {
    let records = many("r", 250);
    let forms: [(&str, Vec<u8>); 8] = [
        ("a.ndjson", ndjson(&records).into()),
        ("a.jsonl", ndjson(&records).into()),
        ("a.json", Value::from(records.clone()).to_string().into()),
        ("a.csv", csv(&records).into()),
        ("a.ndjson.gz", gzip(ndjson(&records).as_bytes())),
        ("a.json.gz", gzip(Value::from(records.clone()).to_string().as_bytes())),
        ("a.csv.gz", gzip(csv(&records).as_bytes())),
        ("pretty.json", serde_json::to_vec_pretty(&records).expect("JSON")),
    ];
    let folder = Folder::new();
    for (i, (name, content)) in forms.iter().enumerate() {
        folder.write(name, content);
        let counts = folder.run(&["import", name]).ok().counts();
        assert_eq!(counts, if i == 0 { [250, 0, 0, 0] } else { [0, 250, 0, 0] }, "{name}");
        let piped = folder.run_with(&[], &["import", "-"], content).ok().counts();
        assert_eq!(piped, [0, 250, 0, 0], "{name} by standard input");
    }
    folder.run(&["verify"]).ok();
    assert_eq!(stored(&folder)["recordCount"], 250);
    let both = folder.run(&["import", "a.json", "a.csv.gz"]).ok().counts();
    assert_eq!(both, [0, 500, 0, 0]);
}

#[test]
fn csv_is_read_with_its_quotes_and_spreadsheet_marks() {
    let folder = Folder::new();
    let head = "recordId,time,sourceId,destinationId,type,value,unit,reference";
    let rows = "\"a,1\",2013-01-01T10:00:00Z,\"say \"\"hi\"\"\",IAH,positive,12.50,EUR,\r\nb,2013-01-01T10:00:00Z,UA,IAH,negative,1.25e3,EUR,\"x\"\r\n";
    folder.write("a.csv", format!("\u{feff}{head}\r\n{rows}"));
    assert_eq!(folder.run(&["import", "a.csv"]).ok().counts(), [2, 0, 0, 0]);
    let records = stored(&folder)["groups"][0]["records"].clone();
    assert_eq!(records[0]["recordId"], "a,1");
    assert_eq!(records[0]["sourceId"], "say \"hi\"");
    assert_eq!(records[0]["reference"], "");
    assert_eq!(records[1]["value"], "1250");
    // A row with too few fields is refused; the next one is read.
    folder.write(
        "b.csv",
        format!("{head}\nshort,2013-01-01T10:00:00Z,UA\nc,2013-01-01T10:00:00Z,UA,IAH,positive,1,EUR,\n"),
    );
    assert_eq!(folder.run(&["import", "b.csv"]).exits(1).counts(), [1, 0, 0, 1]);
    folder.write("c.csv", "recordId,time\na,b\n");
    let missing = folder.run(&["import", "c.csv"]);
    assert_ne!(missing.code, Some(0));
}

#[test]
fn refused_records_are_kept_with_their_reasons() {
    let folder = Folder::new();
    let good = record("a");
    let lines = format!(
        "{good}\n{}\nnot json\n{}\n{}\n",
        record_with("a", json!({"value": "12"})),
        record_with("b", json!({"unit": ""})),
        record("c")
    );
    folder.write("mixed.ndjson", &lines);
    let ran = folder.run(&["import", "mixed.ndjson", "--errors", "refused.ndjson"]).exits(1);
    assert_eq!(ran.counts(), [2, 0, 1, 2]);
    let refused = folder.read("refused.ndjson");
    assert_eq!(refused.lines().count(), 3);
    let kept: Vec<Value> = refused.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for (kept, line) in kept.iter().zip([2, 3, 4]) {
        assert!(kept.to_string().contains(&format!(":{line}")), "the line is named: {kept}");
    }
    let text = refused.clone();
    for part in ["value", "/unit", "not json", "conflict", "rejected"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Without the option they are refused, too, and shown on standard error.
    let again = folder.run(&["import", "mixed.ndjson"]).exits(1);
    assert_eq!(again.counts(), [0, 2, 1, 2]);
    let clean = folder.run_with(&[], &["import", "-", "--errors", "none.ndjson"], good.to_string().as_bytes()).ok();
    assert_eq!(clean.counts(), [0, 1, 0, 0]);
    folder.run(&["verify"]).ok();
}

#[test]
fn an_import_over_http_has_the_outcomes_of_a_local_one() {
    let service = Service::start();
    let url = service.url();
    let folder = Folder::new();
    let records = many("r", 3_000);
    folder.write("a.csv.gz", gzip(csv(&records).as_bytes()));
    folder.write("a.ndjson", format!("{}oops\n", ndjson(&records)));
    assert_eq!(folder.run(&["import", "a.csv.gz", "--url", &url]).ok().counts(), [3_000, 0, 0, 0]);
    let ran = folder.run(&["import", "a.ndjson", "--url", &url, "--errors", "refused.ndjson"]).exits(1);
    assert_eq!(ran.counts(), [0, 3_000, 0, 1]);
    assert!(folder.read("refused.ndjson").contains("oops"));
    let conflict = ndjson(&[record_with("r-000001", json!({"value": "1"}))]);
    let ran = folder.run_with(&[], &["import", "-", "--url", &url], conflict.as_bytes()).exits(1);
    assert_eq!(ran.counts(), [0, 0, 1, 0]);
    assert!(!folder.path().join("tallyhouse.db").exists(), "nothing is written here");
    let outage = folder.run(&["import", "a.ndjson", "--url", "http://127.0.0.1:1"]);
    assert!(outage.code.is_some_and(|code| code != 0), "{outage:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_reported() {
    let folder = Folder::new();
    let missing = folder.run(&["import", "missing.ndjson"]);
    assert!(missing.code.is_some_and(|code| code != 0));
    assert!(missing.stderr.contains("missing.ndjson"), "{}", missing.stderr);
    let usage = folder.run(&["import"]);
    assert_eq!(usage.code, Some(2), "{}", usage.stderr);
    let mut broken = gzip(ndjson(&many("r", 2_000)).as_bytes());
    broken.truncate(broken.len() / 2);
    folder.write("broken.ndjson.gz", broken);
    let broken = folder.run(&["import", "broken.ndjson.gz"]);
    assert!(broken.code.is_some_and(|code| code != 0), "{broken:?}");
    folder.write("cut.json", format!("[{},{}", record("a"), record("b")));
    let cut = folder.run(&["import", "cut.json"]);
    assert!(cut.code.is_some_and(|code| code != 0), "{cut:?}");
    assert!(cut.stderr.contains("cut.json"), "{}", cut.stderr);
    folder.write("empty.ndjson", "");
    assert_eq!(folder.run(&["import", "empty.ndjson"]).ok().counts(), [0, 0, 0, 0]);
}

#[test]
fn an_aggregate_in_json_is_what_the_service_answers() {
    let service = Service::start();
    service.http().batch(&many("r", 120));
    let shown = |parameters: &[&str]| -> Value {
        let ran = service.run(&[&["aggregate", "--format", "json"], parameters].concat()).ok();
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    let totals = service.http().get("/v1/aggregates?records=false").json();
    for parameters in [&["--records=false"][..], &["--records", "false", "--url", &service.url()]] {
        assert_eq!(shown(parameters), totals, "{parameters:?}");
    }
    let whole = service.http().get("/v1/aggregates").json();
    for parameters in [&[][..], &["--records"], &["--records", "true"], &["--url", &service.url()]] {
        assert_eq!(shown(parameters), whole, "{parameters:?}");
    }
}

#[test]
fn an_aggregate_is_shown_in_three_forms() {
    let service = Service::start();
    let records = many("r", 120);
    service.http().batch(&records);
    let whole = service.http().get("/v1/aggregates?records=false").json();
    let table = service.run(&["aggregate"]).ok().stdout;
    let csv = service.run(&["aggregate", "--format", "csv"]).ok().stdout;
    assert!(!csv.contains("\"\""));
    for group in whole["groups"].as_array().expect("a list") {
        let name = group["destinationId"].as_str().expect("text");
        for total in group["totals"].as_array().expect("a list") {
            let net = total["net"].as_str().expect("text");
            let unit = total["unit"].as_str().expect("text");
            let has =
                |text: &str| text.lines().any(|line| line.contains(name) && line.contains(unit) && line.contains(net));
            assert!(has(&csv), "{name} {unit} {net}: {csv}");
            assert!(
                table.contains(name) && table.contains(unit) && table.contains(net),
                "{name} {unit} {net}: {table}"
            );
        }
    }
    let filters = [
        "aggregate",
        "--format",
        "json",
        "--type",
        "negative",
        "--unit",
        "EUR",
        "--destination-id",
        "D3",
        "--reference",
        "",
    ];
    let filtered: Value = serde_json::from_str(&service.run(&filters).ok().stdout).expect("JSON");
    let kept = records.iter().filter(|r| {
        r["type"] == "negative" && r["unit"] == "EUR" && r["destinationId"] == "D3" && r["reference"] == ""
    });
    let expected = sums::summary(kept);
    assert_eq!(filtered["groups"][0]["totals"], expected["totals"]);
    let remote = service
        .run(&[
            "aggregate",
            "--format",
            "json",
            "--records=false",
            "--url",
            &service.url(),
            "--start",
            "2013-01-10T00:00:00Z",
        ])
        .ok();
    let remote: Value = serde_json::from_str(&remote.stdout).expect("JSON");
    assert_eq!(remote, service.http().get("/v1/aggregates?records=false&start=2013-01-10T00:00:00Z").json());
    let bad = service.run(&["aggregate", "--type", "neutral"]);
    assert_eq!(bad.code, Some(2), "{}", bad.stderr);
}

#[test]
fn watch_follows_the_messages() {
    let service = Service::start();
    for topic in ["notifications", "alerts"] {
        for over_http in [true, false] {
            let id = format!("{topic}-{over_http}");
            let mut command = service.folder().command();
            command.args(["watch", topic, "--after", "0"]);
            if over_http {
                command.args(["--url", &service.url()]);
            }
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
            let mut child = command.spawn().expect("the binary starts");
            let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe")));
            assert_eq!(service.http().record(&record_with(&id, json!({"value": "10001"}))).status, 201);
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    // The test has seen enough.
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
            let expected = if topic == "alerts" { format!("{id}/default") } else { id };
            let seen = wait::until("the message", || {
                let line = receiver.recv_timeout(std::time::Duration::from_millis(50)).ok()?;
                let message: Value = serde_json::from_str(&line).expect("one message a line");
                (message["id"] == expected.as_str()).then_some(message)
            });
            assert_eq!(seen["specversion"], "1.0");
            child.kill().and_then(|()| child.wait()).expect("a child can be killed");
        }
    }
}

#[test]
fn watch_from_now_on_misses_nothing_when_it_is_cut_off_before_its_first_message() {
    let mut service = Service::start();
    assert_eq!(service.http().record(&record("before")).status, 201);
    let mut command = service.folder().command();
    command.args(["watch", "notifications", "--url", &service.url()]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("the binary starts");
    wait::until("the stream", || {
        let open =
            tallyhouse_tests::clients::scrape::Scrape::of(&service.http()).find("tallyhouse_http_event_streams", &[]);
        (open == Some(1.0)).then_some(())
    });
    service.stop();
    service.folder().write("missed.ndjson", record("missed").to_string());
    service.folder().run(&["import", "missed.ndjson"]).ok();
    service.restart();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe")));
    let first = lines.next().expect("a message comes").expect("text");
    assert_eq!(serde_json::from_str::<Value>(&first).expect("one message a line")["id"], "missed");
    child.kill().and_then(|()| child.wait()).expect("a child can be killed");
}

#[test]
fn migrate_makes_the_database_once() {
    let folder = Folder::new();
    folder.run(&["migrate"]).ok();
    assert!(folder.path().join("tallyhouse.db").exists());
    folder.run(&["migrate"]).ok();
    folder.run(&["verify"]).ok();
    let elsewhere = [("TALLYHOUSE_DATABASE__URL", "sqlite://missing-folder/x.db")];
    let failed = folder.run_with(&elsewhere, &["migrate"], b"");
    assert!(failed.code.is_some_and(|code| code != 0));
    assert!(!failed.stderr.contains("panick"), "{}", failed.stderr);
}

#[test]
fn reading_commands_create_no_database() {
    let folder = Folder::new();
    for command in [&["verify"][..], &["aggregate"]] {
        let ran = folder.run(command);
        assert!(!ran.stderr.contains("panick"), "{}", ran.stderr);
        let made = folder.path().join("tallyhouse.db").exists();
        assert!(!made, "{command:?} made a database");
    }
}

#[test]
fn completions_are_scripts() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = folder.run(&["completions", shell]).ok().stdout;
        assert!(script.contains("tallyhouse") && script.contains("aggregate"), "{shell}");
        if shell == "bash" {
            folder.write("completions.bash", &script);
            let mut bash = std::process::Command::new("bash");
            bash.arg("-n").arg(folder.path().join("completions.bash"));
            Running::start(bash, Vec::new()).finish().ok();
        }
    }
    assert_eq!(folder.run(&["completions", "tcl"]).code, Some(2));
}

#[test]
fn there_is_a_manual_page_for_the_program_and_for_each_command() {
    let folder = Folder::new();
    let page = folder.run(&["man"]).ok().stdout;
    assert!(page.contains(".TH tallyhouse 1"), "{page}");
    folder.run(&["man", "."]).ok();
    for name in ["tallyhouse.1", "tallyhouse-serve.1", "tallyhouse-import.1", "tallyhouse-keys-new.1"] {
        let page = std::fs::read_to_string(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    assert_ne!(folder.run(&["man", "no-such-folder"]).code, Some(0));
}

#[test]
fn help_names_every_command() {
    let folder = Folder::new();
    let help = folder.run(&["--help"]).ok().stdout;
    for command in [
        "serve",
        "import",
        "aggregate",
        "export",
        "watch",
        "dead-letters",
        "migrate",
        "config",
        "verify",
        "completions",
        "man",
    ] {
        assert!(help.contains(command), "{command}: {help}");
        let own = folder.run(&[command, "--help"]).ok().stdout;
        assert!(own.contains("Usage"), "{own}");
    }
    assert!(folder.run(&["--version"]).ok().stdout.starts_with("tallyhouse "));
    assert_eq!(folder.run(&["nonsense"]).code, Some(2));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "asking for help makes no file");
}

#[test]
fn a_proxy_of_the_environment_is_named() {
    let folder = Folder::new();
    let proxy = [("HTTP_PROXY", "http://u:secret@127.0.0.1:1")];
    let line = ["health", "--url", "http://service.example"];
    let ran = folder.run_with(&proxy, &line, b"").exits(1);
    assert!(ran.stderr.contains("through the proxy http://127.0.0.1:1"), "{}", ran.stderr);
    assert!(ran.stderr.contains("NO_PROXY") && !ran.stderr.contains("secret"), "{}", ran.stderr);
    let service = Service::start();
    let excluded = [("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "127.0.0.1")];
    folder.run_with(&excluded, &["health", "--url", &service.url()], b"").ok();
}

#[test]
fn dead_letters_need_redis() {
    let folder = Folder::new();
    let ran = folder.run(&["dead-letters", "list"]);
    assert!(ran.code.is_some_and(|code| code != 0));
    assert!(ran.stderr.to_lowercase().contains("redis"), "{}", ran.stderr);
}

#[test]
fn an_import_leaves_its_messages_to_the_service() {
    let folder = Folder::new();
    folder.write("a.ndjson", ndjson(&many("r", 50)));
    folder.run(&["import", "a.ndjson"]).ok();
    let service = Service::start_in(folder.into(), Options::new());
    let messages = service.http().get("/v1/notifications?limit=1000").json();
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(50));
    service.run(&["verify"]).ok();
}

#[test]
fn an_import_beside_the_running_service_is_seen_by_its_streams() {
    let service = Service::start();
    let mut stream = tallyhouse_tests::clients::sse::Events::open(service.address(), "/v1/notifications/stream", None);
    service.folder().write("a.ndjson", ndjson(&many("r", 20)));
    assert_eq!(service.run(&["import", "a.ndjson"]).ok().counts(), [20, 0, 0, 0]);
    for i in 0..20 {
        assert_eq!(stream.next_event().message()["id"], format!("r-{i:06}"));
    }
}

#[test]
fn a_field_that_is_mapped_to_two_columns_is_refused() {
    let folder = Folder::new();
    folder.write("a.csv", "id,time\n");
    let ran = folder.run(&["import", "a.csv", "--column", "recordId=id", "--column", "recordId=time"]).exits(2);
    assert!(ran.stderr.contains("recordId=id") && ran.stderr.contains("recordId=time"), "{}", ran.stderr);
    assert!(!folder.path().join("tallyhouse.db").exists());
}
