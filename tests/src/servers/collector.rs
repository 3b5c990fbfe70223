//! A small collector of traces: takes OTLP by HTTP in protobuf, and keeps the spans.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::wait;

/// A collector. It listens for as long as the process lives.
#[derive(Debug, Clone)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Seen>>>,
}

/// A span that was delivered; ids are in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// The service that it is of.
    pub service: String,
    /// The trace that it belongs to.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The id of its parent; empty for a root.
    pub parent: String,
    /// The traces and ids of the spans that it is linked to.
    pub links: Vec<(String, String)>,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// When it began and ended, in nanoseconds.
    pub times: (u64, u64),
    /// Whether it ended with an error.
    pub failed: bool,
}

impl Collector {
    /// Begins to listen.
    ///
    /// # Panics
    /// There is no free port.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let spans = Arc::default();
        let kept = Arc::clone(&spans);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                // A service that is killed breaks its connection off.
                thread::spawn(move || drop(serve(connection, &kept)));
            }
        });
        Self { address, spans }
    }

    /// Returns the address, as a setting has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what was delivered so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Seen> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many spans of a trace were delivered, and returns them in the order in which they began.
    ///
    /// # Panics
    /// They are not.
    #[must_use]
    #[track_caller]
    pub fn await_trace(&self, trace: &str, spans: usize) -> Vec<Seen> {
        let mut seen = wait::within(wait::PATIENCE, || {
            let seen: Vec<Seen> = self.spans().into_iter().filter(|span| span.trace == trace).collect();
            (seen.len() >= spans).then_some(seen)
        });
        let seen = seen.as_mut().unwrap_or_else(|| panic!("no {spans} spans of {trace}: {:#?}", self.spans()));
        seen.sort_by_key(|span| span.times);
        seen.clone()
    }
}

/// Draws spans of one trace as a tree.
///
/// # Panics
/// Never: a string takes all.
#[must_use]
pub fn drawn(spans: &[Seen]) -> String {
    let mut text = String::new();
    let is_root = |span: &&Seen| spans.iter().all(|other| other.id != span.parent);
    spans.iter().filter(is_root).for_each(|root| draw(spans, root, 0, &mut text));
    text
}

fn draw(spans: &[Seen], span: &Seen, depth: usize, text: &mut String) {
    let Seen { name, service, id, parent, links, times, attributes, .. } = span;
    let micros = times.1.saturating_sub(times.0) / 1_000;
    let parent = if depth == 0 { format!(" of the caller's {parent}") } else { String::new() };
    let links = if links.is_empty() { String::new() } else { format!(" linked to {}", links.len()) };
    writeln!(text, "{:1$}{name} ({service}) {id}{parent}{links}  {micros} µs  {attributes:?}", "", depth * 2)
        .expect("a string takes all");
    spans.iter().filter(|child| child.parent == *id).for_each(|child| draw(spans, child, depth + 1, text));
}

fn serve(mut connection: TcpStream, kept: &Mutex<Vec<Seen>>) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(found) = head(&buffer) {
                break found;
            }
            if read(&mut connection, &mut buffer)? == 0 {
                return Ok(());
            }
        };
        while buffer.len() < head + length {
            if read(&mut connection, &mut buffer)? == 0 {
                return Ok(());
            }
        }
        let rest = buffer.split_off(head + length);
        let taken = ExportTraceServiceRequest::decode(&buffer[head..]).expect("OTLP in protobuf");
        kept.lock().unwrap_or_else(PoisonError::into_inner).extend(seen(taken));
        buffer = rest;
        // An empty answer in protobuf: all spans were taken.
        connection
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")?;
    }
}

fn read(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut piece = [0; 16 * 1024];
    let read = connection.read(&mut piece)?;
    buffer.extend_from_slice(&piece[..read]);
    Ok(read)
}

/// Finds the end of a head and the length of the body behind it.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(end) = request.parse(bytes).expect("HTTP") else { return None };
    assert_eq!((request.method, request.path), (Some("POST"), Some("/v1/traces")));
    let of = |name: &str| {
        let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| std::str::from_utf8(header.value).expect("text").to_owned())
    };
    assert_eq!(of("content-type").as_deref(), Some("application/x-protobuf"));
    Some((end, of("content-length").expect("a length").parse().expect("a number")))
}

fn seen(request: ExportTraceServiceRequest) -> Vec<Seen> {
    let mut seen = Vec::new();
    for resource in request.resource_spans {
        let about = resource.resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default();
        let service = about.get("service.name").cloned().unwrap_or_default();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        seen.extend(spans.map(|span| one(&service, span)));
    }
    seen
}

fn one(service: &str, span: Span) -> Seen {
    const FAILED: i32 = 2;
    Seen {
        name: span.name,
        service: service.to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        attributes: attributes(&span.attributes),
        times: (span.start_time_unix_nano, span.end_time_unix_nano),
        failed: span.status.is_some_and(|status| status.code == FAILED),
    }
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    all.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}
