//! Streamed answers of any length: one read-only snapshot, read by cursors on a thread of its own, and passed on in parts
//! through a bounded channel. Dropping the stream cancels the read.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::query_dsl::methods::LoadQuery;
use diesel::sql_types::{Bool, Integer};
use futures::Stream;
use tallyhouse_core::ports::{PartStream, PortError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::connection::pool::Pool;
use crate::sql::error::StoreError;
use crate::sql::statement::Statement;

/// Rows per fetch, and records per part: about 100 kB, so that the round trip is small beside the work.
pub(crate) const ROWS_PER_FETCH: usize = 256;

/// Parts that are read before the client takes them.
const PARTS_BUFFERED: usize = 4;

/// An item of the channel from the reading thread to the stream. The end is an item, because the channel of a thread that
/// died closes, too, and that must not look like a complete answer.
enum Item<T> {
    Part(T),
    Failed(PortError),
    End,
}

/// The sending end, for the reading thread.
pub(crate) struct Output<O, T> {
    opened: Option<oneshot::Sender<Result<O, PortError>>>,
    parts: mpsc::Sender<Item<T>>,
    what: &'static str,
}

impl<O, T> Output<O, T> {
    /// Sends the opening of the answer, which precedes the first part. To be called once.
    pub(crate) fn open(&mut self, opening: O) -> Result<(), StoreError> {
        self.opened.take().map_or(Ok(()), |opened| opened.send(Ok(opening)).map_err(|_| StoreError::StreamDropped))
    }

    /// Sends a part. Waits until there is room for it.
    pub(crate) fn send(&self, part: T) -> Result<(), StoreError> {
        self.parts.blocking_send(Item::Part(part)).map_err(|_| StoreError::StreamDropped)
    }

    fn finish(self, result: Result<(), StoreError>) {
        // The stream may be dropped by now.
        match (result, self.opened) {
            (Ok(()), _) => drop(self.parts.blocking_send(Item::End)),
            (Err(error), Some(opened)) => drop(opened.send(Err(error.into_port(self.what)))),
            (Err(error), None) => drop(self.parts.blocking_send(Item::Failed(error.into_port(self.what)))),
        }
    }
}

/// Runs `work` in a snapshot on a connection of `pool`, and returns the opening and the parts that it sends. A dropped
/// stream cancels its statement on a connection of `cancels`.
pub(crate) async fn snapshot<O, T>(
    pool: &Pool,
    cancels: &Pool,
    what: &'static str,
    work: impl Fn(&mut PgConnection, &mut Output<O, T>) -> Result<(), StoreError> + Send + 'static,
) -> Result<(O, PartStream<T>), PortError>
where
    O: Send + 'static,
    T: Send + 'static,
{
    let permit = pool.permit().await.map_err(|error| error.into_port(what))?;
    let (open, opened) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(PARTS_BUFFERED);
    let backend = Backend::default();
    let cancel = CancelOnDrop { backend: backend.clone(), cancels: cancels.clone() };
    let parts = Parts { receiver, ended: false, what, _cancel: cancel };
    let thread_pool = pool.clone();
    spawn_blocking(move || {
        let _permit = permit;
        let mut output = Output { opened: Some(open), parts: sender, what };
        let result = read(&thread_pool, &backend, &mut output, &work);
        output.finish(result);
    });
    match timeout(pool.answer_timeout(), opened).await {
        Ok(Ok(opening)) => Ok((opening?, Box::pin(parts) as PartStream<T>)),
        Ok(Err(_)) => Err(StoreError::Misuse("the reading thread ended without a result".to_owned()).into_port(what)),
        Err(_) => Err(StoreError::NoAnswer.into_port(what)),
    }
}

fn read<O, T>(
    pool: &Pool,
    backend: &Backend,
    output: &mut Output<O, T>,
    work: &impl Fn(&mut PgConnection, &mut Output<O, T>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    pool.with_any(|connection| {
        let result = connection.build_transaction().repeatable_read().read_only().run(|connection| {
            let pid = Statement::<Integer>::new("SELECT pg_backend_pid()").get_result(connection)?;
            // Dropped before the transaction ends: afterwards the connection serves other work.
            let _working = backend.begin(pid);
            work(connection, output)
        });
        match result {
            // Parts have been sent, so the read can't be repeated on another connection.
            Err(error) if error.is_disconnected() && output.opened.is_none() => {
                Err(StoreError::CommitUnknown(Box::new(error)))
            }
            result => result,
        }
    })
}

/// The server process that works for a stream; `None` when none does.
#[derive(Clone, Default)]
struct Backend(Arc<Mutex<Option<i32>>>);

impl Backend {
    fn begin(&self, pid: i32) -> RunningQuery<'_> {
        *self.lock() = Some(pid);
        RunningQuery(self)
    }

    fn lock(&self) -> MutexGuard<'_, Option<i32>> {
        // A panic can't leave a number half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels the running statement. The lock keeps the process from starting other work meanwhile.
    fn cancel(&self, cancels: &Pool) -> Result<(), StoreError> {
        let running = self.lock();
        if let Some(pid) = *running {
            let statement = Statement::<Bool>::new("SELECT pg_cancel_backend(").bind::<Integer, _>(pid).sql(")");
            let _found: bool = cancels.with(|connection| Ok(statement.get_result(connection)?))?;
        }
        Ok(())
    }
}

/// While it exists, the process works for the stream.
struct RunningQuery<'a>(&'a Backend);

impl Drop for RunningQuery<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// Cancels the running statement when the stream is dropped: a sort without a reader may take minutes.
struct CancelOnDrop {
    backend: Backend,
    cancels: Pool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let still_runs = self.backend.lock().is_some();
        // Without a runtime the thread ends by itself, when it sends the next part.
        if let (true, Ok(runtime)) = (still_runs, Handle::try_current()) {
            let (backend, cancels) = (self.backend.clone(), self.cancels.clone());
            runtime.spawn(async move {
                let Ok(permit) = cancels.permit().await else { return };
                spawn_blocking(move || {
                    let _permit = permit;
                    if let Err(error) = backend.cancel(&cancels) {
                        tracing::debug!(%error, "the statement of a dropped stream was not cancelled");
                    }
                });
            });
        }
    }
}

/// The receiving end.
struct Parts<T> {
    receiver: mpsc::Receiver<Item<T>>,
    ended: bool,
    what: &'static str,
    /// Dropped after the receiver, so that a cancelled thread finds the channel closed.
    _cancel: CancelOnDrop,
}

impl<T> Stream for Parts<T> {
    type Item = Result<T, PortError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.receiver.poll_recv(context));
        self.ended = !matches!(item, Some(Item::Part(_)));
        Poll::Ready(match item {
            Some(Item::Part(part)) => Some(Ok(part)),
            Some(Item::Failed(error)) => Some(Err(error)),
            Some(Item::End) => None,
            None => Some(Err(
                StoreError::Misuse("the reading thread ended without a result".to_owned()).into_port(self.what)
            )),
        })
    }
}

/// A cursor of the running transaction, with the rows that were fetched and not taken yet.
pub(crate) struct Cursor<ST, R> {
    fetch: String,
    rows: VecDeque<R>,
    ended: bool,
    sql: std::marker::PhantomData<fn() -> ST>,
}

impl<ST, R> Cursor<ST, R> {
    /// Opens a cursor named `name`; `declaration` is `DECLARE name NO SCROLL CURSOR FOR …`.
    pub(crate) fn open(
        connection: &mut PgConnection,
        name: &str,
        declaration: Statement<'_>,
    ) -> Result<Self, StoreError> {
        declaration.uncached().execute(connection)?;
        let fetch = format!("FETCH FORWARD {ROWS_PER_FETCH} FROM {name}");
        Ok(Self { fetch, rows: VecDeque::new(), ended: false, sql: std::marker::PhantomData })
    }

    /// Returns the next row without taking it.
    pub(crate) fn peek(&mut self, connection: &mut PgConnection) -> Result<Option<&R>, StoreError>
    where
        for<'a> Statement<'a, ST>: LoadQuery<'a, PgConnection, R>,
    {
        if self.rows.is_empty() && !self.ended {
            let rows: Vec<R> = Statement::<ST>::new(&self.fetch).uncached().load(connection)?;
            self.ended = rows.len() < ROWS_PER_FETCH;
            self.rows = rows.into();
        }
        Ok(self.rows.front())
    }

    /// Takes the row that [`Cursor::peek`] has returned.
    pub(crate) fn take(&mut self) -> Option<R> {
        self.rows.pop_front()
    }
}
