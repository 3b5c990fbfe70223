//! The dependencies of the alert-rule endpoints: the host's own rules, the rule store and a clock.

use std::fmt;
use std::sync::Arc;

use tallyhouse_pipeline::RuleSet;
use tallyhouse_pipeline::ports::{Clock, RuleRepository};

/// The ports needed to show and to change the alert rules.
#[derive(Clone)]
pub struct AlertRules {
    /// The host's own rules, as they were given to the pipeline. The rule named `default` is shown with the origin
    /// `setting` (`alerts.threshold`), the others with the origin `file`.
    pub own: RuleSet,
    /// The store of the managed rules.
    pub repository: Arc<dyn RuleRepository>,
    /// The clock for the time of a change.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for AlertRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertRules").field("own", &self.own).finish_non_exhaustive()
    }
}
