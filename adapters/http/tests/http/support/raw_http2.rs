//! An HTTP/2 client that opens its windows as it likes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use hyper::{Request, Response};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct RawHttp2 {
    sender: SendRequest<Bytes>,
    /// Ends when the connection is closed; answers pings until then.
    connection: JoinHandle<()>,
}

/// How an answer ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Whole,
    Reset(h2::Reason),
    Broken,
}

impl RawHttp2 {
    /// Connects with this window for each stream.
    pub(crate) async fn connect(addr: SocketAddr, window: u32) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap(), window).await
    }

    /// Connects from an address of this machine.
    pub(crate) async fn connect_from(from: &str, addr: SocketAddr, window: u32) -> Self {
        Self::over(connect_from(from, addr).await, window).await
    }

    async fn over(socket: TcpStream, window: u32) -> Self {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(1 << 30);
        let (sender, connection) = builder.handshake(socket).await.unwrap();
        let connection = tokio::spawn(async move { _ = connection.await });
        Self { sender, connection }
    }

    /// Sends a request; its body goes on through the stream unless it ends here.
    pub(crate) async fn send(
        &mut self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(Response<RecvStream>, SendStream<Bytes>), h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        let (response, body) = sender.send_request(request, ends)?;
        Ok((timeout(PATIENCE, response).await.expect("no answer begins")?, body))
    }

    /// Begins a request with a body, and does not wait for the answer.
    pub(crate) async fn begin(&mut self, request: Request<()>) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let mut sender = self.sender.clone().ready().await.unwrap();
        sender.send_request(request, false).unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Response<RecvStream>, h2::Error> {
        let request = Request::get(format!("http://localhost{path}")).body(()).unwrap();
        Ok(self.send(request, true).await?.0)
    }

    /// Waits until the connection is closed.
    pub(crate) async fn closed(self) {
        drop(self.sender);
        timeout(PATIENCE, self.connection).await.expect("the connection stays open").unwrap();
    }
}

/// Opens a connection from an address of this machine.
pub(crate) async fn connect_from(from: &str, addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(addr).await.unwrap()
}

/// Reads an answer to its end, and opens the window by so much, which is no more than the window, after each pause.
pub(crate) async fn read_slowly(response: Response<RecvStream>, bytes: usize, pause: Duration) -> Ended {
    let mut body = response.into_body();
    let mut owed = 0;
    let reading = async {
        while let Some(data) = body.data().await {
            match data {
                Ok(data) => owed += data.len(),
                Err(error) if error.is_reset() => return Ended::Reset(error.reason().unwrap()),
                Err(_) => return Ended::Broken,
            }
            while owed >= bytes {
                sleep(pause).await;
                owed -= bytes;
                // The stream may have been reset meanwhile, which the next read says.
                _ = body.flow_control().release_capacity(bytes);
            }
        }
        Ended::Whole
    };
    timeout(PATIENCE, reading).await.expect("the answer neither ends nor breaks off")
}
