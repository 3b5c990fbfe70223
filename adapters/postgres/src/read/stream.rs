//! Answers of any length: one read-only snapshot, read by cursors on a thread of its own, handed over in parts through
//! a bounded channel. Whoever leaves early ends the work behind it.

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
use crate::sql::error::Fault;
use crate::sql::statement::Statement;

/// Rows in one fetch, and records in one part: some 100 kB, which makes the round trip small beside the work.
pub(crate) const ROWS_PER_FETCH: usize = 256;

/// Parts that are read before anybody asks for them.
const PARTS_AHEAD: usize = 4;

/// What travels from the reading thread to the stream. The end is said in words, because a thread that died would
/// otherwise look like the end of a well-formed, short answer.
enum Item<T> {
    Part(T),
    Fault(PortError),
    End,
}

/// The reading thread's end.
pub(crate) struct Output<O, T> {
    opened: Option<oneshot::Sender<Result<O, PortError>>>,
    parts: mpsc::Sender<Item<T>>,
    what: &'static str,
}

impl<O, T> Output<O, T> {
    /// Hands over what is known before the first part; to be called once.
    pub(crate) fn open(&mut self, opening: O) -> Result<(), Fault> {
        self.opened.take().map_or(Ok(()), |opened| opened.send(Ok(opening)).map_err(|_| Fault::Left))
    }

    /// Hands over a part; waits until there is room for it.
    pub(crate) fn send(&self, part: T) -> Result<(), Fault> {
        self.parts.blocking_send(Item::Part(part)).map_err(|_| Fault::Left)
    }

    fn finish(self, result: Result<(), Fault>) {
        // That nobody waits for the last word is no fault.
        match (result, self.opened) {
            (Ok(()), _) => drop(self.parts.blocking_send(Item::End)),
            (Err(fault), Some(opened)) => drop(opened.send(Err(fault.port(self.what)))),
            (Err(fault), None) => drop(self.parts.blocking_send(Item::Fault(fault.port(self.what)))),
        }
    }
}

/// Runs `work` in a snapshot on a connection of `pool`, and returns what it opens its answer with, and the parts that
/// it sends. `cancels` has the connection on which a statement is cancelled whose answer nobody wants any more.
pub(crate) async fn snapshot<O, T>(
    pool: &Pool,
    cancels: &Pool,
    what: &'static str,
    work: impl Fn(&mut PgConnection, &mut Output<O, T>) -> Result<(), Fault> + Send + 'static,
) -> Result<(O, PartStream<T>), PortError>
where
    O: Send + 'static,
    T: Send + 'static,
{
    let permit = pool.permit().await.map_err(|fault| fault.port(what))?;
    let (open, opened) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(PARTS_AHEAD);
    let backend = Backend::default();
    let leaver = Leaver { backend: backend.clone(), cancels: cancels.clone() };
    let parts = Parts { receiver, ended: false, what, _leaver: leaver };
    let thread_pool = pool.clone();
    spawn_blocking(move || {
        let _permit = permit;
        let mut output = Output { opened: Some(open), parts: sender, what };
        let result = read(&thread_pool, &backend, &mut output, &work);
        output.finish(result);
    });
    match timeout(pool.answer_timeout(), opened).await {
        Ok(Ok(opening)) => Ok((opening?, Box::pin(parts) as PartStream<T>)),
        Ok(Err(_)) => Err(Fault::Misuse("the reading thread ended without a word".to_owned()).port(what)),
        Err(_) => Err(Fault::Silent.port(what)),
    }
}

fn read<O, T>(
    pool: &Pool,
    backend: &Backend,
    output: &mut Output<O, T>,
    work: &impl Fn(&mut PgConnection, &mut Output<O, T>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    pool.with_any(|connection| {
        let result = connection.build_transaction().repeatable_read().read_only().run(|connection| {
            let pid = Statement::<Integer>::new("SELECT pg_backend_pid()").get_result(connection)?;
            // Ends before the transaction does, and the connection with it belongs to somebody else.
            let _working = backend.begin(pid);
            work(connection, output)
        });
        match result {
            // What has been handed over can't be taken back and begun again.
            Err(fault) if fault.is_cut() && output.opened.is_none() => Err(Fault::CommitUnknown(Box::new(fault))),
            result => result,
        }
    })
}

/// The server's process that works for a stream, as long as it does.
#[derive(Clone, Default)]
struct Backend(Arc<Mutex<Option<i32>>>);

impl Backend {
    fn begin(&self, pid: i32) -> Working<'_> {
        *self.lock() = Some(pid);
        Working(self)
    }

    fn lock(&self) -> MutexGuard<'_, Option<i32>> {
        // A number can't be left half-written by whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels what it does. Under the lock, so that it can't meanwhile begin to work for somebody else.
    fn cancel(&self, cancels: &Pool) -> Result<(), Fault> {
        let running = self.lock();
        if let Some(pid) = *running {
            let statement = Statement::<Bool>::new("SELECT pg_cancel_backend(").bind::<Integer, _>(pid).sql(")");
            let _found: bool = cancels.with(|connection| Ok(statement.get_result(connection)?))?;
        }
        Ok(())
    }
}

/// As long as it lives, the process works for the stream.
struct Working<'a>(&'a Backend);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// Cancels what still runs when its reader leaves: a sort that nobody waits for may take minutes.
struct Leaver {
    backend: Backend,
    cancels: Pool,
}

impl Drop for Leaver {
    fn drop(&mut self) {
        let still_runs = self.backend.lock().is_some();
        // Without a runtime the thread ends by itself, with the next part that nobody takes.
        if let (true, Ok(runtime)) = (still_runs, Handle::try_current()) {
            let (backend, cancels) = (self.backend.clone(), self.cancels.clone());
            runtime.spawn(async move {
                let Ok(permit) = cancels.permit().await else { return };
                spawn_blocking(move || {
                    let _permit = permit;
                    if let Err(fault) = backend.cancel(&cancels) {
                        tracing::debug!(%fault, "a query that nobody waits for was not cancelled");
                    }
                });
            });
        }
    }
}

/// The reader's end.
struct Parts<T> {
    receiver: mpsc::Receiver<Item<T>>,
    ended: bool,
    what: &'static str,
    /// After the receiver, so that the thread is already told when it is cancelled.
    _leaver: Leaver,
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
            Some(Item::Fault(error)) => Some(Err(error)),
            Some(Item::End) => None,
            None => Some(Err(Fault::Misuse("the reading thread ended without a word".to_owned()).port(self.what))),
        })
    }
}

/// A cursor of the running transaction, with the rows that have been fetched and not yet taken.
pub(crate) struct Cursor<ST, R> {
    fetch: String,
    rows: VecDeque<R>,
    ended: bool,
    sql: std::marker::PhantomData<fn() -> ST>,
}

impl<ST, R> Cursor<ST, R> {
    /// Opens a cursor named `name`; `declaration` is `DECLARE name NO SCROLL CURSOR FOR …`.
    pub(crate) fn open(connection: &mut PgConnection, name: &str, declaration: Statement<'_>) -> Result<Self, Fault> {
        declaration.not_kept().execute(connection)?;
        let fetch = format!("FETCH FORWARD {ROWS_PER_FETCH} FROM {name}");
        Ok(Self { fetch, rows: VecDeque::new(), ended: false, sql: std::marker::PhantomData })
    }

    /// Returns the next row without taking it.
    pub(crate) fn peek(&mut self, connection: &mut PgConnection) -> Result<Option<&R>, Fault>
    where
        for<'a> Statement<'a, ST>: LoadQuery<'a, PgConnection, R>,
    {
        if self.rows.is_empty() && !self.ended {
            let rows: Vec<R> = Statement::<ST>::new(&self.fetch).not_kept().load(connection)?;
            self.ended = rows.len() < ROWS_PER_FETCH;
            self.rows = rows.into();
        }
        Ok(self.rows.front())
    }

    /// Takes the row that [`Cursor::peek`] has shown.
    pub(crate) fn take(&mut self) -> Option<R> {
        self.rows.pop_front()
    }
}
