//! The keys file, read again whenever it changes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::access::keys::Keys;
use crate::files;

/// A keys file can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the keys file {path} can't be used: {fault}")]
pub struct KeysFileError {
    path: String,
    fault: String,
}

/// The API keys in force: those of a file, as it was when it was last good.
#[derive(Debug)]
pub struct KeyRing {
    path: PathBuf,
    keys: RwLock<Arc<Keys>>,
    /// The file's content at the last poll, so that each change is judged and logged once.
    seen: Mutex<Result<String, String>>,
    /// Whether the file, as it was at the last poll, can't be used.
    reload_fails: AtomicBool,
}

impl KeyRing {
    /// Reads the keys from a file. An [`crate::HttpServer`] that is given them follows its changes while it serves.
    ///
    /// # Errors
    /// The file can't be read, is not as a keys file must be, holds no key, or others may write to it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeysFileError> {
        let path = path.into();
        let error = |fault| KeysFileError { path: path.display().to_string(), fault };
        let text = read(&path).map_err(error)?;
        let keys = Keys::parse(&text).map_err(error)?;
        files::warn_of_readers(&path, "keys file");
        Ok(Self {
            path,
            keys: RwLock::new(Arc::new(keys)),
            seen: Mutex::new(Ok(text)),
            reload_fails: AtomicBool::new(false),
        })
    }

    /// Returns whether the file has changed and can't be used, so that the keys are still those before.
    #[must_use]
    pub fn reload_fails(&self) -> bool {
        self.reload_fails.load(Ordering::Relaxed)
    }

    /// Returns the keys in force.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Polls the file, and loads it if it has changed and is valid. A broken file leaves the keys as they are: a typing
    /// error must not lock all callers out.
    pub(crate) fn refresh(&self) {
        let now = read(&self.path);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        let keys = now.as_deref().map_err(Clone::clone).and_then(Keys::parse);
        *seen = now;
        self.reload_fails.store(keys.is_err(), Ordering::Relaxed);
        let path = self.path.display();
        match keys {
            Ok(keys) => {
                files::warn_of_readers(&self.path, "keys file");
                tracing::info!(%path, keys = keys.len(), "the API keys were read again");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(fault) => tracing::error!(%path, fault, "the keys file can't be used; the keys stay as they were"),
        }
    }

    /// Follows the changes of the file, for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        files::follow("keys file", move || self.refresh()).await;
    }
}

fn read(path: &Path) -> Result<String, String> {
    String::from_utf8(files::read_protected(path)?).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests;
