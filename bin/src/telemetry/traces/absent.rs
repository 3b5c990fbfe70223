//! A program without traces: there are none to be started, so that nothing here is ever called.

use std::sync::Arc;
use std::time::Duration;
use tallyhouse_pipeline::ports::{MessageEmitter, RecordRepository, RecordSource};

use anyhow::bail;
use tallyhouse_http::RequestTracer;

use crate::settings::OtlpSettings;

/// Traces that are sent.
#[derive(Debug, Clone)]
pub(crate) enum Traces {}

impl Traces {
    /// Refuses: the settings have done so before.
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
