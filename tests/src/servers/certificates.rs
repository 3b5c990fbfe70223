//! Certificates for 127.0.0.1 and the authority that signs them, made by the `openssl` command.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The certificate of the authority.
pub const CA_FILE: &str = "ca.crt";

/// What keys are made of.
const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// Writes a new authority into a folder: `ca.crt` and `ca.key`.
///
/// # Errors
/// There is no `openssl`, or it fails.
pub fn authority(dir: &Path) -> Result<()> {
    let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", CA_FILE];
    openssl(dir, &[&authority[..], &KEY].concat())
}

/// Writes a certificate of the folder's authority, and its key: `NAME.crt` and `NAME.key`.
///
/// # Errors
/// There is no authority or no `openssl`, or it fails.
pub fn issue(dir: &Path, name: &str) -> Result<()> {
    let [cert, key, csr, ext] = ["crt", "key", "csr", "ext"].map(|extension| format!("{name}.{extension}"));
    let request = ["req", "-subj", "/CN=127.0.0.1", "-keyout", &key, "-out", &csr];
    openssl(dir, &[&request[..], &KEY].concat())?;
    // Without the version 3 extensions, rustls does not take it for a server's certificate.
    fs::write(dir.join(&ext), "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")?;
    let signing = ["x509", "-req", "-days", "2", "-in", &csr, "-CA", CA_FILE, "-CAkey", "ca.key"];
    openssl(dir, &[&signing[..], &["-CAcreateserial", "-extfile", &ext, "-out", &cert]].concat())
}

fn openssl(dir: &Path, args: &[&str]) -> Result<()> {
    let output = Command::new("openssl").args(args).current_dir(dir).output().context("openssl")?;
    ensure!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
