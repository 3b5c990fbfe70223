//! Stream entries, parsed from the server's answers.

use redis::{FromRedisValue, ParsingError, RedisResult, Value, from_redis_value};
use serde::Serializer as _;

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// Name and value pairs in their order; `None` for an entry that was deleted while it was pending.
    fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// The length of the whole and its digest, if a script has cut the entry.
    oversize: Option<(u64, String)>,
}

impl Entry {
    /// Parses a list of entries; null is an empty list.
    pub(crate) fn read_all(answer: Value) -> RedisResult<Vec<Self>> {
        Ok(from_redis_value::<Option<Vec<Self>>>(answer)?.unwrap_or_default())
    }

    /// Says whether only the id is left, in the list of pending entries.
    pub(crate) fn is_deleted(&self) -> bool {
        self.fields.is_none()
    }

    /// Removes the first field of this name and returns its value.
    pub(crate) fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let fields = self.fields.as_mut()?;
        let at = fields.iter().position(|(field, _)| field == name.as_bytes())?;
        Some(fields.remove(at).1)
    }

    /// Returns all fields as a JSON object, in their order. A name or value that is not UTF-8 is escaped as in Rust
    /// (`\xff`).
    pub(crate) fn fields_as_json(&self) -> Vec<u8> {
        let text =
            |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap_or_else(|_| bytes.escape_ascii().to_string());
        let fields = self.fields.iter().flatten().map(|(name, value)| (text(name), text(value)));
        let mut json = Vec::new();
        // A name may occur twice, which a map can't hold.
        let mut serializer = serde_json::Serializer::new(&mut json);
        serializer.collect_map(fields).expect("strings always serialize");
        json
    }

    /// Returns how many fields have this name.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.fields.iter().flatten().filter(|(field, _)| field == name.as_bytes()).count()
    }

    /// Returns the length of the whole and its digest, if a script has cut the entry.
    pub(crate) fn oversize(&self) -> Option<&(u64, String)> {
        self.oversize.as_ref()
    }
}

impl FromRedisValue for Entry {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        // Before Redis 7, `XAUTOCLAIM` returns null for a deleted entry, without its id.
        if value == Value::Nil {
            return Ok(Self { id: String::new(), fields: None, oversize: None });
        }
        let mut parts = Vec::<Value>::from_redis_value(value)?.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Nil);
        let (id, fields): (String, Option<Vec<Vec<u8>>>) = (from_redis_value(next())?, from_redis_value(next())?);
        let (bytes, sha1): (Option<u64>, Option<String>) = (from_redis_value(next())?, from_redis_value(next())?);
        let pairs = |flat: Vec<Vec<u8>>| {
            let mut flat = flat.into_iter();
            std::iter::from_fn(move || flat.next().zip(flat.next())).collect()
        };
        Ok(Self { id, fields: fields.map(pairs), oversize: bytes.zip(sha1) })
    }
}

/// Says whether a text is the complete id of an entry: two numbers of 64 bits.
pub(crate) fn is_entry_id(text: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()) && part.parse::<u64>().is_ok();
    text.split_once('-').is_some_and(|(time, sequence)| is_number(time) && is_number(sequence))
}

#[cfg(test)]
mod tests;
