//! The port of the managed alert rules.

use async_trait::async_trait;

use crate::ports::error::PortError;
use crate::rule::book::{ManagedRules, RuleEdit, RuleEditOutcome};

/// Keeps the alert rules that change at run time. The store of the records keeps them, since each commit must see them.
#[async_trait]
pub trait RuleRepository: Send + Sync {
    /// Returns the managed rules with their version, from one snapshot.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn managed_rules(&self) -> Result<ManagedRules, PortError>;

    /// Changes one managed rule.
    ///
    /// An adapter MUST do all of this in one transaction: lock out every other change, read the rules and their
    /// version, call [`crate::amend`], and write its result. If the result has a [`version`](RuleEditOutcome::version),
    /// the adapter makes it the version of all managed rules, and replaces the rule of that name by the rule in the
    /// result, or deletes it. The text of a rule to store is [`Rule::to_stored`](crate::Rule::to_stored). Every commit
    /// that begins after this call has returned, on any instance, MUST see the new version.
    ///
    /// # Errors
    /// The store can't do it now. The rule may be changed nevertheless, and the caller may repeat the change.
    async fn amend_rules(&self, edit: RuleEdit) -> Result<RuleEditOutcome, PortError>;
}
