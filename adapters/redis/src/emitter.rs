//! Publishes messages by Pub/Sub and, where `durable` is on, adds them to streams.

use async_trait::async_trait;
use redis::{Pipeline, RedisResult, pipe};
use serde_json::Value;
use tallyhouse_core::ports::{MessageEmitter, PortError};
use tallyhouse_core::{Message, MessageFormat, Topic};

use crate::client::RedisClient;
use crate::error::port_error;
use crate::settings::RedisSettings;

/// Bytes of messages in one round trip: a usual batch fits into one, and other clients of the server are not delayed
/// noticeably.
const TRIP_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Publishes to the channels `<prefix>:notifications` and `<prefix>:alerts`, and, where the settings say `durable`,
/// adds to the streams of the same names with `:stream` behind them.
#[derive(Debug, Clone)]
pub struct RedisEmitter {
    client: RedisClient,
    format: MessageFormat,
}

impl RedisEmitter {
    /// Makes an emitter, and connects to nothing yet.
    #[must_use]
    pub fn new(client: &RedisClient, format: MessageFormat) -> Self {
        Self { client: client.clone(), format }
    }

    async fn send(&self, trip: &[(Topic, String)]) -> RedisResult<()> {
        let durable = self.client.settings().durable;
        if !self.client.connector().is_cluster() {
            let mut pipeline = pipe();
            if durable {
                // At its `maxmemory` the server refuses `XADD` but not `PUBLISH`. Without a transaction, each attempt would
                // publish the same messages again.
                pipeline.atomic();
                self.add(&mut pipeline, trip);
            }
            self.publish(&mut pipeline, trip);
            return pipeline.query_async(&mut self.client.shared()).await;
        }
        // In a cluster a pipeline addresses one slot. The stream comes first: where `XADD` is refused, nothing is published.
        for topic in Topic::ALL {
            let part: Vec<_> = trip.iter().filter(|(of, _)| *of == topic).cloned().collect();
            let mut pipelines = [pipe(), pipe()];
            if durable {
                self.add(&mut pipelines[0], &part);
            }
            self.publish(&mut pipelines[1], &part);
            for pipeline in pipelines.iter().filter(|pipeline| !pipeline.is_empty()) {
                pipeline.query_async::<()>(&mut self.client.shared()).await?;
            }
        }
        Ok(())
    }

    fn add(&self, pipeline: &mut Pipeline, trip: &[(Topic, String)]) {
        let keys = Topic::ALL.map(|topic| self.client.keys().channel_stream(topic));
        let len_max = self.client.settings().durable_max_len;
        for (topic, json) in trip {
            pipeline.cmd("XADD").arg(&keys[*topic as usize]).arg("MAXLEN").arg("~").arg(len_max);
            pipeline.arg("*").arg("message").arg(json).ignore();
        }
    }

    fn publish(&self, pipeline: &mut Pipeline, trip: &[(Topic, String)]) {
        let channels = Topic::ALL.map(|topic| self.client.keys().channel(topic));
        for (topic, json) in trip {
            pipeline.cmd("PUBLISH").arg(&channels[*topic as usize]).arg(json).ignore();
        }
    }
}

#[async_trait]
impl MessageEmitter for RedisEmitter {
    async fn emit(&self, messages: &[Message]) -> Result<(), PortError> {
        let mut rest = messages;
        while !rest.is_empty() {
            let (mut trip, mut bytes) = (Vec::new(), 0);
            for message in rest {
                if bytes >= TRIP_BYTES_MAX {
                    break;
                }
                let json = self.format.to_json(message);
                bytes += json.len();
                trip.push((message.topic(), json));
            }
            rest = &rest[trip.len()..];
            self.send(&trip).await.map_err(|error| port_error("publishing messages", error))?;
        }
        Ok(())
    }

    fn name(&self) -> Option<String> {
        let RedisSettings { prefix, durable, .. } = self.client.settings();
        Some(name(prefix, *durable, &self.format))
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.client.ping().await
    }
}

/// Names the channels, the streams if there are any, and the sources of the messages.
///
/// The form is `redis PREFIX RECORDS ALERTS`, or `redis PREFIX with streams RECORDS ALERTS`, of strings in JSON (RFC 8259,
/// section 7). Only `"`, `\` and the characters below U+0020 are escaped. The form never changes: names are stored with outbox
/// entries, and an emitter with another name leaves these entries unpublished.
fn name(prefix: &str, durable: bool, format: &MessageFormat) -> String {
    let MessageFormat { records_source, alerts_source } = format;
    let [prefix, records, alerts] = [prefix, records_source.as_str(), alerts_source.as_str()].map(Value::from);
    let streams = if durable { " with streams" } else { "" };
    format!("redis {prefix}{streams} {records} {alerts}")
}

#[cfg(test)]
mod tests;
