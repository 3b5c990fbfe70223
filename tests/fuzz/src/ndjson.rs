//! However a body of lines comes in pieces, its lines are those of the whole, each with its own result.

use bytes::Bytes;
use serde_json::Value;
use tallyhouse_http::HttpSettings;
use tallyhouse_http::testing::lines;

use crate::oracle::{self, Verdict};
use crate::service::{self, Service};
use crate::tail::Tail;

/// Lines of the cutter are short, so that many lengths are near the limit.
const SHORT: usize = 16;

/// Checks a body. Its last bytes say where it is cut, and how long a line may be.
pub fn check(data: &[u8]) {
    let mut tail = Tail::new(data);
    let (short, long) = (tail.below(SHORT), 64 * tail.below(8));
    let places: Vec<usize> = (0..tail.below(8)).map(|_| tail.below(1 << 16)).collect();
    let whole = tail.rest();
    let pieces = cut(whole, &places);
    assert_eq!(lines(short, pieces.clone()), split(whole, short));
    service::run(converse(whole, pieces, long));
}

/// Cuts a whole at these places.
fn cut(whole: &[u8], places: &[usize]) -> Vec<Bytes> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (whole.len() + 1)).collect();
    places.extend([0, whole.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| Bytes::copy_from_slice(&whole[ends[0]..ends[1]])).collect()
}

/// Splits a whole into lines that end with LF or CR LF; `None` for one that is too long. A byte order mark where the whole
/// begins is passed over.
fn split(whole: &[u8], bytes_max: usize) -> Vec<Option<Vec<u8>>> {
    let mut lines: Vec<&[u8]> = whole.split(|b| *b == b'\n').collect();
    // Behind the last end there is no line.
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let ended = lines.iter().enumerate().map(|(place, line)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.strip_prefix(b"\xEF\xBB\xBF").filter(|_| place == 0).unwrap_or(line)
    });
    ended.map(|line| (line.len() <= bytes_max).then(|| line.to_vec())).collect()
}

async fn converse(whole: &[u8], pieces: Vec<Bytes>, bytes_max: usize) {
    let in_pieces = results(pieces, bytes_max).await;
    assert_eq!(in_pieces, results(vec![Bytes::copy_from_slice(whole)], bytes_max).await);

    let lines = split(whole, bytes_max);
    let blank = |line: &Option<Vec<u8>>| {
        line.as_ref().is_some_and(|line| line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')))
    };
    let lines: Vec<_> = lines.iter().filter(|line| !blank(line)).collect();
    assert_eq!(in_pieces.len(), lines.len(), "one result for every line that is not blank");
    for (index, (result, line)) in in_pieces.iter().zip(lines).enumerate() {
        assert_eq!(result["index"], index);
        check_result(result, line.as_deref());
    }
}

async fn results(pieces: Vec<Bytes>, record_bytes_max: usize) -> Vec<Value> {
    let api = Service::start().http(HttpSettings { record_bytes_max, ..HttpSettings::default() }, None);
    let answer = service::ask(&api, "POST", "/v1/records/batch", "application/x-ndjson", pieces).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_empty() || answer.body.ends_with(b"\n"));
    let lines = answer.body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("every result is JSON")).collect()
}

fn check_result(result: &Value, line: Option<&[u8]>) {
    let verdict = line.map(oracle::read);
    let status = match &verdict {
        None => 413,
        Some(Verdict::NotJson) => 400,
        Some(verdict) if verdict.record().is_none() => 422,
        Some(verdict) => {
            let outcome = result["outcome"].as_str().expect("an outcome");
            assert!(["processed", "duplicate", "conflict"].contains(&outcome), "{result}");
            assert_eq!(result["recordId"].as_str(), verdict.record().map(|fields| fields[0]));
            return;
        }
    };
    assert_eq!((&result["outcome"], &result["error"]["status"]), (&"rejected".into(), &status.into()), "{result}");
}
