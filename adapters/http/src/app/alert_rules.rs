//! The ports that a host gives to show and change alert rules.

use std::fmt;
use std::sync::Arc;

use tallyhouse_pipeline::RuleSet;
use tallyhouse_pipeline::ports::{Clock, RuleRepository};

/// What is needed to show and to change the alert rules.
#[derive(Clone)]
pub struct AlertRules {
    /// The host's own rules, as they were given to the pipeline. The one named `default` is shown as that of the
    /// setting `alerts.threshold`, the others as those of the settings file.
    pub own: RuleSet,
    /// Where the managed ones are kept.
    pub repository: Arc<dyn RuleRepository>,
    /// When they are changed.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for AlertRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertRules").field("own", &self.own).finish_non_exhaustive()
    }
}
