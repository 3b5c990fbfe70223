//! A certificate for 127.0.0.1 and the authority that signed it, made by the `openssl` command.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The certificate of the authority.
pub(super) const CA_FILE: &str = "ca.crt";

/// What the server needs to know of the files.
pub(super) const SETTINGS: [&str; 4] =
    ["tls-cert-file server.crt", "tls-key-file server.key", "tls-ca-cert-file ca.crt", "tls-auth-clients no"];

/// Writes the certificates and the keys into a folder.
pub(super) fn write(dir: &Path) -> Result<()> {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", CA_FILE];
    openssl(dir, &[&authority[..], &key].concat())?;
    let request = ["req", "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr"];
    openssl(dir, &[&request[..], &key].concat())?;
    // Without the version 3 extensions, rustls does not take it for a server's certificate.
    fs::write(dir.join("server.ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")?;
    let signing = ["x509", "-req", "-days", "2", "-in", "server.csr", "-CA", CA_FILE, "-CAkey", "ca.key"];
    openssl(dir, &[&signing[..], &["-CAcreateserial", "-extfile", "server.ext", "-out", "server.crt"]].concat())
}

fn openssl(dir: &Path, args: &[&str]) -> Result<()> {
    let output = Command::new("openssl").args(args).current_dir(dir).output().context("openssl")?;
    ensure!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
