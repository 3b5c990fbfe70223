//! The validated string types of a record, and `Key`: destination and reference.
//!
//! Clones share one immutable allocation, since a record's strings are also in its outcome, its stored form and its
//! messages.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::parsed::parsed;

/// Says why a text is not an identifier; its `Display` may be shown to the sender of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The text has too few or too many characters (Unicode scalar values).
    #[error("must have {min} to {max} characters, has {found}")]
    Length {
        /// Fewest characters allowed.
        min: usize,
        /// Most characters allowed.
        max: usize,
        /// Characters found.
        found: usize,
    },
    /// The text holds a control character (U+0000–U+001F, U+007F–U+009F).
    #[error("must not contain the control character U+{0:04X}")]
    Control(u32),
    /// The text holds one of Unicode's 66 noncharacters, which CloudEvents 1.0 forbids in strings too.
    #[error("must not contain the noncharacter U+{0:04X}")]
    Noncharacter(u32),
}

/// Checks a text against a length in characters and the characters that no field may hold.
fn check(text: &str, min: usize, max: usize) -> Result<(), TextError> {
    // Printable ASCII is the most common case, where bytes are characters.
    if text.len() >= min && text.len() <= max && text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Ok(());
    }
    let found = text.chars().count();
    if found < min || found > max {
        return Err(TextError::Length { min, max, found });
    }
    for c in text.chars() {
        let code = u32::from(c);
        if c.is_control() {
            return Err(TextError::Control(code));
        }
        if (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe {
            return Err(TextError::Noncharacter(code));
        }
    }
    Ok(())
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $min:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Fewest characters (Unicode scalar values) allowed.
            pub const CHARS_MIN: usize = $min;
            /// Most characters (Unicode scalar values) allowed.
            pub const CHARS_MAX: usize = $max;

            /// Takes a text that keeps the rules: its length in characters, no control character, no noncharacter.
            /// Nothing is trimmed or case-folded.
            ///
            /// # Errors
            /// Says which rule the text breaks; the sender has to change it.
            pub fn new(text: &str) -> Result<Self, TextError> {
                check(text, $min, $max)?;
                Ok(Self(Arc::from(text)))
            }

            /// Returns the text as it came.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer, Self::new)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_type!(
    /// A record's identity, for ever: 1 to 255 characters.
    RecordId, 1, 255
);
text_type!(
    /// The source of a record: 1 to 255 characters.
    SourceId, 1, 255
);
text_type!(
    /// The destination that a record counts for, and that aggregates are grouped by: 1 to 255 characters.
    DestinationId, 1, 255
);
text_type!(
    /// The unit of a value: 1 to 64 characters. Unlike units are never added together.
    Unit, 1, 64
);
text_type!(
    /// A free reference, part of a summary's key: 0 to 255 characters.
    Reference, 0, 255
);

/// The key of a running summary: one destination and one reference. Ordered by bytes, destination first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The destination.
    pub destination_id: DestinationId,
    /// The reference; may be empty.
    pub reference: Reference,
}

#[cfg(test)]
mod tests;
