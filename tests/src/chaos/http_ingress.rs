//! The ingresses over HTTP: one record, a JSON batch, lines. What one instance does not answer goes to the next one.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::chaos::content::Item;
use crate::chaos::ledger::Ledger;
use crate::chaos::producer::{Ingress, ProducerContext};
use crate::clients::http::Client;

/// How long a producer waits for an answer. Longer than a commit is tried, shorter than some faults last.
const PATIENCE: Duration = Duration::from_secs(8);

/// A ingress over HTTP.
#[derive(Debug)]
pub(crate) struct HttpIngress {
    ledger: Arc<Ledger>,
    instances: Vec<Client>,
    form: &'static str,
    turn: usize,
}

/// What came back: the status and as much of the body as came.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl HttpIngress {
    pub(crate) fn new(context: &ProducerContext, form: &'static str, turn: usize) -> Self {
        let instances = context.instances.iter().map(|url| Client::new(url)).collect();
        Self { ledger: Arc::clone(&context.ledger), instances, form, turn }
    }

    fn ask(&self, items: &[Item]) -> Option<Answer> {
        let texts: Vec<String> = items.iter().map(|item| self.text(*item)).collect();
        let (path, media_type, body) = match self.form {
            "single" => ("/v1/records", "application/json", texts.concat()),
            "json" => ("/v1/records/batch", "application/json", format!("[{}]", texts.join(","))),
            _ => ("/v1/records/batch", "application/x-ndjson", texts.join("\n")),
        };
        let request = self.instances[self.turn % self.instances.len()].request("POST", path).timeout(PATIENCE);
        let mut response = request.header("content-type", media_type).body(body).send().ok()?;
        let mut body = Vec::new();
        let whole = response.read_to_end(&mut body).is_ok();
        // Of lines those that came count; anything else is nothing unless it is whole.
        (whole || self.form == "ndjson").then(|| Answer { status: response.status().as_u16(), body })
    }

    /// Writes an item so that it may stand in a batch: there, bad JSON would be the whole batch's fault.
    fn text(&self, item: Item) -> String {
        match item {
            Item::Bad(k) if self.form != "ndjson" => self.ledger.contents.payload(Item::Bad(k - k % 3 + 2)),
            _ => self.ledger.contents.payload(item),
        }
    }

    /// Finds the results in an answer, in the order of the items.
    fn results(&self, answer: &Answer) -> Vec<Value> {
        let whole = || serde_json::from_slice::<Value>(&answer.body);
        match (self.form, answer.status) {
            ("single", 200 | 201 | 409 | 422) => whole().into_iter().collect(),
            ("json", 200) => whole().map(|mut all| all["results"].take()).ok().and_then(into_list).unwrap_or_default(),
            ("ndjson", 200) => {
                let whole_lines =
                    answer.body.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
                whole_lines.map_while(|line| serde_json::from_slice(line).ok()).collect()
            }
            // Come again later.
            (_, 503) => Vec::new(),
            (form, status) => {
                let body = String::from_utf8_lossy(&answer.body);
                self.ledger.find(format!("{form} was answered with {status}: {body}"));
                Vec::new()
            }
        }
    }
}

impl Ingress for HttpIngress {
    fn send(&mut self, items: Vec<Item>) -> Vec<Item> {
        let results = self.ask(&items).map(|answer| self.results(&answer)).unwrap_or_default();
        self.turn += 1;
        for (item, result) in items.iter().zip(&results) {
            let outcome = result["outcome"].as_str().unwrap_or("nothing known");
            self.ledger.answered(*item, outcome, result["sequence"].as_u64().unwrap_or_default());
        }
        items.into_iter().skip(results.len()).collect()
    }
}

fn into_list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(list) => Some(list),
        _ => None,
    }
}
