//! Traces in a build without the feature `otlp`. The type has no value: its methods can't be called.

use std::sync::Arc;
use std::time::Duration;
use tallyhouse_pipeline::ports::{MessageEmitter, RecordRepository, RecordSource};

use anyhow::bail;
use tallyhouse_http::RequestTracer;

use crate::settings::OtlpSettings;

/// Exported traces.
#[derive(Debug, Clone)]
pub(crate) enum Traces {}

impl Traces {
    /// Fails. The settings refuse `otlp.endpoint` earlier, so that no command gets here.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn start(_: &OtlpSettings) -> anyhow::Result<Self> {
        bail!("this program was built without traces")
    }

    pub(crate) fn requests(&self) -> Arc<dyn RequestTracer> {
        match *self {}
    }

    pub(crate) fn repository(&self, _: Arc<dyn RecordRepository>) -> Arc<dyn RecordRepository> {
        match *self {}
    }

    pub(crate) fn emitter(&self, _: Arc<dyn MessageEmitter>) -> Arc<dyn MessageEmitter> {
        match *self {}
    }

    pub(crate) fn source(&self, _: Arc<dyn RecordSource>) -> Arc<dyn RecordSource> {
        match *self {}
    }

    pub(crate) async fn stop(self, _: Duration) {
        match self {}
    }
}
