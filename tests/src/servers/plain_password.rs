//! A server that passes for Postgres, refuses TLS, and asks for the password in clear text: an impostor that collects
//! passwords.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow, ensure};

/// What ends the server. No client of Postgres begins so.
const STOP: &[u8] = b"stop";

/// The server. It is heard out once.
#[derive(Debug)]
pub struct PlainPasswordServer {
    port: u16,
    heard: JoinHandle<Vec<u8>>,
}

impl PlainPasswordServer {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start() -> anyhow::Result<Self> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let port = server.local_addr()?.port();
        Ok(Self { port, heard: thread::spawn(move || listen(&server)) })
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server, and says whether a client has sent this text.
    ///
    /// # Errors
    /// No client has connected.
    pub fn has_heard(self, text: &str) -> anyhow::Result<bool> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?.write_all(STOP)?;
        let heard = self.heard.join().map_err(|_| anyhow!("the server panicked"))?;
        ensure!(!heard.is_empty(), "no client has begun");
        Ok(heard.windows(text.len()).any(|part| part == text.as_bytes()))
    }
}

/// Answers like a server without TLS that wants a plain password (PostgreSQL documentation, "Message Flow"). Returns all
/// that clients have sent.
fn listen(server: &TcpListener) -> Vec<u8> {
    let mut heard = Vec::new();
    for stream in server.incoming().flatten() {
        if serve(stream, &mut heard).is_none() {
            break;
        }
    }
    heard
}

/// Serves a connection; `None` for the one that ends the server.
fn serve(mut stream: TcpStream, heard: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).unwrap_or_default();
        let part = &part[..read];
        if part == STOP {
            return None;
        }
        if part.is_empty() {
            return Some(());
        }
        heard.extend_from_slice(part);
        // A request for TLS or GSSAPI is eight bytes; a start is longer.
        let answer: &[u8] = if read == 8 { b"N" } else { b"R\0\0\0\x08\0\0\0\x03" };
        if stream.write_all(answer).is_err() {
            return Some(());
        }
    }
}
