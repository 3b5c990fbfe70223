//! The names of all keys and channels.
//!
//! All keys of one command or script must lie in one slot of a Cluster. The slot is computed from the part in braces, or
//! from the whole name without braces. So `x:{tallyhouse:records}:y` lies in the slot of `tallyhouse:records`.

use tallyhouse_core::Topic;

/// The consumer group of the stream of records.
pub(crate) const GROUP: &str = "tallyhouse";

/// The names under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
    /// The list that producers push to.
    pub(crate) records: String,
    /// The sorted set of the list's consumers. A score is the time at which a lease ends.
    pub(crate) consumers: String,
    /// The sorted set that is the destination of `BLMOVE`, which can't move anything to it.
    pub(crate) wake: String,
    /// The stream that producers add to.
    pub(crate) stream: String,
    /// The stream of dead letters.
    pub(crate) dead_letters: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            records: format!("{prefix}:records"),
            consumers: format!("{prefix}:consumers:{{{prefix}:records}}"),
            wake: format!("{prefix}:wake:{{{prefix}:records}}"),
            stream: format!("{prefix}:records:stream"),
            dead_letters: format!("{prefix}:dead-letters"),
        }
    }

    /// The list of elements that one consumer has taken and not acknowledged yet.
    pub(crate) fn processing(&self, consumer: &str) -> String {
        let Self { prefix, records, .. } = self;
        format!("{prefix}:processing:{{{records}}}:{consumer}")
    }

    /// The `SCAN` pattern of all consumers' processing lists.
    pub(crate) fn processing_pattern(&self) -> String {
        let mut pattern = String::new();
        for char in self.processing("").chars() {
            if matches!(char, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(char);
        }
        pattern.push('*');
        pattern
    }

    /// The channel of a topic.
    pub(crate) fn channel(&self, topic: Topic) -> String {
        format!("{}:{}", self.prefix, topic.name())
    }

    /// The stream beside the channel of a topic.
    pub(crate) fn channel_stream(&self, topic: Topic) -> String {
        format!("{}:stream", self.channel(topic))
    }
}

#[cfg(test)]
mod tests;
