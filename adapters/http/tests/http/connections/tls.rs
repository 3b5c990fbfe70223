//! HTTPS: the handshake, who may hold it up, and certificates that change while the service runs.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tallyhouse_http::{HttpSettings, TlsIdentity};
use tallyhouse_tests::servers::certificates::{self, CA_FILE};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};

use crate::support::raw::{Raw, exchange};
use crate::support::service::{Plan, Service, various};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client asks on a connection that is to go on.
const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// What a client speaks behind TLS, as it names it in the handshake.
type Protocols = &'static [&'static [u8]];

/// A service behind TLS, with the folder of its certificates.
struct Secured {
    service: Service,
    folder: TempDir,
}

impl Secured {
    async fn start(http: HttpSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificates::authority(folder.path()).unwrap();
        certificates::issue(folder.path(), "server").unwrap();
        let file = |name: &str| folder.path().join(name);
        let tls = Some(TlsIdentity::open(file("server.crt"), file("server.key")).unwrap());
        let mut service = Plan { tls, ..Plan::http(http) }.start().await;
        let authority = reqwest::Certificate::from_pem(&fs::read(file(CA_FILE)).unwrap()).unwrap();
        service.client = reqwest::Client::builder().add_root_certificate(authority).build().unwrap();
        Self { service, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.file(name)).unwrap()
    }

    /// Connects as a client that trusts the authority, and takes these versions of TLS and these protocols.
    async fn connect(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate(CA_FILE)).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let socket = TcpStream::connect(self.service.addr).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }

    async fn connected(&self) -> TlsStream<TcpStream> {
        self.connect(&[&TLS13], &[b"http/1.1"]).await.unwrap()
    }
}

/// Asks on a connection, and leaves it open.
async fn is_served(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(HEALTHZ.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        let mut buf = [0; 1024];
        let n = timeout(PATIENCE, stream.read(&mut buf)).await.unwrap().unwrap();
        assert!(n > 0, "the connection is closed after {:?}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buf[..n]);
    }
    assert!(read.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&read));
}

/// Asks over the negotiated version of HTTP.
async fn ask(stream: TlsStream<TcpStream>) -> Response<Incoming> {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let request = Request::get("https://127.0.0.1/healthz").header("host", "127.0.0.1");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    if is_http2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }
}

#[tokio::test]
async fn both_versions_of_tls_carry_both_versions_of_http() {
    let secured = Secured::start(HttpSettings::default()).await;
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let table: [(Protocols, Option<&[u8]>); 4] = [
            (&[b"h2", b"http/1.1"], Some(b"h2")),
            (&[b"http/1.1", b"h2"], Some(b"h2")),
            (&[b"http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ];
        for (offered, agreed) in table {
            let stream = secured.connect(&[version], offered).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
            assert_eq!(stream.get_ref().1.protocol_version(), Some(name));
            assert_eq!(ask(stream).await.status(), 200, "{name:?} {agreed:?}");
        }
        assert!(secured.connect(&[version], &[b"smtp"]).await.is_err(), "what is not spoken is not agreed on");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_cut_without_an_answer() {
    let secured = Secured::start(HttpSettings::default()).await;
    for bytes in [HEALTHZ.as_bytes(), b"\x00\x01\x02\x03\x04\x05\x06", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let answer = exchange(secured.service.addr, bytes).await;
        assert!(!answer.contains("HTTP/"), "{answer:?}");
    }
    is_served(&mut secured.connected().await).await;
}

#[tokio::test]
async fn a_silent_handshake_is_cut_and_holds_up_nobody() {
    let http = HttpSettings { handshake_timeout: Duration::from_millis(300), ..HttpSettings::default() };
    let secured = Secured::start(http).await;
    // Nothing at all, the head of a record, and a record that never ends.
    let starts = [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"];
    let mut silent = Vec::new();
    for start in starts {
        let mut raw = Raw::connect(secured.service.addr).await;
        raw.send(start).await;
        silent.push(raw);
    }
    is_served(&mut secured.connected().await).await;
    for raw in &mut silent {
        assert_eq!(raw.rest().await, "");
    }
}

#[tokio::test]
async fn handshakes_that_come_to_nothing_count_among_the_connections() {
    let handshake_timeout = Duration::from_millis(300);
    let http = HttpSettings { handshake_timeout, connections_max: 2, ..HttpSettings::default() };
    let secured = Secured::start(http).await;
    let began = tokio::time::Instant::now();
    let mut silent = [Raw::connect(secured.service.addr).await, Raw::connect(secured.service.addr).await];
    // There is no place for other requests than probes until those two are cut.
    let mut third = secured.connected().await;
    third.write_all(b"GET /v1/records HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    third.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    assert!(began.elapsed() >= handshake_timeout - Duration::from_millis(50), "{:?}", began.elapsed());
    for raw in &mut silent {
        assert_eq!(raw.rest().await, "");
    }
}

#[tokio::test]
async fn a_stop_waits_for_no_handshake() {
    let http = HttpSettings { handshake_timeout: Duration::from_secs(600), ..HttpSettings::default() };
    let Secured { service, .. } = Secured::start(http).await;
    let mut silent = Raw::connect(service.addr).await;
    service.stop.cancel();
    timeout(PATIENCE, service.served).await.expect("the stop hangs").unwrap();
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn a_client_that_is_silent_after_the_handshake_or_reads_nothing_is_cut() {
    let http = HttpSettings {
        head_timeout: Duration::from_millis(200),
        stall_timeout: Duration::from_millis(300),
        ..HttpSettings::default()
    };
    let secured = Secured::start(http).await;
    let mut silent = secured.connected().await;
    let ended = timeout(PATIENCE, silent.read(&mut [0; 16])).await.expect("it is never cut");
    assert!(!ended.is_ok_and(|n| n > 0));

    secured.service.store_all(&various(5_000)).await;
    let mut stream = secured.connected().await;
    stream.write_all("GET /v1/aggregates HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(50).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut read = Vec::new();
    // The end comes without a goodbye, which rustls reports as an error.
    let ended = timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("it is never cut");
    assert!(ended.is_err(), "a connection that is cut says no goodbye");
    let whole = String::from_utf8_lossy(&read).matches("\"groupCount\"").count();
    assert!(whole < 50, "all {whole} answers were kept for a client that did not read");
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_while_an_old_connection_goes_on() {
    let secured = Secured::start(HttpSettings::default()).await;
    let mut old = secured.connected().await;
    is_served(&mut old).await;
    certificates::issue(secured.folder.path(), "renewed").unwrap();
    fs::copy(secured.file("renewed.crt"), secured.file("server.crt")).unwrap();
    fs::copy(secured.file("renewed.key"), secured.file("server.key")).unwrap();
    let renewed = secured.certificate("renewed.crt");
    let presented = async {
        loop {
            let mut stream = secured.connected().await;
            is_served(&mut stream).await;
            if stream.get_ref().1.peer_certificates() == Some(std::slice::from_ref(&renewed)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, presented).await.expect("the new certificate never comes");
    is_served(&mut old).await;
}

#[tokio::test]
async fn browsers_are_told_to_stay_with_https() {
    let secured = Secured::start(HttpSettings::default()).await;
    for (path, status) in [("/healthz", 200), ("/v1/records", 200), ("/nothing", 404)] {
        let answer = secured.service.get(path).await;
        assert_eq!((answer.status, answer.header("strict-transport-security")), (status, "max-age=31536000"), "{path}");
    }
    let mut stream = secured.connected().await;
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let mut read = [0; 2048];
    let n = timeout(PATIENCE, stream.read(&mut read)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&read[..n]);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("strict-transport-security: max-age"), "{answer}");
}
