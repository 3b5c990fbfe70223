//! The conformance suites: cases that every adapter of a port must pass, run unchanged against each.

pub mod repository;
pub mod source;
pub mod emitter;
mod fixtures;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

pub use fixtures::{MemoryFixture, RecordingFixture, ScriptedFixture};

/// How long a case may take before it counts as stuck, e.g. in a deadlock.
pub const CASE_DEADLINE: Duration = Duration::from_secs(180);

/// Makes a test of each case; the suites' own macros call it.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:ty, $suite:ident; $($module:ident::$case:ident;)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let case = $crate::conformance::$suite::$module::$case::<$fixture>();
                let in_time = ::tokio::time::timeout($crate::conformance::CASE_DEADLINE, case).await;
                assert!(in_time.is_ok(), "the case is stuck");
            }
        )*
    };
}

/// Says on standard output what a case can't check with this fixture. A test that passes shows its output with
/// `--nocapture` or `--show-output` only.
fn not_checked<F>(why: &str) {
    println!("not checked with {}: {why}", std::any::type_name::<F>());
}

/// Lets other futures of the same task go on.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[track_caller]
pub(crate) fn assert_distinct<T: Ord + std::fmt::Debug>(items: impl IntoIterator<Item = T>) {
    let mut seen = BTreeSet::new();
    for item in items {
        assert!(!seen.contains(&item), "{item:?} comes twice");
        seen.insert(item);
    }
}
