//! Payloads of a queue end with the verdict that their bytes deserve, and what is refused comes out of the dead letters
//! as it came in.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use redis::Value as RedisValue;
use tallyhouse_http::HttpSettings;
use tallyhouse_pipeline::ports::{
    Acknowledgement, DeadLetter, DeadLetterReason, DeadLetters, Delivery, Disposition, PortError, RecordSource,
};
use tallyhouse_pipeline::{Consumer, Record, RejectionCode, RetryPolicy, Timestamp};
use tokio::sync::watch;

use crate::dead_letter::{DeadLetterDraft, dead_letter};
use crate::entry::{Entry, is_entry_id};
use crate::oracle;
use crate::service::{self, Service};

/// The id of every dead letter here.
const ID: &str = "1767225600000-0";

/// Checks payloads, one a line; and all of the bytes as an answer of Redis.
pub fn check(data: &[u8]) {
    if let Ok(answer) = redis::parse_redis_value(data) {
        // Any answer of a server is read, or refused.
        Entry::read_all(answer).map(|entries| entries.into_iter().map(dead_letter).collect::<Vec<_>>()).ok();
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let numbers: Vec<Option<u64>> = text.split('-').map(|number| number.parse().ok()).collect();
        let is_id = matches!(*numbers, [Some(_), Some(_)]) && !text.contains('+');
        assert_eq!(is_entry_id(text), is_id);
    }
    service::run(consume(data.split(|b| *b == b'\n').collect()));
}

async fn consume(payloads: Vec<&[u8]>) {
    let service = Service::start();
    let (stop, stopped) = watch::channel(false);
    let source =
        Arc::new(Once { payloads: payloads.iter().map(|p| p.to_vec()).collect(), stop, settled: Mutex::default() });
    let consumer = Consumer {
        source: Arc::clone(&source) as _,
        ingress: service.pipeline.ingress(),
        repository: service.repository.clone(),
        breaker: service.pipeline.breakers().named("queue-once"),
        clock: Arc::clone(&service.clock),
        retry: RetryPolicy::default(),
    };
    consumer.run(stopped).await;
    let settled = std::mem::take(&mut *source.settled.lock().unwrap_or_else(PoisonError::into_inner));
    assert_eq!(settled.len(), payloads.len());
    let mut firsts: Vec<Record> = Vec::new();
    let mut letters = Vec::new();
    for (place, (payload, Acknowledgement { tag, disposition })) in payloads.iter().zip(settled).enumerate() {
        assert_eq!(tag, place.to_string());
        let expected = reason(payload, &mut firsts);
        match disposition {
            Disposition::Ack => assert_eq!(expected, None),
            Disposition::DeadLetter { reason, detail } => {
                assert_eq!(Some(reason), expected);
                letters.push(through_redis(payload, reason, detail));
            }
            Disposition::Nack => panic!("storage is there: nothing is given back"),
        }
    }
    through_http(&service, letters).await;
}

/// Says why a payload is to be refused, after those before it.
fn reason(payload: &[u8], firsts: &mut Vec<Record>) -> Option<DeadLetterReason> {
    // A byte order mark is passed over.
    let payload = payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload);
    let verdict = oracle::read(payload);
    if verdict.record().is_none() {
        let not_json = verdict == oracle::Verdict::NotJson;
        let code = if not_json { RejectionCode::NotJson } else { RejectionCode::Rejected };
        return Some(DeadLetterReason::Rejection(code));
    }
    let record = Record::from_json(payload).expect("the oracle says so");
    match firsts.iter().find(|first| first.record_id == record.record_id) {
        Some(first) if *first == record => None,
        Some(_) => Some(DeadLetterReason::Conflict),
        None => {
            firsts.push(record);
            None
        }
    }
}

/// Writes a dead letter as Redis keeps it, and reads it as Redis answers.
fn through_redis(payload: &[u8], reason: DeadLetterReason, detail: String) -> DeadLetter {
    let at = Timestamp::parse("2026-01-01T00:00:00.000001Z").expect("this is RFC 3339");
    let draft = DeadLetterDraft { payload: payload.to_vec(), reason, detail: detail.clone(), origin: "list", at };
    let bulk = |bytes: &[u8]| RedisValue::BulkString(bytes.to_vec());
    let fields = draft.fields();
    let flat = fields.iter().flat_map(|(name, value)| [bulk(name.as_bytes()), bulk(value)]).collect();
    let entry = RedisValue::Array(vec![bulk(ID.as_bytes()), RedisValue::Array(flat)]);
    let entries = Entry::read_all(RedisValue::Array(vec![entry])).expect("this is how Redis answers");
    let letter = entries.into_iter().map(dead_letter).next().expect("there is one");
    let expected = DeadLetter {
        id: ID.to_owned(),
        payload: payload.to_vec(),
        reason: reason.name().to_owned(),
        detail,
        origin: "list".to_owned(),
        at: at.to_string(),
    };
    assert_eq!(letter, expected);
    letter
}

/// Lists dead letters over HTTP: each payload comes as text, or encoded where it is none.
async fn through_http(service: &Service, letters: Vec<DeadLetter>) {
    let kept = Kept(letters.iter().take(100).cloned().collect());
    let payloads: Vec<Vec<u8>> = kept.0.iter().map(|letter| letter.payload.clone()).collect();
    let api = service.http(HttpSettings::default(), Some(Arc::new(kept)));
    let answer = service::ask(&api, "GET", "/v1/dead-letters", "", Vec::new()).await;
    assert_eq!(answer.status, 200);
    let page: serde_json::Value = serde_json::from_slice(&answer.body).expect("a page is JSON");
    let listed = page["deadLetters"].as_array().expect("a list");
    let decoded = listed.iter().map(|letter| match (&letter["payload"], &letter["payloadBase64"]) {
        (serde_json::Value::String(text), serde_json::Value::Null) => text.clone().into_bytes(),
        (serde_json::Value::Null, serde_json::Value::String(text)) => STANDARD.decode(text).expect("Base64"),
        both => panic!("one of them, not {both:?}"),
    });
    assert_eq!(decoded.collect::<Vec<_>>(), payloads);
}

/// A queue that is received from once, and then stops its consumer.
struct Once {
    payloads: Vec<Vec<u8>>,
    stop: watch::Sender<bool>,
    settled: Mutex<Vec<Acknowledgement>>,
}

#[async_trait]
impl RecordSource for Once {
    fn name(&self) -> &'static str {
        "once"
    }

    async fn receive(&self, _max: usize) -> Result<Vec<Delivery>, PortError> {
        let delivery = |(place, payload): (usize, &Vec<u8>)| Delivery {
            tag: place.to_string(),
            payload: Ok(payload.clone()),
            traceparent: None,
        };
        Ok(self.payloads.iter().enumerate().map(delivery).collect())
    }

    async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> Result<(), PortError> {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = acknowledgements;
        self.stop.send_replace(true);
        Ok(())
    }
}

/// Dead letters in memory.
struct Kept(Vec<DeadLetter>);

#[async_trait]
impl DeadLetters for Kept {
    async fn list(&self, _after: Option<String>, limit: usize) -> Result<Vec<DeadLetter>, PortError> {
        Ok(self.0.iter().take(limit).cloned().collect())
    }

    async fn find(&self, _id: &str) -> Result<Option<DeadLetter>, PortError> {
        Ok(None)
    }

    async fn remove(&self, _id: &str) -> Result<bool, PortError> {
        Ok(false)
    }
}
