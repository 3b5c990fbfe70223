//! More than a thousand hostile inputs on every way in: each is refused with a reason, and no good record beside it
//! suffers.

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::check_problem;
use tallyhouse_tests::data::records::{ndjson, record, record_with};
use tallyhouse_tests::data::seed::Seed;
use tallyhouse_tests::servers::service::Service;

const INPUTS: usize = 1_200;
const FIELDS: [&str; 8] = ["recordId", "time", "sourceId", "destinationId", "type", "value", "unit", "reference"];

/// Fields that hold any text.
const TEXTS: [&str; 5] = ["recordId", "sourceId", "destinationId", "unit", "reference"];
/// Bytes that UTF-8 has nowhere, or not here.
const NOT_UTF8: [u8; 6] = [0xff, 0xc0, 0xfe, 0x80, 0xed, 0xf8];
const NO_OBJECTS: [&str; 10] =
    ["null", "7", "-0", "\"x\"", "[]", "{}", "[[[]]]", "true", "1e400", "{\"a\":{\"a\":{}}}"];
/// What spoils a string in JSON.
const BAD_ESCAPES: [&str; 7] = ["\\ud800", "\\udfff", "\\ud800\\u0041", "\\u12", "\\x41", "\u{1}", "\\"];
const NO_VALUES: [&str; 13] = ["-1", "+1", "1.", ".1", "01", "1_0", " 1", "1e", "0x1", "NaN", "inf", "", "１"];
const NO_TYPES: [&str; 6] = ["", "Positive", "POSITIVE", "positive ", "neutral", "+"];
const NO_TIMES: [&str; 8] = [
    "now",
    "2013-01-01",
    "2013-02-30T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "2013-01-01T10:00:60Z",
    "2013-01-01T10:00:00",
    "-001-01-01T00:00:00Z",
    "",
];

/// Makes a text that is surely no good record: each kind breaks it for certain.
fn hostile(seed: &mut Seed, i: usize) -> Vec<u8> {
    let id = format!("hostile-{i}");
    let good = record(&id).to_string();
    let field = *seed.choose(&FIELDS);
    let text = *seed.choose(&TEXTS);
    let with = |members: Value| record_with(&id, members).to_string();
    let broken = match i % 14 {
        // Cut off anywhere before the last brace.
        0 => good[..1 + seed.below(good.len() - 1)].to_owned(),
        1 => good.replace("\"11\"", &"9".repeat(29 + seed.below(5_000))),
        2 => good.replace("\"11\"", &format!("1e{}", 28 + seed.bits() % 1_000_000_000)),
        3 => {
            let depth = 128 + seed.below(20_000);
            good.replace("\"11\"", &format!("\"11\",\"x\":{}{}", "[".repeat(depth), "]".repeat(depth)))
        }
        4 => good.replacen('{', &format!("{{\"{field}\":\"again\","), 1),
        5 => with(json!({ text: "a\u{0}b" })),
        6 => with(json!({ text: "x".repeat(256 + seed.below(60_000)) })),
        7 => {
            let kinds = [json!(null), json!(true), json!([]), json!({}), json!(["11"]), json!({"a": 1})];
            with(json!({ field: seed.choose(&kinds) }))
        }
        8 => {
            let mut record = record(&id);
            record.as_object_mut().expect("an object").remove(field);
            record.to_string()
        }
        9 => (*seed.choose(&NO_OBJECTS)).to_owned(),
        10 => good.replace("EWR", seed.choose::<&str>(&BAD_ESCAPES)),
        11 => with(json!({"value": seed.choose(&NO_VALUES)})),
        12 => with(json!({"time": seed.choose(&NO_TIMES)})),
        _ => with(json!({"type": seed.choose(&NO_TYPES), "unit": ""})),
    };
    broken.into_bytes()
}

/// Makes bytes that are no text, or any bytes at all, in one line.
fn hostile_bytes(seed: &mut Seed, i: usize) -> Vec<u8> {
    if i % 16 == 14 {
        let mut bytes = record("bytes").to_string().into_bytes();
        // Behind the first brace, so that what is broken is never blank around the text.
        let at = 1 + seed.below(bytes.len() - 2);
        bytes.insert(at, *seed.choose(&NOT_UTF8));
        return bytes;
    }
    let mut bytes = vec![b'{'];
    let length = 1 + seed.below(300);
    while bytes.len() <= length {
        let byte = seed.bits().to_le_bytes()[0];
        if !matches!(byte, b'\n' | b'\r' | b'"') {
            bytes.push(byte);
        }
    }
    bytes
}

fn inputs() -> Vec<Vec<u8>> {
    let mut seed = Seed::draw();
    let one = |i: usize| if i % 16 < 14 { hostile(&mut seed, i) } else { hostile_bytes(&mut seed, i) };
    (0..INPUTS).map(one).collect()
}

fn shown(input: &[u8]) -> String {
    String::from_utf8_lossy(input).chars().take(300).collect()
}

/// Checks that nothing hostile was stored, that every good one was, and that nothing broke inside.
#[track_caller]
fn check_after(service: &Service, good: usize) {
    let http = service.http();
    let all = http.get("/v1/aggregates").expect_status(200).json();
    assert_eq!(all["recordCount"], good);
    let log = service.log();
    let broken = log.lines().find(|line| line.contains("panick") || line.contains("\"level\":\"ERROR\""));
    assert_eq!(broken, None);
    service.run(&["verify"]).ok();
}

#[test]
fn hostile_records_one_by_one_are_refused_with_their_fault() {
    let service = Service::start();
    let http = service.http();
    for input in inputs() {
        let answer = http.post("/v1/records", input.clone());
        let code = match answer.status {
            400 => "not-json",
            413 => "too-large",
            422 => "rejected",
            status => panic!("{status} for {}: {}", shown(&input), answer.text()),
        };
        let problem = answer.problem(answer.status, code);
        if code == "rejected" {
            let errors = problem["errors"].as_array().expect("a list of faults");
            assert!(!errors.is_empty());
            for error in errors {
                let pointer = error["pointer"].as_str().expect("a pointer");
                assert!(pointer.is_empty() || FIELDS.contains(&&pointer[1..]), "{error}");
            }
        }
    }
    assert_eq!(http.record(&record("good")).status, 201);
    check_after(&service, 1);
}

#[test]
fn hostile_lines_leave_the_good_ones_between_them_alone() {
    let service = Service::start();
    let inputs = inputs();
    let mut body = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        body.extend_from_slice(ndjson(&[record(&format!("good-{i}"))]).as_bytes());
        body.extend_from_slice(input);
        body.push(b'\n');
    }
    let results = service.http().lines("", body);
    assert_eq!(results.len(), 2 * INPUTS);
    for (i, pair) in results.chunks(2).enumerate() {
        assert_eq!((&pair[0]["outcome"], &pair[0]["recordId"]), (&json!("processed"), &json!(format!("good-{i}"))));
        assert_eq!(pair[0]["sequence"], i + 1);
        assert_eq!(pair[1]["outcome"], "rejected", "{}", shown(&inputs[i]));
        let status = u16::try_from(pair[1]["error"]["status"].as_u64().expect("a status")).expect("a status");
        let code = match status {
            400 => "not-json",
            413 => "too-large",
            _ => "rejected",
        };
        check_problem(&pair[1]["error"], status, code);
    }
    check_after(&service, INPUTS);
}

/// An array that is not JSON as a whole is refused as a whole; what is JSON is refused element by element.
#[test]
fn hostile_elements_leave_the_good_ones_between_them_alone() {
    let service = Service::start();
    let http = service.http();
    let (json, not_json): (Vec<_>, Vec<_>) =
        inputs().into_iter().partition(|input| serde_json::from_slice::<Value>(input).is_ok());
    let mut sent = 0;
    for chunk in json.chunks(100) {
        let mut body = Vec::from(b"[");
        for input in chunk {
            body.extend_from_slice(record(&format!("good-{sent}")).to_string().as_bytes());
            body.push(b',');
            body.extend_from_slice(input);
            body.push(b',');
            sent += 1;
        }
        *body.last_mut().expect("not empty") = b']';
        let answer = http.post("/v1/records/batch", body).expect_status(200).json();
        assert_eq!((&answer["processed"], &answer["rejected"]), (&json!(chunk.len()), &json!(chunk.len())));
    }
    for input in &not_json {
        let mut body = Vec::from(b"[");
        body.extend_from_slice(record("beside").to_string().as_bytes());
        body.push(b',');
        body.extend_from_slice(input);
        body.push(b']');
        let answer = http.post("/v1/records/batch", body);
        // What one bracket more makes well-formed is an array after all; and numbers that no float holds are JSON.
        match answer.status {
            400 => drop(answer.problem(400, "not-json")),
            200 => assert_eq!(answer.json()["rejected"], 1, "{}", shown(input)),
            status => panic!("{status} for {}: {}", shown(input), answer.text()),
        }
    }
    assert!(not_json.len() > 100, "both kinds occur");
    let beside = usize::from(http.get("/v1/records/beside").status == 200);
    check_after(&service, sent + beside);
}

#[test]
fn a_hostile_file_is_imported_as_far_as_it_is_good() {
    let service = Service::start();
    let inputs = inputs();
    let mut body = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        body.extend_from_slice(ndjson(&[record(&format!("good-{i}"))]).as_bytes());
        body.extend_from_slice(input);
        body.push(b'\n');
    }
    service.folder().write("hostile.ndjson", body);
    let ran = service.run(&["import", "hostile.ndjson", "--errors", "refused.ndjson"]).exits(1);
    assert_eq!(ran.counts(), [INPUTS as u64, 0, 0, INPUTS as u64]);
    let refused = service.folder().read("refused.ndjson");
    assert_eq!(refused.lines().count(), INPUTS);
    for line in refused.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
    check_after(&service, INPUTS);
}

#[test]
fn hostile_questions_are_answered_with_problems() {
    let service = Service::start();
    let http = service.http();
    http.record(&record("a"));
    let mut seed = Seed::draw();
    let names = [
        "start",
        "end",
        "type",
        "destinationId",
        "sourceId",
        "reference",
        "unit",
        "limit",
        "cursor",
        "after",
        "records",
        "results",
        "x",
    ];
    let values = [
        "",
        "%00",
        "%ff",
        "%",
        "%zz",
        "'",
        "';--",
        "%F0%9F%98%80",
        "-1",
        "1e9",
        "99999999999999999999",
        "null",
        "%22",
        "%0A",
        "+",
        "a=b",
    ];
    let paths = [
        "/v1/records",
        "/v1/aggregates",
        "/v1/export",
        "/v1/summaries/x",
        "/v1/notifications",
        "/v1/alerts",
        "/v1/records/a",
    ];
    for _ in 0..600 {
        let query: Vec<String> =
            (0..1 + seed.below(3)).map(|_| format!("{}={}", seed.choose(&names), seed.choose(&values))).collect();
        let path = format!("{}?{}", seed.choose(&paths), query.join("&"));
        let answer = http.get(&path);
        assert!([200, 400].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
        if answer.status == 400 {
            answer.problem(400, "bad-parameter");
        }
    }
    check_after(&service, 1);
}
