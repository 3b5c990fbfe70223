//! Entries of streams, as the server answers them.

use redis::{FromRedisValue, ParsingError, RedisResult, Value, from_redis_value};
use serde::Serializer as _;

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// In their order; `None` for an entry that was deleted while it was pending.
    fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Entry {
    /// Reads a list of entries; null is an empty one.
    pub(crate) fn read_all(answer: Value) -> RedisResult<Vec<Self>> {
        Ok(from_redis_value::<Option<Vec<Self>>>(answer)?.unwrap_or_default())
    }

    /// Whether the entry is only a name in the list of what is pending.
    pub(crate) fn is_deleted(&self) -> bool {
        self.fields.is_none()
    }

    /// Takes the value of the first field of this name.
    pub(crate) fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let fields = self.fields.as_mut()?;
        let at = fields.iter().position(|(field, _)| field == name.as_bytes())?;
        Some(fields.remove(at).1)
    }

    /// Returns all fields as a JSON object, in their order. Bytes that are no UTF-8 are escaped as in Rust (`\xff`), and then so
    /// is the whole of their text.
    pub(crate) fn fields_as_json(&self) -> Vec<u8> {
        let text =
            |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap_or_else(|_| bytes.escape_ascii().to_string());
        let fields = self.fields.iter().flatten().map(|(name, value)| (text(name), text(value)));
        let mut json = Vec::new();
        // A name may come twice, so that no map would do.
        let mut serializer = serde_json::Serializer::new(&mut json);
        serializer.collect_map(fields).expect("texts are always JSON");
        json
    }

    /// How many bytes the values have.
    pub(crate) fn bytes(&self) -> usize {
        self.fields.iter().flatten().map(|(_, value)| value.len()).sum()
    }
}

impl FromRedisValue for Entry {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        // Before Redis 7, a claimed entry that was deleted is null, without an id.
        if value == Value::Nil {
            return Ok(Self { id: String::new(), fields: None });
        }
        let (id, fields): (String, Option<Vec<Vec<u8>>>) = from_redis_value(value)?;
        let pairs = |flat: Vec<Vec<u8>>| {
            let mut flat = flat.into_iter();
            std::iter::from_fn(move || flat.next().zip(flat.next())).collect()
        };
        Ok(Self { id, fields: fields.map(pairs) })
    }
}

/// Whether a text is the full id of an entry: two numbers of 64 bits.
pub(crate) fn is_entry_id(text: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()) && part.parse::<u64>().is_ok();
    text.split_once('-').is_some_and(|(time, sequence)| is_number(time) && is_number(sequence))
}

#[cfg(test)]
mod tests;
