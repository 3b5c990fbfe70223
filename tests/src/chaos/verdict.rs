//! The verdict: what is stored and what was published, against the ledger and a model computed from it.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chaos::content::number_of;
use crate::chaos::ledger::{Ledger, Sent};
use crate::chaos::listener::{Message, Received, hash};
use crate::clients::http::Client;
use crate::data::sums::Ledger as Sums;
use crate::servers::redis_server::RedisServer;

/// How many messages, summaries or letters are read at a time.
const PAGE: usize = 1_000;

/// What was counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Records that were acknowledged, by HTTP or by Redis.
    pub(crate) acknowledged: usize,
    /// Those of them that are not stored.
    pub(crate) lost: usize,
    /// Records that are stored, and those that are twice.
    pub(crate) stored: usize,
    pub(crate) doubled: usize,
    /// Notifications and alerts that are owed for what is stored, those that were published, and how often again.
    pub(crate) owed: usize,
    pub(crate) published: usize,
    pub(crate) repeated: u64,
    /// Dead letters.
    pub(crate) letters: usize,
}

/// Compares everything; what is wrong is noted in the ledger.
pub(crate) struct Judge<'a> {
    ledger: &'a Ledger,
    records: Vec<Sent>,
    seen: Vec<bool>,
    received: Received,
    keys: HashMap<(String, String), Sums>,
    counts: Counts,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(ledger: &'a Ledger, received: Received) -> Self {
        let records = ledger.records();
        let seen = vec![false; records.len()];
        Self { ledger, records, seen, received, keys: HashMap::new(), counts: Counts::default() }
    }

    /// Judges all there is.
    ///
    /// # Errors
    /// An instance or Redis gives no proper answer.
    pub(crate) fn judge(mut self, http: &Client, redis: &RedisServer) -> Result<Counts> {
        each_message(http, "notifications", |text| self.notification(text))?;
        self.losses();
        let mut alerts = 0;
        each_message(http, "alerts", |text| {
            alerts += 1;
            self.alert(text)
        })?;
        self.unknown_messages(alerts);
        self.summaries(http)?;
        self.letters(redis)?;
        Ok(self.counts)
    }

    /// Judges one notification as it is stored: its record, its sequence, the summary before it, and what was
    /// published.
    fn notification(&mut self, text: &str) -> Result<()> {
        let message: Value = serde_json::from_str(text)?;
        let id = message["id"].as_str().context("a message has an id")?;
        let Some(n) = number_of(id).filter(|n| (*n as usize) < self.records.len()) else {
            self.ledger.find(format!("stored, but never sent: {text}"));
            return Ok(());
        };
        let place = n as usize;
        self.counts.stored += 1;
        if std::mem::replace(&mut self.seen[place], true) {
            self.counts.doubled += 1;
            self.ledger.find(format!("{id} is stored twice"));
        }
        let data = &message["data"];
        let record = self.ledger.contents.record(n);
        let text_of = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        let sums = self.keys.entry((text_of("destinationId"), text_of("reference"))).or_default();
        let mut wrong = Vec::new();
        if data["record"] != record {
            wrong.push(format!("it was sent as {record}"));
        }
        let before = sums.summary();
        if data["previous"] != before {
            wrong.push(format!("the summary before it is {before}"));
        }
        let sequence = before["count"].as_u64().unwrap_or_default() + 1;
        if data["sequence"].as_u64() != Some(sequence) {
            wrong.push(format!("its sequence is to be {sequence}"));
        }
        let answered = u64::from(self.records[place].sequence);
        if answered != 0 && answered != sequence {
            wrong.push(format!("it was answered with the sequence {answered}"));
        }
        sums.add(&record);
        let published = self.received.notifications.get(place).copied().unwrap_or_default();
        wrong.extend(self.published(published, text));
        wrong.into_iter().for_each(|what| self.ledger.find(format!("{text}: {what}")));
        Ok(())
    }

    /// Judges what was published of a message, and says what is wrong with it.
    fn published(&mut self, message: Message, text: &str) -> Option<String> {
        self.counts.owed += 1;
        if message.streamed == 0 {
            return Some("it was never published".to_owned());
        }
        self.counts.published += 1;
        self.counts.repeated += u64::from(message.streamed - 1);
        (message.hash != hash(text)).then(|| "it was published with other words".to_owned())
    }

    fn losses(&mut self) {
        for (n, (sent, is_stored)) in self.records.iter().zip(&self.seen).enumerate() {
            let acknowledged = sent.stored || sent.queued;
            self.counts.acknowledged += usize::from(acknowledged);
            if acknowledged && !is_stored {
                self.counts.lost += 1;
                self.ledger.find(format!("r-{n} is lost: {sent:?}"));
            }
        }
    }

    fn alert(&mut self, text: &str) -> Result<()> {
        let message: Value = serde_json::from_str(text)?;
        let id = message["id"].as_str().context("a message has an id")?;
        let (record, rule) = id.split_once('/').context("an alert names record and rule")?;
        let is_met = number_of(record).is_some_and(|n| {
            let is_stored = self.seen.get(n as usize).is_some_and(|seen| *seen);
            is_stored && self.ledger.contents.rules_met(n).contains(&rule)
        });
        if !is_met {
            self.ledger.find(format!("no rule was met for this: {text}"));
        }
        let published = self.received.alerts.get(id).copied().unwrap_or_default();
        if let Some(what) = self.published(published, text) {
            self.ledger.find(format!("{text}: {what}"));
        }
        Ok(())
    }

    /// Judges that nothing was published that is not owed, and that every rule that was met has its alert.
    fn unknown_messages(&self, alerts: usize) {
        let stored = self.seen.iter().zip(0..).filter(|(is_stored, _)| **is_stored);
        let due: usize = stored.map(|(_, n)| self.ledger.contents.rules_met(n).len()).sum();
        if due != alerts {
            self.ledger.find(format!("{due} rules were met, and there are {alerts} alerts"));
        }
        let received = |message: &&Message| message.hash != 0;
        let came = [
            self.received.notifications.iter().filter(received).count(),
            self.received.alerts.values().filter(received).count(),
        ];
        if came != [self.counts.stored, alerts] {
            self.ledger.find(format!("published were {came:?}, stored are {:?}", [self.counts.stored, alerts]));
        }
    }

    /// Judges the running summaries.
    fn summaries(&self, http: &Client) -> Result<()> {
        let mut destinations: BTreeMap<&str, BTreeMap<&str, &Sums>> = BTreeMap::new();
        for ((destination, reference), sums) in &self.keys {
            destinations.entry(destination).or_default().insert(reference, sums);
        }
        for (destination, references) in destinations {
            let expected = references.into_iter().map(|(reference, sums)| {
                let mut summary = sums.summary();
                summary["sequence"] = summary["count"].clone();
                summary["reference"] = Value::from(reference);
                summary
            });
            let expected = Value::from(expected.collect::<Vec<_>>());
            let answer = http.get(&format!("/v1/summaries/{destination}?limit={PAGE}")).expect_status(200).json();
            if answer["summaries"] != expected {
                self.ledger.find(format!("the summaries of {destination} are {answer}, and should be {expected}"));
            }
        }
        let all = http.get("/v1/aggregates?records=false").expect_status(200).json();
        if all["recordCount"].as_u64() != Some(self.counts.stored as u64) {
            self.ledger.find(format!("the aggregates count {} records", all["recordCount"]));
        }
        Ok(())
    }

    /// Judges the dead letters: each payload that Redis took, as often as it took it.
    fn letters(&mut self, redis: &RedisServer) -> Result<()> {
        let mut connection = redis.connection()?;
        let mut expected = self.ledger.letters();
        let mut found: BTreeMap<String, u32> = BTreeMap::new();
        let mut after = "-".to_owned();
        loop {
            let mut command = redis::cmd("XRANGE");
            command.arg("tallyhouse:dead-letters").arg(&after).arg("+").arg("COUNT").arg(PAGE);
            let page: Vec<(String, HashMap<String, String>)> = command.query(&mut connection)?;
            let Some((last, _)) = page.last() else { break };
            after = format!("({last}");
            for (_, fields) in page {
                let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
                self.counts.letters += 1;
                let letter = expected.get(field("payload"));
                if letter.is_none_or(|letter| (letter.reason, letter.origin) != (field("reason"), field("origin"))) {
                    self.ledger.find(format!("no such dead letter is due: {fields:?}; but {letter:?}"));
                }
                *found.entry(field("payload").to_owned()).or_default() += 1;
            }
        }
        expected.retain(|payload, letter| {
            let count = found.get(payload).copied().unwrap_or_default();
            count < letter.queued || count > letter.tried
        });
        for (payload, letter) in expected {
            self.ledger.find(format!("{:?} dead letters of {payload}: {letter:?}", found.get(&payload)));
        }
        Ok(())
    }
}

/// Reads all messages of a topic, each to the letter.
fn each_message(http: &Client, topic: &str, mut judge: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut after = String::new();
    loop {
        let answer = http.get(&format!("/v1/{topic}?limit={PAGE}{after}")).expect_status(200);
        let page: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&answer.body)?;
        let messages: Vec<Box<RawValue>> = serde_json::from_str(page.get("messages").context("messages")?.get())?;
        if messages.is_empty() {
            return Ok(());
        }
        messages.iter().try_for_each(|message| judge(message.get()))?;
        let next: String = serde_json::from_str(page.get("next").context("next")?.get())?;
        after = format!("&after={next}");
    }
}
