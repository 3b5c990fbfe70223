//! A client that sends arbitrary bytes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
    /// Read, but not yet taken.
    read: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(addr).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until this text has come, and takes all up to its end.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                if let Some(at) = self.read.windows(text.len()).position(|window| window == text.as_bytes()) {
                    let taken = self.read.drain(..at + text.len()).collect();
                    return String::from_utf8(taken).unwrap();
                }
                let mut buf = [0; 4096];
                let read = timeout(PATIENCE, self.socket.read(&mut buf)).await;
                let so_far = String::from_utf8_lossy(&self.read).into_owned();
                let n = read.unwrap_or_else(|_| panic!("{caller}: {text:?} did not come, but {so_far:?}"));
                let n = n.unwrap_or_else(|error| panic!("{caller}: {error} after {so_far:?}"));
                assert!(n > 0, "{caller}: the end came instead of {text:?}, after {so_far:?}");
                self.read.extend_from_slice(&buf[..n]);
            }
        }
    }

    /// Reads one answer with a `Content-Length`: its head and its body.
    pub(crate) async fn answer(&mut self) -> (String, String) {
        let head = self.until("\r\n\r\n").await;
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        while self.read.len() < length {
            let mut buf = [0; 4096];
            let n = timeout(PATIENCE, self.socket.read(&mut buf)).await.unwrap().unwrap();
            assert!(n > 0, "the body broke off");
            self.read.extend_from_slice(&buf[..n]);
        }
        let body = self.read.drain(..length).collect();
        (head, String::from_utf8(body).unwrap())
    }

    /// Reads until the other side closes or resets the connection, and returns what came.
    pub(crate) async fn rest(&mut self) -> String {
        let reading = async {
            let mut buf = [0; 4096];
            while let Ok(n @ 1..) = self.socket.read(&mut buf).await {
                self.read.extend_from_slice(&buf[..n]);
            }
        };
        timeout(PATIENCE, reading).await.expect("the connection stays open");
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}

/// Sends bytes on a connection of their own, and returns all that is answered.
pub(crate) async fn exchange(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut raw = Raw::connect(addr).await;
    raw.send(bytes).await;
    raw.rest().await
}
