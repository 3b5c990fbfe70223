//! Runs each HTTP/2 stream in a task that can be cancelled by itself.
//!
//! hyper does not poll the body of a stream whose client opens no window, so the body can't end the stream. Dropping
//! the stream's task can: the stream is reset, and its unsent frames are discarded.

use std::future::Future;

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static END: CancellationToken;
}

/// Spawns the tasks of streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamExecutor;

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let end = CancellationToken::new();
        let ended = end.clone().cancelled_owned();
        tokio::spawn(END.scope(end, async move {
            tokio::select! {
                biased;
                () = stream => {}
                () = ended => {}
            }
        }));
    }
}

/// Returns the token that ends the stream of the current task; `None` for HTTP/1, where only the connection can be
/// ended.
pub(crate) fn current_end() -> Option<CancellationToken> {
    END.try_with(CancellationToken::clone).ok()
}
