//! The TLS handshake of one connection: outside the accept loop, and with a time-out.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::serving::connection::serve::Shared;
use crate::serving::connection::tls::TlsIdentity;

/// Secures a connection with the certificate in force; `None` if the handshake failed, and the connection is closed.
///
/// A failed handshake is logged at `debug` only: otherwise any client that can connect could fill the log.
pub(crate) async fn secure<R>(
    socket: TcpStream,
    peer: SocketAddr,
    identity: &TlsIdentity,
    shared: &Shared<R>,
) -> Option<TlsStream<TcpStream>> {
    let accepting = TlsAcceptor::from(identity.config()).accept(socket);
    let accepted = tokio::select! {
        accepted = timeout(shared.settings.handshake_timeout, accepting) => accepted,
        // The client has sent no request yet, so nothing is lost.
        () = shared.drain.cancelled() => return None,
        () = shared.cut.cancelled() => return None,
    };
    match accepted {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_elapsed) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
    None
}
