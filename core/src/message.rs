//! The messages of a stored record: CloudEvents 1.0 in JSON. A message is never stored. It is rebuilt from the stored
//! record and its position, byte for byte, whenever it is published or read.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::cursor::{Cursor, Position};
use crate::outcome::StoredRecord;
use crate::rule::Rule;

/// The topic of a message: notifications or alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One message for every processed record.
    Notifications,
    /// One message for every rule that a processed record met.
    Alerts,
}

impl Topic {
    /// Both topics.
    pub const ALL: [Self; 2] = [Self::Notifications, Self::Alerts];

    /// Returns the name that channels and paths have.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Notifications => "notifications",
            Self::Alerts => "alerts",
        }
    }
}

/// One message: a view of a stored record.
///
/// ```
/// use tallyhouse_core::{Draft, Known, Message, MessageFormat, RuleSet, Timestamp, Topic, plan};
///
/// let draft = Draft {
///     record_id: "r-1", time: "2026-01-01T09:30:00Z", source_id: "till-3", destination_id: "shop-9",
///     record_type: "positive", value: "12.50", unit: "EUR", reference: "",
/// };
/// let now = Timestamp::parse("2026-01-01T09:30:01Z")?;
/// let plan = plan(&[draft.check()?.into()], Known::default(), &RuleSet::default(), now);
/// // The record met no rule: it has a notification and no alert.
/// let messages: Vec<Message> = Message::all_of(1, &plan.stored[0]).collect();
/// assert_eq!((messages.len(), messages[0].topic(), messages[0].id().as_str()), (1, Topic::Notifications, "r-1"));
/// assert!(MessageFormat::default().to_json(&messages[0]).contains(r#""subject":"shop-9""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    position: Position,
    stored: Arc<StoredRecord>,
    /// The rule that was met, for an alert.
    rule: Option<Arc<Rule>>,
}

impl Message {
    /// Returns the trace context that came with the record.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.stored.traceparent.as_deref()
    }

    /// Returns the messages of the stored record at this position to a topic, in their order.
    pub fn of(position: u64, stored: &Arc<StoredRecord>, topic: Topic) -> impl Iterator<Item = Self> + use<> {
        let rules: Vec<Option<Arc<Rule>>> = match topic {
            Topic::Notifications => vec![None],
            Topic::Alerts => stored.alerts.iter().cloned().map(Some).collect(),
        };
        let stored = Arc::clone(stored);
        let position = move |part| Position { record: position, part };
        (0..).zip(rules).map(move |(part, rule)| Self { position: position(part), stored: Arc::clone(&stored), rule })
    }

    /// Returns every message of the stored record at this position: its notification, then its alerts.
    pub fn all_of(position: u64, stored: &Arc<StoredRecord>) -> impl Iterator<Item = Self> + use<> {
        Self::of(position, stored, Topic::Notifications).chain(Self::of(position, stored, Topic::Alerts))
    }

    /// Makes the alert that the stored record at this position would raise if it met a rule.
    #[must_use]
    pub fn hypothetical_alert(position: u64, stored: &Arc<StoredRecord>, rule: &Arc<Rule>) -> Self {
        Self {
            position: Position { record: position, part: 0 },
            stored: Arc::clone(stored),
            rule: Some(Arc::clone(rule)),
        }
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> Topic {
        if self.rule.is_some() { Topic::Alerts } else { Topic::Notifications }
    }

    /// Returns the stored record.
    #[must_use]
    pub fn stored(&self) -> &Arc<StoredRecord> {
        &self.stored
    }

    /// Returns the position in its topic.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the cursor of a reader that has just read the message.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::at(self.position, &self.stored)
    }

    /// Returns the rule that was met, for an alert.
    #[must_use]
    pub fn rule(&self) -> Option<&Rule> {
        self.rule.as_deref()
    }

    /// Returns the CloudEvents `id`: the record's id, for an alert followed by a slash and the rule's name. It never
    /// changes.
    #[must_use]
    pub fn id(&self) -> String {
        let id = &self.stored.processed.record.record_id;
        self.rule.as_ref().map_or_else(|| id.to_string(), |rule| format!("{id}/{}", rule.name()))
    }
}

/// The CloudEvents `source` of each topic; together with the `id` it identifies a message, also among several services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFormat {
    /// Of notifications: `urn:tallyhouse:records` by default.
    pub records_source: String,
    /// Of alerts: `urn:tallyhouse:alerts` by default.
    pub alerts_source: String,
}

impl Default for MessageFormat {
    fn default() -> Self {
        Self { records_source: "urn:tallyhouse:records".to_owned(), alerts_source: "urn:tallyhouse:alerts".to_owned() }
    }
}

impl MessageFormat {
    /// Writes a message as a CloudEvent in JSON (CloudEvents 1.0, JSON event format, structured mode), in one line.
    #[must_use]
    pub fn to_json(&self, message: &Message) -> String {
        serde_json::to_string(&Event { format: self, message }).expect("a message is always JSON")
    }

    fn source(&self, topic: Topic) -> &str {
        match topic {
            Topic::Notifications => &self.records_source,
            Topic::Alerts => &self.alerts_source,
        }
    }
}

struct Event<'a> {
    format: &'a MessageFormat,
    message: &'a Message,
}

impl Serialize for Event<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = &self.message.stored;
        let topic = self.message.topic();
        let event_type = match topic {
            Topic::Notifications => "tallyhouse.record.processed.v1",
            Topic::Alerts => "tallyhouse.record.alert.v1",
        };
        let mut event = serializer.serialize_struct("Event", 10)?;
        event.serialize_field("specversion", "1.0")?;
        event.serialize_field("type", event_type)?;
        event.serialize_field("source", self.format.source(topic))?;
        event.serialize_field("id", &self.message.id())?;
        event.serialize_field("subject", &stored.processed.record.destination_id)?;
        event.serialize_field("time", &stored.processed.processed_at)?;
        event.serialize_field("datacontenttype", "application/json")?;
        if let Some(traceparent) = &stored.traceparent {
            event.serialize_field("traceparent", traceparent)?;
        }
        event.serialize_field("position", &self.message.cursor().to_string())?;
        event.serialize_field("data", &Data(self.message))?;
        event.end()
    }
}

struct Data<'a>(&'a Message);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = &self.0.stored;
        let mut data = serializer.serialize_struct("Data", 3)?;
        data.serialize_field("record", &stored.processed.record)?;
        data.serialize_field("sequence", &stored.processed.sequence)?;
        match &self.0.rule {
            None => data.serialize_field("previous", &stored.previous)?,
            Some(rule) => data.serialize_field("rule", rule.as_ref())?,
        }
        data.end()
    }
}

#[cfg(test)]
mod tests;
