//! The keys file, reloaded whenever it changes, and the grants of its keys.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::file_watcher;
use crate::keys::write_prefixes::WritePrefixes;
use crate::keys::{Hash, Holder, Keys, Scope};

/// A keys file can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the keys file {path} can't be used: {fault}")]
pub struct KeysFileError {
    path: String,
    fault: String,
}

/// The API keys in force: those of the last valid version of the file.
#[derive(Debug)]
pub struct KeyRing {
    path: PathBuf,
    keys: watch::Sender<Arc<Keys>>,
    /// The file's content at the last poll, so that each change is checked and logged once.
    last_content: Mutex<Result<String, String>>,
    /// Whether the file was invalid at the last poll.
    reload_fails: AtomicBool,
}

impl KeyRing {
    /// Reads the keys from a file. A serving [`crate::HttpServer`] with these keys follows the file's changes.
    ///
    /// # Errors
    /// The file can't be read, is malformed, holds no key, or others may write to it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeysFileError> {
        let path = path.into();
        let error = |fault| KeysFileError { path: path.display().to_string(), fault };
        let text = read(&path).map_err(error)?;
        let keys = Keys::parse(&text).map_err(error)?;
        file_watcher::warn_of_readers(&path, "keys file");
        Ok(Self {
            path,
            keys: watch::Sender::new(Arc::new(keys)),
            last_content: Mutex::new(Ok(text)),
            reload_fails: AtomicBool::new(false),
        })
    }

    /// Returns whether the file has changed and is invalid, so that the keys before the change are still in force.
    #[must_use]
    pub fn reload_fails(&self) -> bool {
        self.reload_fails.load(Ordering::Relaxed)
    }

    /// Returns the keys in force.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.borrow())
    }

    /// Returns the grant of a key for a call that needs this scope; `None` stands for any scope.
    pub(crate) fn grant(&self, key: Hash, scope: Option<Scope>) -> Grant {
        Grant { keys: self.keys.subscribe(), key, scope }
    }

    /// Polls the file, and loads it if it has changed and is valid. An invalid file leaves the keys in force: a typing
    /// error must not lock all callers out.
    pub(crate) fn refresh(&self) {
        let now = read(&self.path);
        let mut last_content = self.last_content.lock().unwrap_or_else(PoisonError::into_inner);
        if *last_content == now {
            return;
        }
        let keys = now.as_deref().map_err(Clone::clone).and_then(Keys::parse);
        *last_content = now;
        self.reload_fails.store(keys.is_err(), Ordering::Relaxed);
        let path = self.path.display();
        match keys {
            Ok(keys) => {
                file_watcher::warn_of_readers(&self.path, "keys file");
                tracing::info!(%path, keys = keys.len(), "the API keys were read again");
                self.keys.send_replace(Arc::new(keys));
            }
            Err(fault) => tracing::error!(%path, fault, "the keys file can't be used; the keys stay as they were"),
        }
    }

    /// Follows the changes of the file, for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        file_watcher::follow("keys file", move || self.refresh()).await;
    }
}

/// The right to a call in flight. It lasts as long as the keys file has the key with the scope.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    keys: watch::Receiver<Arc<Keys>>,
    key: Hash,
    scope: Option<Scope>,
}

impl Grant {
    /// Waits until the key is removed, or loses the scope. Cancelling the call loses nothing.
    pub(crate) async fn revoked(&mut self) {
        let Self { keys, key, scope } = self;
        if keys.wait_for(|keys| holder(keys, key, *scope).is_none()).await.is_err() {
            // Without a ring the keys change no more.
            pending().await
        }
    }

    /// Returns the records that the key may write as the keys file is now; `None` once the grant is revoked.
    fn write_prefixes(&self) -> Option<WritePrefixes> {
        holder(&self.keys.borrow(), &self.key, self.scope).map(|holder| holder.prefixes.clone())
    }
}

/// Returns the holder of a key, as long as it has the scope.
fn holder<'k>(keys: &'k Keys, key: &Hash, scope: Option<Scope>) -> Option<&'k Holder> {
    keys.of_hash(key).filter(|holder| scope.is_none_or(|scope| holder.may(scope)))
}

/// Waits until a grant is revoked: for ever where a call needs none.
pub(crate) async fn revoked(grant: Option<&mut Grant>) {
    match grant {
        Some(grant) => grant.revoked().await,
        None => pending().await,
    }
}

/// Returns the records that a caller may write now: all of them where a call needs no grant, and `None` once its grant is
/// revoked.
pub(crate) fn write_prefixes(grant: Option<&Grant>) -> Option<WritePrefixes> {
    grant.map_or(Some(WritePrefixes::default()), Grant::write_prefixes)
}

fn read(path: &Path) -> Result<String, String> {
    String::from_utf8(file_watcher::read_protected(path)?).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests;
