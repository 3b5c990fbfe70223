//! Settings whose feature is not built yet. They are refused: who sets one must not believe that it works.

use super::SettingsError;
use super::resolved::Resolved;

/// The settings, and what each would need.
const UNBUILT: [(&str, &str); 2] = [("tls.cert_file", "TLS"), ("tls.key_file", "TLS")];

/// Refuses settings whose feature is not built yet.
pub(super) fn refuse(resolved: &Resolved) -> Result<(), SettingsError> {
    for (key, feature) in UNBUILT {
        if resolved.is_set(key) {
            let fault = format!("can't be set: {feature} are not built into this version; use a proxy in front of it");
            return Err(resolved.fault(key, fault));
        }
    }
    Ok(())
}
