//! A TCP proxy that stands between a program and a server, and does to their connections what networks do.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

/// How many bytes are passed on at a time: few, so that a narrow line is narrow evenly.
const CHUNK_BYTES: usize = 8 * 1024;

/// How the proxy treats what goes through it, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Everything passes at once.
    Free,
    /// Everything passes this much later.
    Slow(Duration),
    /// So many bytes pass each second, in each direction of each connection.
    Narrow(u32),
    /// Nothing passes and nothing is closed: a black hole. What was sent waits, as a network repeats it.
    Held,
    /// New connections are closed at once.
    Refused,
}

/// A side of a connection through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The program that connected.
    Client,
    /// The server behind the proxy.
    Server,
}

/// What is done to the connections that are open, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    Cut,
    /// This side is told that nothing more comes; the other direction stays open.
    Half(Side),
}

/// The proxy. Dropped, it takes no new connections and cuts those that are open.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    flow: watch::Sender<Flow>,
    blow: watch::Sender<Blow>,
}

impl Proxy {
    /// Begins to pass connections on to a port of this machine.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn before(port: u16, runtime: &Handle) -> Self {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (flow, flows) = watch::channel(Flow::Free);
        let (blow, blows) = watch::channel(Blow::Cut);
        runtime.spawn(accept(listener, port, flows, blows));
        Self { address, flow, blow }
    }

    /// Returns the port that stands for the server's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets how everything is treated from now on, open connections too.
    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// Closes all open connections at both ends.
    pub fn cut(&self) {
        self.blow.send_replace(Blow::Cut);
    }

    /// Tells one side of all open connections that nothing more comes, and leaves the other direction open.
    pub fn half_close(&self, side: Side) {
        self.blow.send_replace(Blow::Half(side));
    }
}

async fn accept(listener: TcpListener, port: u16, mut flows: watch::Receiver<Flow>, mut blows: watch::Receiver<Blow>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                if *flows.borrow() != Flow::Refused {
                    blows.mark_unchanged();
                    tokio::spawn(serve(client, port, flows.clone(), blows.clone()));
                }
            }
            gone = flows.changed() => if gone.is_err() { return },
        }
    }
}

/// Serves one connection until both directions have ended, or it is cut.
async fn serve(client: TcpStream, port: u16, flows: watch::Receiver<Flow>, blows: watch::Receiver<Blow>) {
    let mut cuts = blows.clone();
    let work = async {
        if !is_open(&mut flows.clone()).await {
            return;
        }
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
        if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
            return;
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(
            pass(from_client, to_server, Side::Server, flows.clone(), blows.clone()),
            pass(from_server, to_client, Side::Client, flows, blows),
        );
    };
    let cut = async {
        // Also ends where the proxy is dropped.
        while cuts.changed().await.is_ok() {
            if *cuts.borrow_and_update() == Blow::Cut {
                return;
            }
        }
    };
    tokio::select! { () = work => {}, () = cut => {} }
}

/// Passes on what comes from one side to the side `to`, until that ends, or is told that it does.
async fn pass(
    mut from: OwnedReadHalf,
    mut into: OwnedWriteHalf,
    to: Side,
    mut flows: watch::Receiver<Flow>,
    mut blows: watch::Receiver<Blow>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            Ok(()) = blows.changed() => match *blows.borrow_and_update() {
                Blow::Half(side) if side == to => Ok(0),
                Blow::Half(_) | Blow::Cut => continue,
            },
        };
        let length = read.unwrap_or(0);
        if !is_open(&mut flows).await {
            return;
        }
        if length == 0 {
            // The other side has gone, or is made to look so; one that has gone too needs no farewell.
            drop(into.shutdown().await);
            return;
        }
        let wait = match *flows.borrow() {
            Flow::Slow(later) => later,
            Flow::Narrow(rate) => Duration::from_secs(1) * u32::try_from(length).unwrap_or(u32::MAX) / rate.max(1),
            Flow::Free | Flow::Held | Flow::Refused => Duration::ZERO,
        };
        if !wait.is_zero() {
            sleep(wait).await;
        }
        if into.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits until something may pass; `false` where the proxy has gone.
async fn is_open(flows: &mut watch::Receiver<Flow>) -> bool {
    flows.wait_for(|flow| *flow != Flow::Held).await.is_ok()
}

#[cfg(test)]
mod tests;
