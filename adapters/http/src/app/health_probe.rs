//! Health probes: the dependencies that `/readyz` shows beside storage.

use async_trait::async_trait;

/// A dependency that can be asked how it is.
#[async_trait]
pub trait HealthProbe: Send + Sync {
    /// Returns the name that `/readyz` shows, e.g. `redis`.
    fn name(&self) -> &'static str;

    /// Asks the dependency. It SHOULD answer within a second or two; later is as good as down.
    async fn check(&self) -> ProbeState;
}

/// How a dependency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeState {
    /// It answers.
    Up,
    /// It does not.
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
