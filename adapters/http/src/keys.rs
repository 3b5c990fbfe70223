//! API keys: their creation, their storage as hashes, and their recognition.
//!
//! A key is 256 random bits, so that a fast hash protects it as well as a slow one: an attacker can't try that many
//! keys. The keys file holds hashes only: reading it grants no access.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::keys::write_prefixes::WritePrefixes;

pub(crate) mod write_prefixes;
// The file that holds them.
pub(crate) mod key_ring;

/// The prefix of every key, by which secret scanners and people recognise one.
const PREFIX: &str = "th_";

/// The prefix of every hash: its algorithm.
const HASH_PREFIX: &str = "blake3:";

/// Length of a key's secret in bytes: 256 bits.
const SECRET_BYTES: usize = 32;

/// Longest name of a key, in bytes.
const NAME_LEN_MAX: usize = 64;

/// The hash by which a key is recognised.
pub(crate) type Hash = [u8; blake3::OUT_LEN];

/// A permission of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Writing records.
    Ingest,
    /// All reads, except those that need `Admin`.
    Read,
    /// Dead letters and alert rules.
    Admin,
}

impl Scope {
    /// Returns the name, as in the keys file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A new key. It is shown once; only its [`NewKey::entry`] is stored.
pub struct NewKey {
    text: String,
    entry: String,
}

impl NewKey {
    /// Makes a key from the system's random numbers.
    ///
    /// # Errors
    /// The name is not allowed in a keys file, no scope is given, or the system has no random numbers.
    pub fn make(name: &str, scopes: &[Scope]) -> Result<Self, NewKeyError> {
        Self::make_bound(name, scopes, &WritePrefixes::default())
    }

    /// Makes a key that writes only records with these prefixes.
    ///
    /// # Errors
    /// As [`NewKey::make`]; also where a bound key would have another scope than [`Scope::Ingest`].
    pub fn make_bound(name: &str, scopes: &[Scope], prefixes: &WritePrefixes) -> Result<Self, NewKeyError> {
        check(name, scopes, prefixes)?;
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|error| NewKeyError::Random(error.to_string()))?;
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
        let hash = format!("{HASH_PREFIX}{}", blake3::hash(text.as_bytes()).to_hex());
        let mut names: Vec<&str> = Vec::new();
        for scope in scopes {
            if !names.contains(&scope.name()) {
                names.push(scope.name());
            }
        }
        // Names and hashes hold nothing that TOML would want escaped.
        let mut entry =
            format!("[[keys]]\nname = \"{name}\"\nhash = \"{hash}\"\nscopes = [\"{}\"]\n", names.join("\", \""));
        for (member, prefix) in prefixes.named() {
            // A string in JSON without control characters is one in TOML, too (TOML 1.0, "Basic strings").
            entry.push_str(&format!("{member} = {}\n", serde_json::Value::from(prefix)));
        }
        Ok(Self { text, entry })
    }

    /// Returns the key itself, for its caller.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the lines for the keys file.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entry
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// The reason why a key can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NewKeyError {
    /// The name or the scopes are not allowed in a keys file.
    #[error("{0}")]
    Unfit(String),
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

/// The holder of a recognised key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Keys of one name are one caller, so that a second key, during an exchange, does not double its holder's limits.
    pub(crate) name: Arc<str>,
    scopes: Vec<Scope>,
    /// The records that the key may write.
    pub(crate) prefixes: WritePrefixes,
}

impl Holder {
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// The known keys.
#[derive(Debug)]
pub(crate) struct Keys(Vec<(Hash, Holder)>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    hash: String,
    scopes: Vec<Scope>,
    source_prefix: Option<String>,
    destination_prefix: Option<String>,
}

impl Keys {
    /// Reads the text of a keys file. The error never quotes the text, which may hold a key by mistake.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let at = before.map(|before| format!(" at line {}", before.matches('\n').count() + 1)).unwrap_or_default();
            format!("it is not as a keys file must be{at}: {}", quotes_removed(error.message()))
        })?;
        if file.keys.is_empty() {
            return Err("it holds no key; make one with: tallyhouse keys new".to_owned());
        }
        let mut keys: Vec<(Hash, Holder)> = Vec::with_capacity(file.keys.len());
        for (i, Entry { name, hash, scopes, source_prefix, destination_prefix }) in file.keys.into_iter().enumerate() {
            let fault = |fault: String| format!("its key number {} is not right: {fault}", i + 1);
            let prefixes = WritePrefixes::new(source_prefix.as_deref(), destination_prefix.as_deref());
            let prefixes = prefixes.map_err(|error| fault(error.to_string()))?;
            check(&name, &scopes, &prefixes).map_err(|error| fault(error.to_string()))?;
            let hash = read_hash(&hash).ok_or_else(|| {
                fault(format!("hash must be {HASH_PREFIX} and 64 hexadecimal digits, as keys new prints it"))
            })?;
            if keys.iter().any(|(known, _)| *known == hash) {
                return Err(fault("its hash stands there twice".to_owned()));
            }
            keys.push((hash, Holder { name: name.into(), scopes, prefixes }));
        }
        Ok(Self(keys))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the holder of the key with this hash. The time depends on the number of keys alone, so that it reveals
    /// nothing about a guess.
    pub(crate) fn of_hash(&self, hash: &Hash) -> Option<&Holder> {
        let mut found = None;
        for (known, holder) in &self.0 {
            if bool::from(known.ct_eq(hash)) {
                found = Some(holder);
            }
        }
        found
    }
}

/// Returns the hash of a key.
pub(crate) fn hash(key: &[u8]) -> Hash {
    blake3::hash(key).into()
}

/// Returns the kind of a fault and the expected form, never a value.
fn quotes_removed(message: &str) -> String {
    match message.split_once(", expected") {
        Some((_, expected)) => format!("expected{expected}"),
        None => message.lines().next().unwrap_or_default().to_owned(),
    }
}

fn check(name: &str, scopes: &[Scope], prefixes: &WritePrefixes) -> Result<(), NewKeyError> {
    let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > NAME_LEN_MAX || !name.bytes().all(fit) {
        let fault = format!("a name must be 1 to {NAME_LEN_MAX} letters, digits, dots, underscores and hyphens");
        return Err(NewKeyError::Unfit(fault));
    }
    if scopes.is_empty() {
        return Err(NewKeyError::Unfit("a key needs a scope: ingest, read or admin".to_owned()));
    }
    if let Some((member, _)) = prefixes.named().next()
        && scopes.iter().any(|scope| *scope != Scope::Ingest)
    {
        // What the other scopes are for shows or changes records of any source and destination.
        let fault = format!("a key with a {member} must have the scope ingest alone: the others are for all records");
        return Err(NewKeyError::Unfit(fault));
    }
    Ok(())
}

fn read_hash(text: &str) -> Option<Hash> {
    blake3::Hash::from_hex(text.strip_prefix(HASH_PREFIX)?).ok().map(Into::into)
}

#[cfg(test)]
mod tests;
