//! What the service of the pictures is given to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tallyhouse_tests::clients::http::Client;
use tallyhouse_tests::data::flights::month;
use tallyhouse_tests::servers::fleet::{self, Fleet};
use tallyhouse_tests::wait;

/// How often something is sent.
const EVERY: Duration = Duration::from_millis(250);

/// Records a second, at first; it swings, as traffic does.
const RATE: f64 = 60.0;

/// Sends flights by HTTP and by the queue for as long as `work` takes.
pub(crate) fn beside(fleet: &Fleet, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(fleet, &over));
        let until_here = Until(&over);
        work()?;
        drop(until_here);
        sending.join().expect("sending does not panic")
    })
}

/// Says that it is over when dropped, also on a panic.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends one record after another until the queue has been refused so much.
pub(crate) fn until_refused(fleet: &Fleet, refused: usize) -> Result<()> {
    let (http, mut flights) = (fleet.instances[0].http(), month().into_iter());
    wait::until("dead letters", || {
        let flight = flights.next()?;
        http.record(&flight);
        (fleet.dead_letters() == refused).then_some(())
    });
    Ok(())
}

fn send(fleet: &Fleet, over: &AtomicBool) -> Result<()> {
    let (http, mut flights, began) = (fleet.instances[0].http(), month().into_iter(), Instant::now());
    let mut sent = Vec::new();
    for round in 0_usize.. {
        if over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let now = began.elapsed().as_secs_f64();
        let rate = RATE * (1.0 + 0.35 * (now / 23.0).sin() + 0.2 * (now / 5.3).sin());
        let fresh: Vec<Value> = flights.by_ref().take(whole(rate * EVERY.as_secs_f64())).collect();
        ensure!(!fresh.is_empty(), "the month is over");
        if round.is_multiple_of(4) {
            fleet::push(&fleet.redis, &fresh);
        } else {
            batch(&http, &fresh, &sent, round);
        }
        sent = fresh;
        sleep(EVERY);
    }
    Ok(())
}

/// Sends records, some that were sent before, and now and then one that is at odds with it or with the rules.
fn batch(http: &Client, fresh: &[Value], before: &[Value], round: usize) {
    let repeats = before.iter().take(2 + round / 40 % 3);
    let mut records: Vec<Value> = fresh.iter().chain(repeats).cloned().collect();
    if let Some(other) = before.first().filter(|_| round.is_multiple_of(9)) {
        let mut other = other.clone();
        other["value"] = json!("1234");
        records.push(other);
    }
    if round.is_multiple_of(14) {
        records.push(json!({"recordId": "no-record"}));
    }
    http.batch(&records);
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of records")]
fn whole(number: f64) -> usize {
    number.round() as usize
}
