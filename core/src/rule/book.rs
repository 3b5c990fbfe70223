//! The effective alert rules: the host's own, overlaid with those managed in the store; and edits of managed rules.
//!
//! The managed rules are not polled. Each commit reads or verifies their version in its own transaction, and reads the
//! rules when the version is new. So a change is in force on every instance for every record that is sent after the
//! response to the change, and an idle service reads nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::time::Timestamp;
use crate::rule::{Rule, RuleSet};

/// The host's own rules, and the managed ones as they were when they were last read.
#[derive(Debug, Default)]
pub struct RuleBook {
    own: RuleSet,
    /// The version of the managed rules that was last read, and the rules in force with it.
    latest: Mutex<(u64, Arc<RuleSet>)>,
}

/// A rule that is kept in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedRule {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The version of all managed rules after the latest change of this one.
    pub version: u64,
    /// When it was changed.
    pub changed_at: Timestamp,
}

/// All managed rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManagedRules {
    /// Changes with every change of a rule, and is never reused. 0 before the first change.
    pub version: u64,
    /// The rules, sorted by name.
    pub rules: Vec<ManagedRule>,
}

/// A change of one managed rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleEdit {
    /// Its name.
    pub name: String,
    /// The rule, which has this name; `None` to delete it.
    pub rule: Option<Arc<Rule>>,
    /// The precondition.
    pub precondition: Precondition,
    /// When it is changed.
    pub now: Timestamp,
}

/// The precondition of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// None.
    #[default]
    Any,
    /// If there is no managed rule of this name.
    Absent,
    /// If there is one.
    Present,
    /// If there is one, of one of these versions.
    Version(Vec<u64>),
}

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleEditOutcome {
    /// There was no managed rule of this name.
    Created(ManagedRule),
    /// There was another rule of this name.
    Replaced(ManagedRule),
    /// The same rule was there already: nothing was written.
    Unchanged(ManagedRule),
    /// The rule is deleted; the managed rules have this version now.
    Deleted(u64),
    /// There was no rule to delete.
    Missing,
    /// The precondition does not hold.
    PreconditionFailed,
    /// There are [`ManagedRules::RULES_MAX`] of them already.
    Full,
}

impl RuleBook {
    /// Begins with the host's own rules.
    #[must_use]
    pub fn new(own: RuleSet) -> Self {
        let unmanaged = Arc::new(own.clone());
        Self { own, latest: Mutex::new((0, unmanaged)) }
    }

    /// Returns the rules in force while the managed rules have this version. Calls `read` for the managed rules only if
    /// the version is not the one that was read last. A commit calls this with the version that its transaction sees.
    ///
    /// `read` is called synchronously. An adapter whose reads are async first asks [`RuleBook::latest`]. If that has the
    /// version, its rules are the result. Otherwise the adapter reads the managed rules in its transaction, calls this, and
    /// `read` returns them.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn in_force<E>(&self, version: u64, read: impl FnOnce() -> Result<ManagedRules, E>) -> Result<Arc<RuleSet>, E> {
        let (known, rules) = self.latest();
        if known == version {
            return Ok(rules);
        }
        // Read outside the lock: other writers may use the current rules meanwhile.
        let managed = read()?;
        let rules = Arc::new(self.own.overlaid(managed.rules.iter().map(|managed| &managed.rule)));
        *self.lock() = (managed.version, Arc::clone(&rules));
        Ok(rules)
    }

    /// Returns the rules that were last in force, with the version of the managed ones: for an optimistic commit, which
    /// verifies the version.
    #[must_use]
    pub fn latest(&self) -> (u64, Arc<RuleSet>) {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Arc<RuleSet>)> {
        // A panic can't leave the pair half-written.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<RuleSet> for RuleBook {
    fn from(own: RuleSet) -> Self {
        Self::new(own)
    }
}

impl ManagedRules {
    /// Most managed rules. Every record is compared with each of them, and may have an alert for each.
    pub const RULES_MAX: usize = 500;

    /// Returns the rule of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ManagedRule> {
        self.rules.iter().find(|managed| managed.rule.name() == name)
    }
}

impl Precondition {
    fn holds(&self, found: Option<&ManagedRule>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Present => found.is_some(),
            Self::Version(versions) => found.is_some_and(|managed| versions.contains(&managed.version)),
        }
    }
}

impl RuleEditOutcome {
    /// Returns the new version of the managed rules, if the store is to be changed.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        match self {
            Self::Created(managed) | Self::Replaced(managed) => Some(managed.version),
            Self::Deleted(version) => Some(*version),
            Self::Unchanged(_) | Self::Missing | Self::PreconditionFailed | Self::Full => None,
        }
    }
}

/// Decides the result of a change, given the managed rules. A pure function.
///
/// The managed rules MUST NOT change in the store until the result is written or dropped.
#[must_use]
pub fn amend(managed: &ManagedRules, edit: &RuleEdit) -> RuleEditOutcome {
    let found = managed.find(&edit.name);
    if !edit.precondition.holds(found) {
        return RuleEditOutcome::PreconditionFailed;
    }
    // The time is part of the version, so that no version is reused after a restore from an earlier copy.
    let version = (managed.version + 1).max(u64::try_from(edit.now.as_micros()).unwrap_or(0));
    let Some(rule) = &edit.rule else {
        return if found.is_some() { RuleEditOutcome::Deleted(version) } else { RuleEditOutcome::Missing };
    };
    let changed = ManagedRule { rule: Arc::clone(rule), version, changed_at: edit.now };
    match found {
        // `==` equates 1.0 and 1.00, but messages show the difference.
        Some(found) if found.rule.to_stored() == rule.to_stored() => RuleEditOutcome::Unchanged(found.clone()),
        Some(_) => RuleEditOutcome::Replaced(changed),
        None if managed.rules.len() >= ManagedRules::RULES_MAX => RuleEditOutcome::Full,
        None => RuleEditOutcome::Created(changed),
    }
}

#[cfg(test)]
mod tests;
