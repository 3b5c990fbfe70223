//! The port of the managed alert rules.

use async_trait::async_trait;

use crate::ports::error::PortError;
use crate::rule::book::{ManagedRules, RuleEdit, RuleEditOutcome};

/// Keeps the alert rules that change at run time: in the store of the records, since each commit must see them.
#[async_trait]
pub trait RuleRepository: Send + Sync {
    /// Returns the managed rules with their version, from one snapshot.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn managed_rules(&self) -> Result<ManagedRules, PortError>;

    /// Changes one of them.
    ///
    /// An adapter MUST do all of this in one transaction: lock out every other change, read the rules and their
    /// version, call [`crate::amend`], and write its result. There is something to write if the result has a
    /// [`version`](RuleEditOutcome::version): this version becomes that of all managed rules, and the rule of the result takes
    /// the place of the one with its name, or that one is deleted. Every commit that begins after this call has returned,
    /// on any instance, MUST see the new version.
    ///
    /// # Errors
    /// The store can't do it now. It may have been done all the same, and the caller may repeat it.
    async fn amend_rules(&self, edit: RuleEdit) -> Result<RuleEditOutcome, PortError>;
}
