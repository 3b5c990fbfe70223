//! Recovery: how long it takes after the last fault has been taken back until every ingress of every instance works, and
//! what comes in is published.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chaos::content::Item;
use crate::chaos::ledger::Ledger;
use crate::chaos::listener::Listeners;
use crate::chaos::queue_ingress::connect;
use crate::chaos::world::World;
use crate::clients::http::{Client, try_send};
use crate::servers::fleet::{LIST, STREAM};

/// After this long it is taken to be stuck.
const GIVEN_UP: Duration = Duration::from_secs(150);

/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);

/// How often it is tried again.
const TICK: Duration = Duration::from_millis(10);

/// One recovery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    pub(crate) took: Duration,
    /// What was well last.
    pub(crate) last: &'static str,
}

/// Sends a record to each instance by HTTP, one to the list and one to the stream, each until it is taken, and waits
/// until the notifications of all of them are published, timed from `begun`. `None` if that does not come to pass.
pub(crate) fn recover(world: &World, ledger: &Arc<Ledger>, listeners: &Listeners, begun: Instant) -> Option<Recovery> {
    let clients = world.instances.iter().map(|instance| Client::new(&instance.url));
    let redis = world.redis.url();
    let parts: Vec<(&'static str, Option<Duration>)> = std::thread::scope(|scope| {
        let over_http = clients.map(|client| {
            scope.spawn(move || {
                let n = ledger.next();
                ("HTTP", until(begun, || post(&client, ledger, n) && listeners.has(n)))
            })
        });
        let mut threads: Vec<_> = over_http.collect();
        for (name, key) in [("the list", LIST), ("the stream", STREAM)] {
            let redis = &redis;
            threads.push(scope.spawn(move || {
                let n = ledger.next();
                let mut given = false;
                let taken = until(begun, || {
                    given = given || give(redis, key, ledger, n);
                    given && listeners.has(n)
                });
                (name, taken)
            }));
        }
        threads.into_iter().map(|thread| thread.join().expect("a probe does not panic")).collect()
    });
    let taken: Option<Vec<_>> = parts.into_iter().map(|(name, took)| Some((took?, name))).collect();
    taken?.into_iter().max().map(|(took, last)| Recovery { took, last })
}

fn until(begun: Instant, mut is_so: impl FnMut() -> bool) -> Option<Duration> {
    while begun.elapsed() < GIVEN_UP {
        if is_so() {
            return Some(begun.elapsed());
        }
        sleep(TICK);
    }
    None
}

/// Posts a record, unless it is stored already.
fn post(client: &Client, ledger: &Ledger, n: u32) -> bool {
    if ledger.is_stored(n) {
        return true;
    }
    let item = Item::Record(n);
    let request = client.request("POST", "/v1/records").timeout(TRY).header("content-type", "application/json");
    let Ok(answer) = try_send(request.body(ledger.contents.payload(item))) else { return false };
    if !matches!(answer.status, 200 | 201) {
        return false;
    }
    let result: Value = answer.json();
    let outcome = result["outcome"].as_str().unwrap_or("nothing known");
    ledger.answered(item, outcome, result["sequence"].as_u64().unwrap_or_default());
    true
}

fn give(redis: &str, key: &str, ledger: &Ledger, n: u32) -> bool {
    let item = Item::Record(n);
    let payload = ledger.contents.payload(item);
    let given = connect(redis).and_then(|mut connection| {
        let mut command = redis::cmd(if key == LIST { "LPUSH" } else { "XADD" });
        command.arg(key);
        if key == STREAM {
            command.arg("*").arg("record");
        }
        command.arg(payload).exec(&mut connection)
    });
    if given.is_ok() {
        ledger.queued(&[item]);
    }
    given.is_ok()
}
