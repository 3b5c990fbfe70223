//! A pooler in transaction mode is refused at the start; one in session mode, and a proxy, are not.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tallyhouse_core::ports::PortErrorKind;
use tallyhouse_tests::servers::postgres::PostgresServer;

use crate::proxy::Proxy;
use crate::support::{database, repository};

/// A pooler as PgBouncer is with `pool_mode = transaction`: a client has a server connection for each transaction, the one
/// that was given back last. It lives as long as the process.
struct TransactionPooler {
    port: u16,
}

type Pool = Arc<Mutex<Vec<TcpStream>>>;

impl TransactionPooler {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pool = Pool::default();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let pool = Arc::clone(&pool);
                std::thread::spawn(move || serve(client?, server, &pool));
            }
        });
        Self { port }
    }
}

/// Serves a client until it leaves.
fn serve(mut client: TcpStream, server: u16, pool: &Pool) -> io::Result<()> {
    let mut startup = untyped(&mut client)?;
    // SSLRequest and GSSENCRequest: neither is spoken here. Their codes end in 0x162f and 0x1630.
    while startup.len() == 8 {
        client.write_all(b"N")?;
        startup = untyped(&mut client)?;
    }
    let mut backend = TcpStream::connect(("127.0.0.1", server))?;
    backend.write_all(&startup)?;
    let ready = answer(&mut backend, &mut client)?;
    pool.lock().unwrap().push(backend);
    client.write_all(&ready)?;
    let mut held: Option<TcpStream> = None;
    loop {
        let message = typed(&mut client)?;
        if message[0] == b'X' {
            return Ok(());
        }
        let mut backend = match held.take() {
            Some(backend) => backend,
            None => take(pool, server, &startup)?,
        };
        backend.write_all(&message)?;
        // The server answers a query, or the end of a series of messages.
        let ready = match message[0] {
            b'Q' | b'S' => answer(&mut backend, &mut client)?,
            _ => Vec::new(),
        };
        // It is free before the client learns that, so that the next query gets it.
        if ready.last() == Some(&b'I') {
            pool.lock().unwrap().push(backend);
        } else {
            held = Some(backend);
        }
        client.write_all(&ready)?;
    }
}

fn take(pool: &Pool, server: u16, startup: &[u8]) -> io::Result<TcpStream> {
    if let Some(backend) = pool.lock().unwrap().pop() {
        return Ok(backend);
    }
    let mut backend = TcpStream::connect(("127.0.0.1", server))?;
    backend.write_all(startup)?;
    answer(&mut backend, &mut io::sink())?;
    Ok(backend)
}

/// Passes an answer on but for its end (`ReadyForQuery`), which is returned: its last byte is the state of the transaction.
fn answer(backend: &mut TcpStream, client: &mut impl Write) -> io::Result<Vec<u8>> {
    loop {
        let message = typed(backend)?;
        if message[0] == b'Z' {
            return Ok(message);
        }
        client.write_all(&message)?;
    }
}

/// Reads a message with a type: PostgreSQL documentation, "Message Formats".
fn typed(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut kind = [0; 1];
    from.read_exact(&mut kind)?;
    Ok([kind.to_vec(), untyped(from)?].concat())
}

fn untyped(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut message = length.to_vec();
    message.resize(u32::from_be_bytes(length) as usize, 0);
    from.read_exact(&mut message[4..])?;
    Ok(message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_is_refused_at_the_start() {
    let server = PostgresServer::shared().port();
    let url = database().await;
    let through = |port: u16| repository(&url.replace(&format!(":{server}/"), &format!(":{port}/")));
    let pooled = through(TransactionPooler::before(server).port);
    for _ in 0..3 {
        for refused in [pooled.migrate().await.map(drop), pooled.check_schema().await] {
            let error = refused.unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(error.kind(), PortErrorKind::Misuse, "{cause}");
            assert!(cause.contains("pool_mode = transaction"), "{cause}");
        }
    }
    // A proxy that passes connections on leaves sessions alone.
    repository(&Proxy::before(server).await.url(&url)).migrate().await.unwrap();
}
