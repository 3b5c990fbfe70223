//! The ingresses of Redis: the list and the stream. Producers reach Redis directly, as only the instances' lines are
//! faulty.

use std::sync::Arc;
use std::time::Duration;

use redis::{Connection, RedisResult};

use crate::chaos::content::Item;
use crate::chaos::ledger::Ledger;
use crate::chaos::producer::{Ingress, ProducerContext};
use crate::servers::fleet::{LIST, STREAM};

/// How long a producer waits for Redis.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// A ingress of Redis.
pub(crate) struct QueueIngress {
    ledger: Arc<Ledger>,
    redis: String,
    kind: &'static str,
    connection: Option<Connection>,
}

impl QueueIngress {
    pub(crate) fn new(context: &ProducerContext, kind: &'static str) -> Self {
        Self { ledger: Arc::clone(&context.ledger), redis: context.redis.clone(), kind, connection: None }
    }

    fn give(&mut self, payloads: &[String]) -> RedisResult<()> {
        let mut connection = self.connection.take().map_or_else(|| connect(&self.redis), Ok)?;
        if self.kind == "list" {
            redis::cmd("LPUSH").arg(LIST).arg(payloads).exec(&mut connection)?;
        } else {
            let mut pipeline = redis::pipe();
            for payload in payloads {
                pipeline.cmd("XADD").arg(STREAM).arg("*").arg("record").arg(payload).ignore();
            }
            pipeline.exec(&mut connection)?;
        }
        // A connection that failed is in doubt, and dropped.
        self.connection = Some(connection);
        Ok(())
    }
}

impl Ingress for QueueIngress {
    fn send(&mut self, items: Vec<Item>) -> Vec<Item> {
        let payloads: Vec<String> = items.iter().map(|item| self.ledger.contents.payload(*item)).collect();
        self.ledger.try_queue(&items, self.kind);
        match self.give(&payloads) {
            Ok(()) => {
                self.ledger.queued(&items);
                Vec::new()
            }
            Err(_) => items,
        }
    }
}

/// Connects with time-outs, so that a frozen server holds nobody for good.
pub(crate) fn connect(url: &str) -> RedisResult<Connection> {
    let connection = redis::Client::open(url)?.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}
