//! The client library's connection as blocking calls, each of which shows signs of life.

use super::wire::Wire;
use futures_core::Stream;
use postgres::types::{BorrowToSql, Type};
use postgres::{Error, Row, SimpleQueryMessage, Statement};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::{Connection, RowStream};

/// How long a connection gets to end in good order.
const GOODBYE: Duration = Duration::from_secs(2);

/// When something last came from the source, or was last asked of it.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    fn new() -> Pulse {
        Pulse(Arc::new(Mutex::new(Instant::now())))
    }

    /// Has the time begin anew.
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// For how long the source has said nothing to what it was asked last.
    pub fn silence(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// A connection; nothing of it moves but within a call.
pub(super) struct Client {
    // Dropped first, which tells the link to end.
    client: tokio_postgres::Client,
    link: Link,
}

/// What drives the connection.
struct Link {
    runtime: Runtime,
    connection: Connection<Wire, Wire>,
    pulse: Pulse,
}

impl Link {
    /// Waits for `future`, which comes to its end by what the connection brings.
    fn wait<T>(&mut self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut future = pin!(future);
        let Link { runtime, connection, pulse } = self;
        runtime.block_on(poll_fn(|cx| {
            pulse.beat();
            let broken = loop {
                match connection.poll_message(cx) {
                    // Notices of the source are of no use here.
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(error))) => break Some(error),
                    Poll::Ready(None) | Poll::Pending => break None,
                }
            };
            // What the server said before it closed the connection has come, and says more.
            match (future.as_mut().poll(cx), broken) {
                (Poll::Pending, Some(error)) => Poll::Ready(Err(error)),
                (polled, _) => polled,
            }
        }))
    }
}

impl Client {
    pub fn new(
        runtime: Runtime,
        client: tokio_postgres::Client,
        connection: Connection<Wire, Wire>,
    ) -> Client {
        Client { client, link: Link { runtime, connection, pulse: Pulse::new() } }
    }

    pub fn pulse(&self) -> Pulse {
        self.link.pulse.clone()
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// What the server said of itself as it let the client in.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.link.connection.parameter(name)
    }

    /// What cancels its statements.
    pub fn cancel_token(&self) -> tokio_postgres::CancelToken {
        self.client.cancel_token()
    }

    /// Runs statements of the simple protocol.
    pub fn batch_execute(&mut self, sql: &str) -> Result<(), Error> {
        self.link.wait(self.client.batch_execute(sql))
    }

    /// The same, with what they answer.
    pub fn simple_query(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.link.wait(self.client.simple_query(sql))
    }

    /// Prepares a statement that stays, by a name.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        self.link.wait(self.client.prepare(sql))
    }

    /// Starts a statement that was prepared.
    pub fn start<P: BorrowToSql>(
        &mut self,
        statement: &Statement,
        parameters: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
    ) -> Result<Answer, Error> {
        self.link.wait(self.client.query_raw(statement, parameters)).map(Answer::new)
    }

    /// Starts a statement that has no name, and is not there any more when another one comes.
    pub fn start_unnamed<P: BorrowToSql>(
        &mut self,
        sql: &str,
        parameters: impl IntoIterator<Item = (P, Type)>,
    ) -> Result<Answer, Error> {
        self.link.wait(self.client.query_typed_raw(sql, parameters)).map(Answer::new)
    }

    /// The next row of a statement that was started, while no other was.
    pub fn next(&mut self, answer: &mut Answer) -> Result<Option<Row>, Error> {
        if answer.arrived.is_empty() {
            self.link.wait(poll_fn(|cx| answer.poll(cx)))?;
        }
        answer.arrived.pop_front().unwrap_or(Ok(None))
    }
}

/// So many rows that have come are taken in one call of the runtime, which costs more than a small row.
const ROWS_AT_ONCE: usize = 64;

/// The rows of a statement that was started.
pub(super) struct Answer {
    rows: Pin<Box<RowStream>>,
    /// What has come of them and is not asked for yet: the end, or an error, is the last.
    arrived: VecDeque<Result<Option<Row>, Error>>,
}

impl Answer {
    fn new(rows: RowStream) -> Answer {
        Answer { rows: Box::pin(rows), arrived: VecDeque::with_capacity(ROWS_AT_ONCE) }
    }

    /// Takes what has come; pending where that is nothing.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.arrived.len() < ROWS_AT_ONCE {
            let Poll::Ready(item) = self.rows.as_mut().poll_next(cx) else { break };
            let goes_on = matches!(item, Some(Ok(_)));
            self.arrived.push_back(item.transpose());
            if !goes_on {
                break;
            }
        }
        if self.arrived.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl Drop for Link {
    /// What runs comes to its end, and the server is told that the client goes; but not for long.
    fn drop(&mut self) {
        let Link { runtime, connection, .. } = self;
        let ended = poll_fn(|cx| {
            while let Poll::Ready(message) = connection.poll_message(cx) {
                if !matches!(message, Some(Ok(_))) {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        });
        runtime.block_on(async {
            let _ = tokio::time::timeout(GOODBYE, ended).await;
        });
    }
}
