//! Health probes: the dependencies that `/readyz` shows beside storage.

use async_trait::async_trait;

/// A dependency whose health can be asked.
#[async_trait]
pub trait HealthProbe: Send + Sync {
    /// Returns the name that `/readyz` shows, e.g. `redis`.
    fn name(&self) -> &'static str;

    /// Asks the dependency. It SHOULD answer within a second or two: after `probe_timeout` it counts as down.
    async fn check(&self) -> ProbeState;
}

/// The health of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeState {
    /// The dependency answers.
    Up,
    /// The dependency does not answer.
    Down,
}

impl ProbeState {
    /// Returns the name that `/readyz` shows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}
