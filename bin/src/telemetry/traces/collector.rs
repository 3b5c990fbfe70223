//! The way to the collector: OTLP by HTTP, in protobuf.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    Protocol, RetryPolicy, SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use reqwest::{Body, Client};
use tokio::runtime::Handle;

use crate::settings::OtlpSettings;

/// The part of an answer that is read: all that it may say is how many spans were refused.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How often it is said that the collector takes nothing.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Makes the exporter. Headers, compression and the size of queue and batches are those of OpenTelemetry's own
/// variables of the environment, where they are set.
pub(super) fn exporter(settings: &OtlpSettings) -> anyhow::Result<TellingExporter> {
    let client = Client::builder().timeout(settings.timeout).connect_timeout(settings.timeout).build()?;
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(RuntimeClient { client, runtime: Handle::current() })
        // A span is worth no second try: the next batch is.
        .with_retry_policy(RetryPolicy::disabled())
        .with_endpoint(settings.endpoint.reveal())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(settings.timeout)
        .build()?;
    Ok(TellingExporter { exporter, away: Mutex::default() })
}

/// Sends by the runtime of the service, though it is called on a thread without one.
#[derive(Debug)]
struct RuntimeClient {
    client: Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for RuntimeClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request.map(Body::from))?;
        let client = self.client.clone();
        self.runtime.spawn(async move { send(&client, request).await }).await?
    }
}

async fn send(client: &Client, request: reqwest::Request) -> Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request).await.map_err(reqwest::Error::without_url)?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.extend(answer.headers().clone());
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err("the answer is too large".into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(response.body(Bytes::from(body))?)
}

/// Says in the log when the collector begins to take nothing, now and then while that lasts, and when it is over.
#[derive(Debug)]
pub(super) struct TellingExporter {
    exporter: OtlpExporter,
    away: Mutex<Option<Away>>,
}

/// The collector takes nothing.
#[derive(Debug, Clone, Copy)]
struct Away {
    told: Instant,
    /// Spans that were lost.
    spans: usize,
}

impl SpanExporter for TellingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.tell(&result, spans);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl TellingExporter {
    fn tell(&self, result: &OTelSdkResult, spans: usize) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match (result, &mut *away) {
            (Ok(()), None) => {}
            (Ok(()), Some(Away { spans, .. })) => {
                tracing::info!(lost = *spans, "traces are sent again");
                *away = None;
            }
            (Err(error), None) => {
                tracing::warn!(%error, "traces can't be sent, and are lost; nothing else depends on it");
                *away = Some(Away { told: Instant::now(), spans });
            }
            (Err(error), Some(known)) => {
                known.spans += spans;
                if known.told.elapsed() >= TELL_EVERY {
                    known.told = Instant::now();
                    tracing::warn!(%error, lost = known.spans, "traces still can't be sent");
                }
            }
        }
    }
}
