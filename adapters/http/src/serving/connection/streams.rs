//! The tasks of HTTP/2 streams, each of which can be ended alone.
//!
//! hyper never looks at the body of a stream whose client opens no window, so that no body can end it. Dropping its task
//! does: the stream is reset, and its unsent frames are discarded.

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

/// Returns what ends the stream whose task runs now; `None` for HTTP/1, where only the connection can be ended.
pub(crate) fn current_end() -> Option<CancellationToken> {
    END.try_with(CancellationToken::clone).ok()
}
