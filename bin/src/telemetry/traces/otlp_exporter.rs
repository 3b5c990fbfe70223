//! Exports spans by OTLP over HTTP, in protobuf.

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

/// Longest response that is read. A valid response only counts the rejected spans.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How often a lasting failure is logged again.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Makes the exporter. OpenTelemetry's own environment variables set its headers, compression, queue and batch sizes.
pub(super) fn exporter(settings: &OtlpSettings) -> anyhow::Result<LoggingExporter> {
    let client = Client::builder().timeout(settings.timeout).connect_timeout(settings.timeout).build()?;
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(RuntimeClient { client, runtime: Handle::current() })
        // Retrying would delay the next batch. Lost spans are counted in the log.
        .with_retry_policy(RetryPolicy::disabled())
        .with_endpoint(settings.endpoint.expose())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(settings.timeout)
        .build()?;
    Ok(LoggingExporter { exporter, failing: Mutex::default() })
}

/// Sends on the runtime of the service: the SDK exports from a thread of its own, which has no runtime.
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

/// Logs when exports begin to fail, once a minute while they fail, and when they succeed again.
#[derive(Debug)]
pub(super) struct LoggingExporter {
    exporter: OtlpExporter,
    failing: Mutex<Option<Failing>>,
}

/// Exports fail at present.
#[derive(Debug, Clone, Copy)]
struct Failing {
    logged: Instant,
    lost_spans: usize,
}

impl SpanExporter for LoggingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.log(&result, spans);
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

impl LoggingExporter {
    fn log(&self, result: &OTelSdkResult, spans: usize) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match (result, &mut *failing) {
            (Ok(()), None) => {}
            (Ok(()), Some(Failing { lost_spans, .. })) => {
                tracing::info!(lost = *lost_spans, "traces are sent again");
                *failing = None;
            }
            (Err(error), None) => {
                tracing::warn!(%error, "traces can't be sent and are lost; nothing else is affected");
                *failing = Some(Failing { logged: Instant::now(), lost_spans: spans });
            }
            (Err(error), Some(known)) => {
                known.lost_spans += spans;
                if known.logged.elapsed() >= LOG_EVERY {
                    known.logged = Instant::now();
                    tracing::warn!(%error, lost = known.lost_spans, "traces still can't be sent");
                }
            }
        }
    }
}
