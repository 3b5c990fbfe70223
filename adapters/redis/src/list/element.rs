//! Elements of the list, as the scripts return them.

use redis::{FromRedisValue, ParsingError, Value, from_redis_value};
use tallyhouse_core::Rejection;

use crate::oversize::{KEPT_BYTES, Oversize};

/// One element of a processing list. Of an oversized payload it has only the first [`KEPT_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Element {
    pub(super) payload: Vec<u8>,
    pub(super) oversize: Option<Oversize>,
}

impl Element {
    /// Returns the payload, or why it can't be delivered.
    pub(super) fn deliverable(&self) -> Result<Vec<u8>, Rejection> {
        match &self.oversize {
            None => Ok(self.payload.clone()),
            Some(oversize) => Err(oversize.rejection(format_args!("the first {KEPT_BYTES}"))),
        }
    }
}

impl FromRedisValue for Element {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        match value {
            Value::Array(_) => {
                let (payload, bytes, sha1) = from_redis_value(value)?;
                Ok(Self { payload, oversize: Some(Oversize { bytes, sha1 }) })
            }
            payload => Ok(Self { payload: from_redis_value(payload)?, oversize: None }),
        }
    }
}
