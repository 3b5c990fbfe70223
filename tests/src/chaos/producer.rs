//! Producers: each sends at a steady rate by one ingress, and repeats each record until it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::chaos::content::Item;
use crate::chaos::ledger::Ledger;
use crate::chaos::{http_ingress::HttpIngress, queue_ingress::QueueIngress};
use crate::data::seed::Seed;

/// A way in.
pub(crate) trait Ingress {
    /// Sends items, notes in the ledger what was answered, and returns those that were not.
    fn send(&mut self, items: Vec<Item>) -> Vec<Item>;
}

/// The ways in, with the share of the whole rate and how many items go at once.
const INGRESSES: [(&str, u32, u32); 7] = [
    ("single", 10, 1),
    ("single", 10, 1),
    ("single", 10, 1),
    ("json", 20, 20),
    ("ndjson", 20, 20),
    ("list", 15, 10),
    ("stream", 15, 10),
];

/// What all producers share.
#[derive(Debug, Clone)]
pub(crate) struct ProducerContext {
    pub(crate) ledger: Arc<Ledger>,
    /// The URLs of the instances.
    pub(crate) instances: Vec<String>,
    /// The URL of Redis.
    pub(crate) redis: String,
    /// Nothing new is sent any more.
    pub(crate) ending: Arc<AtomicBool>,
}

/// Starts all producers, with this many items a second altogether. Each ends when all that it has sent is answered.
pub(crate) fn start(
    context: &ProducerContext,
    rate: u32,
    seed: &mut Seed,
) -> Vec<(&'static str, std::thread::JoinHandle<()>)> {
    let start = |(turn, (name, share, at_once)): (usize, (&'static str, u32, u32))| {
        let (context, seed) = (context.clone(), Seed::again(seed.bits()));
        let interval = Duration::from_secs(1) * at_once * 100 / (share * rate).max(1);
        let work = move || {
            let mut ingress: Box<dyn Ingress> = match name {
                "list" | "stream" => Box::new(QueueIngress::new(&context, name)),
                _ => Box::new(HttpIngress::new(&context, name, turn)),
            };
            produce(&mut *ingress, &context, interval, at_once as usize, seed);
        };
        (name, std::thread::spawn(work))
    };
    INGRESSES.into_iter().enumerate().map(start).collect()
}

fn produce(ingress: &mut dyn Ingress, context: &ProducerContext, interval: Duration, at_once: usize, mut seed: Seed) {
    let mut items: Vec<Item> = Vec::new();
    let mut next = Instant::now();
    loop {
        if !context.ending.load(Ordering::Relaxed) {
            while items.len() < at_once {
                items.push(context.ledger.draw(&mut seed));
            }
        } else if items.is_empty() {
            return;
        }
        items = ingress.send(items);
        if !items.is_empty() {
            context.ledger.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        // What was missed while the ingress was shut is not made up for.
        next = (next + interval).max(Instant::now());
        sleep(next.saturating_duration_since(Instant::now()).max(interval / 10));
    }
}
