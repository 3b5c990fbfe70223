//! A proxy before the server that counts round trips: how often the client speaks after the server has answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Count {
    round_trips: AtomicU64,
    /// Whether the server was the last to speak.
    answered: AtomicBool,
    /// Whether its next answer is lost, and with it the connection.
    losing: AtomicBool,
}

/// The counting proxy. It lives as long as its runtime, and is meant for one connection at a time.
pub(crate) struct Proxy {
    address: SocketAddr,
    count: Arc<Count>,
}

impl Proxy {
    /// Begins to pass connections on to a port of this machine.
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(Count { answered: AtomicBool::new(true), ..Count::default() });
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                server.set_nodelay(true).unwrap();
                client.set_nodelay(true).unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (up, down) = (Arc::clone(&counted), Arc::clone(&counted));
                tokio::spawn(pass(from_client, to_server, move || {
                    if up.answered.swap(false, Ordering::SeqCst) {
                        up.round_trips.fetch_add(1, Ordering::SeqCst);
                    }
                    true
                }));
                tokio::spawn(pass(from_server, to_client, move || {
                    down.answered.store(true, Ordering::SeqCst);
                    !down.losing.swap(false, Ordering::SeqCst)
                }));
            }
        });
        Self { address, count }
    }

    /// Returns the URL of the server behind, by way of the proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        let (begin, rest) = url.split_once('@').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{begin}@{}/{database}", self.address)
    }

    /// Has the next thing that the server says, and the way back for all that would follow, lost.
    pub(crate) fn lose_the_next_answer(&self) {
        self.count.losing.store(true, Ordering::SeqCst);
    }

    /// Returns how many round trips there were so far.
    pub(crate) fn round_trips(&self) -> u64 {
        self.count.round_trips.load(Ordering::SeqCst)
    }
}

/// Passes bytes on, as long as `spoken` says so.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, spoken: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                // Before it is passed on, so that the answer can't come first.
                if !spoken() || to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
