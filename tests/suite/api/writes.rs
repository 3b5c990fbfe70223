//! One record by `POST /v1/records`: every outcome, with its status, headers and members.

use serde_json::{Value, json};
use tallyhouse_tests::data::records::{record, record_with};
use tallyhouse_tests::data::sums;
use tallyhouse_tests::servers::service::Service;

const MICROSECOND_FORM: &str = "0000-00-00T00:00:00.000000Z";

/// Checks the two forms in which a time is written: no fraction, or six digits.
#[track_caller]
fn check_time(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("not a time: {value}"));
    let form: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(form == MICROSECOND_FORM || form == "0000-00-00T00:00:00Z", "{text}");
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_new_record_is_created_and_says_what_was_there_before() {
    let service = Service::start();
    let http = service.http();
    let first = http.record(&record("a")).expect_status(201);
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("idempotent-replayed"), None);
    let result = first.json();
    assert_eq!(members(&result), ["alerts", "outcome", "previous", "processedAt", "recordId", "sequence"]);
    assert_eq!(result["recordId"], "a");
    assert_eq!(result["outcome"], "processed");
    assert_eq!(result["sequence"], 1);
    assert_eq!(result["previous"], json!({"count": 0, "firstTime": null, "lastTime": null, "totals": []}));
    assert_eq!(result["alerts"], json!([]));
    check_time(&result["processedAt"]);

    let second = http.record(&record_with("b", json!({"type": "negative", "value": "4.50"}))).expect_status(201).json();
    assert_eq!(second["sequence"], 2);
    assert_eq!(second["previous"], sums::summary([&record("a")]));
    let third = http.record(&record("c")).expect_status(201).json();
    assert_eq!(third["sequence"], 3);
    assert_eq!(third["previous"]["totals"][0]["net"], "6.50");
    assert_eq!(third["previous"]["totals"][0]["positive"], json!({"count": 1, "sum": "11"}));
    assert_eq!(third["previous"]["totals"][0]["negative"], json!({"count": 1, "sum": "4.50"}));

    // Another reference, and the empty one, are keys of their own.
    for (id, reference) in [("d", "JFK"), ("e", "")] {
        let other = http.record(&record_with(id, json!({"reference": reference}))).expect_status(201).json();
        assert_eq!(other["sequence"], 1);
    }
}

#[test]
fn an_answer_is_the_same_to_the_letter() {
    let service = Service::start();
    let answer = service.http().record(&record("a")).expect_status(201);
    let at = answer.json()["processedAt"].as_str().expect("a time").to_owned();
    let expected = format!(
        "{{\"recordId\":\"a\",\"outcome\":\"processed\",\"sequence\":1,\"processedAt\":\"{at}\",\"previous\":\
         {{\"count\":0,\"firstTime\":null,\"lastTime\":null,\"totals\":[]}},\"alerts\":[]}}"
    );
    assert_eq!(answer.text().trim_end(), expected);
}

#[test]
fn a_repeated_record_is_a_success_and_changes_nothing() {
    let service = Service::start();
    let http = service.http();
    let sent = record_with("a", json!({"value": "12.50"}));
    let first = http.record(&sent).expect_status(201).json();
    let again = http.record(&sent).expect_status(200);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let result = again.json();
    assert_eq!(members(&result), ["outcome", "processedAt", "recordId", "sequence"]);
    assert_eq!(result["outcome"], "duplicate");
    assert_eq!(result["processedAt"], first["processedAt"]);
    assert_eq!(result["sequence"], 1);

    // The same number, the same instant, a member that nobody knows: the same content.
    for same in [
        json!({"value": "12.5"}),
        json!({"value": "1250e-2"}),
        json!({"time": "2013-01-01T12:00:00.0000009+02:00"}),
        json!({"more": [1]}),
    ] {
        let answer = http.record(&record_with("a", json!({"value": "12.50"})).tap(&same)).expect_status(200);
        assert_eq!(answer.json()["outcome"], "duplicate", "{same}");
    }
    let number = record("a").to_string().replace("\"11\"", "12.500");
    assert_eq!(http.post("/v1/records", number).status, 200);
    let stored = http.get("/v1/records/a").expect_status(200).json();
    assert_eq!(stored["value"], "12.50", "as it came the first time");
    assert_eq!(http.get("/v1/aggregates?records=false").json()["groups"][0]["count"], 1);
}

/// Puts members in the place of a record's own.
trait Tap {
    fn tap(self, members: &Value) -> Value;
}

impl Tap for Value {
    fn tap(mut self, members: &Value) -> Value {
        let members = members.as_object().expect("an object").clone();
        self.as_object_mut().expect("an object").extend(members);
        self
    }
}

#[test]
fn other_content_under_a_known_id_is_a_conflict_that_names_what_differs() {
    let service = Service::start();
    let http = service.http();
    assert_eq!(http.record(&record("a")).status, 201);
    #[rustfmt::skip]
    let cases = [
        (json!({"value": "12"}), vec!["value"]),
        (json!({"time": "2013-01-01T10:00:00.000001Z"}), vec!["time"]),
        (json!({"unit": "hour", "value": "12"}), vec!["unit", "value"]),
        (json!({"reference": ""}), vec!["reference"]),
        (json!({"type": "negative", "sourceId": "x", "destinationId": "y"}), vec!["destinationId", "sourceId", "type"]),
    ];
    for (change, differs) in cases {
        let answer = http.record(&record_with("a", change.clone()));
        let problem = answer.problem(409, "conflict");
        assert_eq!(problem["recordId"], "a");
        assert_eq!(problem["outcome"], "conflict");
        let mut named: Vec<&str> =
            problem["differs"].as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect();
        named.sort_unstable();
        assert_eq!(named, differs, "{change}");
        assert_eq!(answer.header("idempotent-replayed"), None);
    }
    assert_eq!(http.get("/v1/records/a").json()["value"], "11");
    let totals = http.get("/v1/aggregates?records=false").json();
    assert_eq!(totals["groupCount"], 1, "a conflict leaves no trace under its own key: {totals}");
    assert_eq!(http.get("/v1/summaries/y").json()["summaries"], json!([]));
}

#[test]
fn a_bad_record_is_refused_with_every_broken_field_named() {
    let service = Service::start();
    let http = service.http();
    let bad = json!({"recordId": "", "time": "yesterday", "sourceId": 7, "type": "neutral", "value": "-1",
                     "unit": "x".repeat(65), "reference": "a\u{0007}b"});
    let problem = http.post("/v1/records", bad.to_string()).problem(422, "rejected");
    assert_eq!(problem["outcome"], "rejected");
    assert_eq!(problem["recordId"], Value::Null);
    let errors = problem["errors"].as_array().expect("a list");
    let mut pointers: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().expect("a pointer")).collect();
    pointers.sort_unstable();
    let all = ["/destinationId", "/recordId", "/reference", "/sourceId", "/time", "/type", "/unit", "/value"];
    assert_eq!(pointers, all);
    assert!(errors.iter().all(|error| error["detail"].as_str().is_some_and(|detail| !detail.is_empty())));

    let named = http.record(&record_with("good-id", json!({"value": "x"}))).problem(422, "rejected");
    assert_eq!(named["recordId"], "good-id", "a valid id is echoed");
    assert_eq!(http.get("/v1/aggregates").json()["recordCount"], 0);
}

/// What each value becomes: its text as it is written back, or a refusal.
#[test]
fn values_are_kept_exactly_or_refused() {
    let service = Service::start();
    let http = service.http();
    #[rustfmt::skip]
    let good = [
        ("12", "12"), ("12.50", "12.50"), ("\"12.50\"", "12.50"), ("1.25e3", "1250"), ("\"1.25E+3\"", "1250"), ("0", "0"),
        ("0.00", "0.00"), ("1e-28", "0.0000000000000000000000000001"), ("\"9999999999999999999999999999\"", "9999999999999999999999999999"),
        ("7922816251426433759354395033", "7922816251426433759354395033"), ("1e27", "1000000000000000000000000000"),
        ("0.1", "0.1"), ("1.000000000000000000000000000", "1.000000000000000000000000000"), ("123456789012345678.0123456789", "123456789012345678.0123456789"),
        ("100e-2", "1.00"), ("0e5", "0"),
    ];
    for (i, (sent, kept)) in good.into_iter().enumerate() {
        let body = record(&format!("v{i}")).to_string().replace("\"11\"", sent);
        assert_eq!(http.post("/v1/records", body).status, 201, "{sent}");
        assert_eq!(http.get(&format!("/v1/records/v{i}")).json()["value"], kept, "{sent}");
    }
    #[rustfmt::skip]
    let refused = [
        "\"+5\"", "\"007\"", "\"5.\"", "\"1_0\"", "\" 1\"", "\"1 \"", "\"\"", "\".5\"", "\"1e\"", "\"0x10\"", "\"NaN\"", "\"Infinity\"", "\"-0\"", "-0",
        "-5", "\"-5\"", "1e28", "\"10000000000000000000000000000\"", "1e-29", "1e999999999", "\"1e99999999999999999999\"", "null", "true", "[1]", "{}",
        "1.0000000000000000000000000000", "\"１２\"", "\"1,5\"",
    ];
    for sent in refused {
        let problem =
            http.post("/v1/records", record("bad").to_string().replace("\"11\"", sent)).problem(422, "rejected");
        assert_eq!(problem["errors"][0]["pointer"], "/value", "{sent}");
        assert_eq!(problem["errors"].as_array().map(Vec::len), Some(1), "{sent}");
    }
}

#[test]
fn times_are_kept_in_utc_to_the_microsecond_or_refused() {
    let service = Service::start();
    let http = service.http();
    #[rustfmt::skip]
    let good = [
        ("2013-01-01T10:00:00Z", "2013-01-01T10:00:00Z"), ("2013-01-01T10:00:00.000Z", "2013-01-01T10:00:00Z"),
        ("2013-01-01T10:00:00.5+01:00", "2013-01-01T09:00:00.500000Z"), ("2013-01-01T10:00:00.1234569Z", "2013-01-01T10:00:00.123456Z"),
        ("2013-01-01t10:00:00z", "2013-01-01T10:00:00Z"), ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"), ("2012-02-29T23:59:59-00:00", "2012-02-29T23:59:59Z"),
        ("0000-12-31T23:30:00-00:30", "0001-01-01T00:00:00Z"),
    ];
    for (i, (sent, kept)) in good.into_iter().enumerate() {
        let id = format!("t{i}");
        assert_eq!(http.record(&record_with(&id, json!({"time": sent}))).status, 201, "{sent}");
        assert_eq!(http.get(&format!("/v1/records/{id}")).json()["time"], kept, "{sent}");
    }
    #[rustfmt::skip]
    let refused = [
        "2013-01-01T10:00:00", "2013-01-01", "2013-01-01T10:00:60Z", "2016-12-31T23:59:60Z", "2013-02-29T00:00:00Z", "2013-13-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2013-01-01T24:00:00Z", "2013-01-01T10:00:00+24:00", "2013-01-01T10:00:00.Z",
        "2013-1-1T10:00:00Z", "+2013-01-01T10:00:00Z", "1357034400", "2013-01-01T10:00:00 Z", " 2013-01-01T10:00:00Z", "",
    ];
    for sent in refused {
        let problem = http.record(&record_with("bad", json!({"time": sent}))).problem(422, "rejected");
        assert_eq!(problem["errors"][0]["pointer"], "/time", "{sent}");
    }
    let number = http.record(&record_with("bad", json!({"time": 1_357_034_400}))).problem(422, "rejected");
    assert_eq!(number["errors"][0]["pointer"], "/time");
}

#[test]
fn texts_are_counted_in_characters_and_kept_as_they_are() {
    let service = Service::start();
    let http = service.http();
    let long = "𝔘".repeat(255);
    let path: String = long.bytes().map(|b| format!("%{b:02X}")).collect();
    assert_eq!(http.record(&record_with(&long, json!({"unit": "é".repeat(64), "reference": long}))).status, 201);
    assert_eq!(http.get(&format!("/v1/records/{path}")).expect_status(200).json()["recordId"], long);
    let ways = [" a ", "A", "a", "a/b", "a%2Fb", "a?b#c", "é", "e\u{301}", "\u{feff}", "..", ".", "\"\\"];
    for id in ways {
        let answer = http.record(&record(id)).expect_status(201);
        assert_eq!(answer.json()["recordId"], id, "neither trimmed nor folded");
        let path: String = id.bytes().map(|b| format!("%{b:02X}")).collect();
        if id != "." && id != ".." {
            assert_eq!(http.get(&format!("/v1/records/{path}")).expect_status(200).json()["recordId"], id);
        }
    }
    let controls = [
        "\u{0}",
        "\u{1f}",
        "\u{7f}",
        "\u{9f}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{fdd0}",
        "\u{fdef}",
        "\u{1fffe}",
        "\u{10ffff}",
    ];
    for bad in controls {
        for field in ["recordId", "sourceId", "destinationId", "unit", "reference"] {
            let sent = record("x").tap(&json!({ field: format!("a{bad}b") }));
            let problem = http.post("/v1/records", sent.to_string()).problem(422, "rejected");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"), "{bad:?}");
            if field == "recordId" {
                assert_eq!(problem["recordId"], Value::Null, "an id is echoed only where it is valid");
            }
        }
    }
    for (field, length) in
        [("recordId", 256), ("sourceId", 256), ("destinationId", 256), ("unit", 65), ("reference", 256)]
    {
        let sent = record("x").tap(&json!({ field: "x".repeat(length) }));
        let problem = http.post("/v1/records", sent.to_string()).problem(422, "rejected");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
    for field in ["recordId", "sourceId", "destinationId", "unit"] {
        let problem =
            http.post("/v1/records", record("x").tap(&json!({ field: "" })).to_string()).problem(422, "rejected");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
}

#[test]
fn what_is_not_json_is_told_apart_from_what_is_no_record() {
    let service = Service::start();
    let http = service.http();
    let good = record("a").to_string();
    let nested =
        |depth: usize| good.replace("\"11\"", &format!("\"11\",\"x\":{}{}", "[".repeat(depth), "]".repeat(depth)));
    let mut not_utf8 = good.clone().into_bytes();
    not_utf8[15] = 0xff;
    let not_json: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"   ".to_vec(),
        b"{".to_vec(),
        good[..good.len() - 1].into(),
        format!("{good}{good}").into(),
        format!("{good},").into(),
        good.replace("\"11\"", "011").into(),
        good.replace("\"11\"", "+1").into(),
        good.replace("\"11\"", "1.").into(),
        good.replace("\"11\"", ".5").into(),
        good.replace("\"11\"", "NaN").into(),
        good.replace("\"EWR\"", "'EWR'").into(),
        good.replace("EWR", "\\ud800").into(),
        good.replace("\"11\"", "\"11\",\"x\":\"\\udc00\"").into(),
        good.replace("EWR", "a\u{1}b").into(),
        nested(128).into(),
        "[".repeat(60_000).into(),
        not_utf8,
    ];
    for body in not_json {
        let answer = http.post("/v1/records", body.clone());
        assert_eq!(
            answer.status,
            400,
            "{}: {}",
            String::from_utf8_lossy(&body).chars().take(300).collect::<String>(),
            answer.text()
        );
        answer.problem(400, "not-json");
    }
    let twice = good.replace("\"11\"", "\"11\",\"value\":\"11\"");
    let no_records = ["null", "7", "\"a\"", "[]", "true", "{}", &format!("[{good}]"), &twice, "[1,2,3,4,5,6,7,8]"];
    for body in no_records {
        http.post("/v1/records", body.to_owned()).problem(422, "rejected");
    }
    let problem = http.post("/v1/records", twice).problem(422, "rejected");
    assert_eq!(problem["errors"][0]["pointer"], "/value");
    // As deep as allowed, with the record itself as the first level.
    assert_eq!(http.post("/v1/records", nested(127)).status, 201);
    // A byte order mark is passed over, once, and only where the body begins.
    let marked = good.replace(&record("a")["recordId"].to_string(), "\"marked\"");
    assert_ne!(marked, good);
    assert_eq!(http.post("/v1/records", format!("\u{feff}{marked}")).status, 201);
    http.post("/v1/records", format!("\u{feff}\u{feff}{good}")).problem(400, "not-json");
    http.post("/v1/records", format!("{good}\u{feff}")).problem(400, "not-json");
    let padded = record("padded").to_string().replace('{', " \r\n\t{ ").replace(',', " ,\n");
    assert_eq!(http.post("/v1/records", padded).status, 201);
}

#[test]
fn a_record_of_more_than_64_kib_is_too_large() {
    let service = Service::start();
    let http = service.http();
    let sized = |id: &str, bytes: usize| {
        let bare = record_with(id, json!({"note": ""})).to_string();
        record_with(id, json!({"note": "x".repeat(bytes - bare.len())})).to_string()
    };
    assert_eq!(http.post("/v1/records", sized("fits", 65_536)).status, 201);
    http.post("/v1/records", sized("does-not", 65_537)).problem(413, "too-large");
    http.post("/v1/records", vec![b' '; 3_000_000]).problem(413, "too-large");
    http.get("/v1/records/does-not").problem(404, "not-found");
}

#[test]
fn alerts_tell_which_rules_were_met() {
    let toml = r#"
[alerts]
threshold = "1000.5"
[[alerts.rules]]
name = "long-delay"
threshold = 30
unit = "minute"
[[alerts.rules]]
name = "from-ua-to-iah"
threshold = "5"
sourceId = "UA"
destinationId = "IAH"
type = "negative"
reference = "EWR"
"#;
    let options = tallyhouse_tests::servers::service::Options::new().file(toml);
    let service = Service::start_with(options);
    let http = service.http();
    #[rustfmt::skip]
    let cases = [
        (json!({"value": "30"}), json!([])),
        (json!({"value": "30.0000000000000000000000001"}), json!(["long-delay"])),
        (json!({"value": "1000.5"}), json!(["long-delay"])),
        (json!({"value": "1000.50001"}), json!(["default", "long-delay"])),
        (json!({"value": "1000.50001", "unit": "EUR"}), json!(["default"])),
        (json!({"value": "31", "type": "negative"}), json!(["from-ua-to-iah", "long-delay"])),
        (json!({"value": "5", "type": "negative"}), json!([])),
        (json!({"value": "6", "type": "negative", "sourceId": "AA"}), json!([])),
        (json!({"value": "6", "type": "negative", "reference": ""}), json!([])),
        (json!({"value": "6", "type": "negative", "destinationId": "MIA"}), json!([])),
    ];
    for (i, (members, expected)) in cases.into_iter().enumerate() {
        let id = format!("r{i}");
        let answer = http.record(&record_with(&id, members.clone())).expect_status(201).json();
        let mut names: Vec<&str> =
            answer["alerts"].as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect();
        let stored = http.get(&format!("/v1/records/{id}")).json();
        assert_eq!(stored["alerts"], answer["alerts"]);
        names.sort_unstable();
        assert_eq!(json!(names), expected, "{members}");
    }
}

#[test]
fn the_101st_unit_of_one_key_is_rejected_and_the_hundred_go_on() {
    let service = Service::start();
    let http = service.http();
    let unit = |i: usize| record_with(&format!("u{i}"), json!({"unit": format!("unit-{i}")}));
    let answer = http.batch(&(0..100).map(unit).collect::<Vec<_>>());
    assert_eq!(answer["processed"], 100);
    let problem = http.record(&unit(100)).problem(422, "rejected");
    assert_eq!(problem["recordId"], "u100");
    assert_eq!(problem["errors"][0]["pointer"], "/unit");
    assert_eq!(http.record(&record_with("more", json!({"unit": "unit-7"}))).expect_status(201).json()["sequence"], 101);
    assert_eq!(http.record(&record_with("other-key", json!({"unit": "unit-100", "reference": ""}))).status, 201);
}

#[test]
fn of_many_who_send_the_same_at_once_one_is_the_first() {
    let service = Service::start();
    for round in 0..10 {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..8)
                .map(|sender| {
                    let http = service.http();
                    let value = if sender % 4 == 3 { "12" } else { "11" };
                    let sent = record_with(&format!("r{round}"), json!({"value": value}));
                    scope.spawn(move || (value, http.record(&sent)))
                })
                .collect();
            senders.into_iter().map(|sender| sender.join().expect("a sender does not panic")).collect()
        });
        let first: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 201).collect();
        assert_eq!(first.len(), 1, "round {round}");
        assert_eq!(first[0].1.json()["sequence"], round + 1);
        for (value, answer) in &answers {
            let expected: &[u16] = if *value == first[0].0 { &[200, 201] } else { &[409] };
            assert!(expected.contains(&answer.status), "{value} {}", answer.text());
        }
    }
}
