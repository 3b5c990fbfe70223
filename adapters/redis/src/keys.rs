//! The names of all keys and channels.
//!
//! What one command or script touches together must lie in one slot of a Cluster. The slot of a key is that of the part
//! in braces, or of the whole name where there are none, so `x:{tallyhouse:records}:y` lies with `tallyhouse:records`.

use tallyhouse_core::Topic;

/// The names under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
    /// List that producers push to.
    pub(crate) records: String,
    /// Sorted set of the list's consumers, each with the time at which its lease ends.
    pub(crate) consumers: String,
    /// Stream that producers add to.
    pub(crate) stream: String,
    /// Stream of refused payloads.
    pub(crate) dead_letters: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            records: format!("{prefix}:records"),
            consumers: format!("{prefix}:consumers:{{{prefix}:records}}"),
            stream: format!("{prefix}:records:stream"),
            dead_letters: format!("{prefix}:dead-letters"),
        }
    }

    /// List of what one consumer has taken from the list of records and not settled yet.
    pub(crate) fn processing(&self, consumer: &str) -> String {
        let Self { prefix, records, .. } = self;
        format!("{prefix}:processing:{{{records}}}:{consumer}")
    }

    /// What matches the lists of all consumers, as `SCAN` has it.
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

    /// Channel of a topic.
    pub(crate) fn channel(&self, topic: Topic) -> String {
        format!("{}:{}", self.prefix, topic.name())
    }

    /// Stream beside the channel of a topic.
    pub(crate) fn channel_stream(&self, topic: Topic) -> String {
        format!("{}:stream", self.channel(topic))
    }
}

#[cfg(test)]
mod tests;
