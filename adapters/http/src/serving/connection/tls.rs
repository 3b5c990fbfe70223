//! The server's TLS certificate and key, reloaded when their files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ALL_VERSIONS, Error, InconsistentKeys, ServerConfig};

use super::pem::pem_fault;
use crate::file_watcher;

/// The application protocols behind TLS, the preferred first (RFC 7301, RFC 9113).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate or its key can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {what} file {path} can't be used: {fault}")]
pub struct TlsFilesError {
    what: &'static str,
    path: String,
    fault: String,
}

/// The certificate and key in force: the last valid pair of two PEM files.
pub struct TlsIdentity {
    cert_file: PathBuf,
    key_file: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
    polls: Mutex<Polls>,
    /// Whether the pair was invalid at the last check.
    reload_fails: AtomicBool,
}

/// The files at earlier polls, so that each change is checked and logged once. Only hashes are kept, not the key.
#[derive(Debug)]
struct Polls {
    last_checked: blake3::Hash,
    last: blake3::Hash,
}

/// The current content of the files.
struct Pair {
    cert: Result<Vec<u8>, String>,
    key: Result<Vec<u8>, String>,
}

impl TlsIdentity {
    /// Reads a certificate, followed by its intermediates, and its key. A serving [`crate::HttpServer`] with this pair
    /// follows the files' changes.
    ///
    /// # Errors
    /// A file can't be read or is malformed, others may write to the key, or certificate and key do not match.
    pub fn open(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Result<Self, TlsFilesError> {
        let (cert_file, key_file) = (cert_file.into(), key_file.into());
        let pair = Pair::read(&cert_file, &key_file);
        let config = RwLock::new(Arc::new(pair.config(&cert_file, &key_file)?));
        let polls = Mutex::new(Polls { last_checked: pair.hash(), last: pair.hash() });
        file_watcher::warn_of_readers(&key_file, "key file of TLS");
        Ok(Self { cert_file, key_file, config, polls, reload_fails: AtomicBool::new(false) })
    }

    /// Returns whether the files have changed and are invalid, so that the certificate before the change is still in
    /// force.
    #[must_use]
    pub fn reload_fails(&self) -> bool {
        self.reload_fails.load(Ordering::Relaxed)
    }

    /// Returns the configuration of new connections.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Polls the files, and loads them if they have changed and are valid. Invalid files leave the old pair in force.
    /// Two files can't be replaced atomically, so a change is checked only after two polls have found the same content.
    pub(crate) fn refresh(&self) {
        let pair = Pair::read(&self.cert_file, &self.key_file);
        let now = pair.hash();
        {
            let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
            let rests = polls.last == now;
            polls.last = now;
            if polls.last_checked == now || !rests {
                return;
            }
            polls.last_checked = now;
        }
        let config = pair.config(&self.cert_file, &self.key_file);
        self.reload_fails.store(config.is_err(), Ordering::Relaxed);
        match config {
            Ok(config) => {
                file_watcher::warn_of_readers(&self.key_file, "key file of TLS");
                tracing::info!(cert_file = %self.cert_file.display(), "the TLS certificate was read again");
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
            }
            Err(error) => tracing::error!(%error, "the TLS certificate stays as it was"),
        }
    }

    /// Follows the changes of the files, for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        file_watcher::follow("TLS files", move || self.refresh()).await;
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TlsIdentity");
        debug.field("cert_file", &self.cert_file).field("key_file", &self.key_file).finish_non_exhaustive()
    }
}

impl Pair {
    fn read(cert_file: &Path, key_file: &Path) -> Self {
        Self { cert: file_watcher::read(cert_file), key: file_watcher::read_protected(key_file) }
    }

    fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for file in [&self.cert, &self.key] {
            let (mark, bytes) = match file {
                Ok(bytes) => (b'+', bytes.as_slice()),
                Err(fault) => (b'-', fault.as_bytes()),
            };
            hasher.update(&[mark]).update(blake3::hash(bytes).as_bytes());
        }
        hasher.finalize()
    }

    /// Makes a server configuration from the files.
    fn config(&self, cert_file: &Path, key_file: &Path) -> Result<ServerConfig, TlsFilesError> {
        let at = |what, path: &Path| {
            let path = path.display().to_string();
            move |fault| TlsFilesError { what, path, fault }
        };
        let chain = self.chain().map_err(at("certificate", cert_file))?;
        // The provider is chosen explicitly: rustls can't choose if two are compiled into one program.
        let provider = ring::default_provider();
        let key = self.private_key().map_err(at("key", key_file))?;
        let key = provider.key_provider.load_private_key(key).map_err(|_| {
            at("key", key_file)(
                "its key is of no kind that is known here: RSA, ECDSA on P-256 or P-384, Ed25519".into(),
            )
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                let fault = format!("it is not the key of the certificate in {}", cert_file.display());
                return Err(at("key", key_file)(fault));
            }
            Err(error) => {
                return Err(at("certificate", cert_file)(format!("its first certificate is broken: {error}")));
            }
        }
        let config = ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(ALL_VERSIONS);
        let config = config.expect("the provider knows TLS 1.2 and 1.3").with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let pem = self.cert.as_ref().map_err(Clone::clone)?;
        pem_fault(pem).map_or(Ok(()), |fault| Err(fault.to_owned()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match chain {
            Ok(chain) if chain.is_empty() => Err("it holds no certificate in PEM".to_owned()),
            Ok(chain) => Ok(chain),
            Err(_) => Err("it is not PEM".to_owned()),
        }
    }

    /// The fault quotes nothing of the file, which holds a secret.
    fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        let pem = self.key.as_ref().map_err(Clone::clone)?;
        pem_fault(pem).map_or(Ok(()), |fault| Err(fault.to_owned()))?;
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
            "it holds no private key in PEM that can be read: PKCS#8, PKCS#1 or SEC1, and not encrypted".to_owned()
        })
    }
}

#[cfg(test)]
mod tests;
