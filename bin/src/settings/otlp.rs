//! The settings of traces.

use url::Url;

use super::resolved::Resolved;
use super::{OtlpSettings, Secret, SettingsError};

/// The path of traces below the address of a collector (OTLP/HTTP).
const TRACES_PATH: &str = "v1/traces";

/// Returns the settings of traces, if `otlp.endpoint` is set.
pub(super) fn otlp(resolved: &Resolved) -> Result<Option<OtlpSettings>, SettingsError> {
    const KEY: &str = "otlp.endpoint";
    let Some(address) = resolved.optional(KEY) else { return Ok(None) };
    if !cfg!(feature = "otlp") {
        return Err(resolved.fault(KEY, "can't be used: this program was built without the feature otlp"));
    }
    let url = Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(mut url) = url else {
        return Err(
            resolved.fault(KEY, "must be the address of a collector of OTLP over HTTP, such as http://127.0.0.1:4318")
        );
    };
    let path = format!("{}/{TRACES_PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(Some(OtlpSettings {
        endpoint: Secret::new(url.as_str()),
        service_name: resolved.text("otlp.service_name"),
        // At most 1,000: the conversions are exact.
        sampled_share: f64::from(u16::try_from(resolved.number("otlp.sample_per_thousand")).unwrap_or(1_000)) / 1_000.0,
        timeout: resolved.millis("otlp.timeout_ms"),
    }))
}
