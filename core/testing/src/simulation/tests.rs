//! Thousands of worlds, and that each repeats itself.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::thread;

use super::*;

/// The seeds of every test run: as many as take less than a minute on two slow cores.
const SEEDS: Range<u64> = 0..4_000;
const SEEDS_OF_HISTORIES: Range<u64> = 0..2_000;
const SEEDS_OF_RETURNS: Range<u64> = 0..2_000;

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "which seeds to run is no setting of the service")]
    std::env::var(name).ok()
}

fn seeds(default: Range<u64>) -> Range<u64> {
    let number = |text: &str| text.parse().expect("a seed is a number");
    if let Some(seed) = variable("TALLYHOUSE_SEED") {
        let seed: u64 = number(&seed);
        return seed..seed + 1;
    }
    let Some(range) = variable("TALLYHOUSE_SEEDS") else { return default };
    let (first, end) = range.split_once("..").expect("seeds are <first>..<end>");
    number(first)..number(end)
}

/// Runs every seed, on all cores; stops at the first that fails, and returns how it ended.
fn first_failure(seeds: Range<u64>, histories: Histories) -> Option<(u64, Vec<String>)> {
    let (next, polls, failure) = (AtomicU64::new(seeds.start), AtomicU64::new(0), std::sync::Mutex::new(None));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end || failure.lock().unwrap().is_some() {
                return;
            }
            let end = run(seed, histories, false);
            polls.fetch_add(end.polls, Ordering::SeqCst);
            if !end.wrong.is_empty() {
                failure.lock().unwrap().get_or_insert((seed, end.wrong));
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    println!("{} polls", polls.load(Ordering::SeqCst));
    failure.into_inner().unwrap()
}

#[track_caller]
fn check(test: &str, seeds: Range<u64>, histories: Histories) {
    if let Some((seed, wrong)) = first_failure(seeds, histories) {
        // Once more, to write down what happens.
        let End { trace, .. } = run(seed, histories, true);
        panic!(
            "{trace}\nThe seed {seed} fails:\n{}\nAgain: TALLYHOUSE_SEED={seed} cargo test -p tallyhouse-testing {test}",
            wrong.join("\n")
        );
    }
}

#[test]
fn every_promise_holds_in_thousands_of_worlds_with_faults() {
    check("thousands_of_worlds", seeds(SEEDS), Histories::One);
}

#[test]
fn every_promise_holds_where_history_goes_back_and_clocks_jump() {
    check("history_goes_back", seeds(SEEDS_OF_HISTORIES), Histories::Several);
}

#[test]
fn every_promise_holds_where_the_store_leaves_its_history_and_returns() {
    check("history_and_returns", seeds(SEEDS_OF_RETURNS), Histories::Returning);
}

#[test]
fn a_seed_gives_the_same_events_to_the_letter() {
    let all = [Histories::One, Histories::Several, Histories::Returning];
    for (seed, histories) in (0..20).flat_map(|seed| all.map(|histories| (seed, histories))) {
        let (once, again) = (run(seed, histories, true), run(seed, histories, true));
        assert!(once.trace.lines().count() > 50, "hardly anything happens: {}", once.trace);
        assert!(once == again, "seed {seed} gives different events");
    }
    assert_ne!(run(0, Histories::One, true).trace, run(1, Histories::One, true).trace);
}

/// The events come from chance: how many worlds it takes to see each of them says nothing, that the worlds of
/// a test run have it does.
#[test]
fn histories_change_in_every_way() {
    let mut missing = vec![
        "the store goes back",
        "the standby is cut",
        "hears that the history has changed",
        "of the store jumps",
        "lies ahead",
        "the acknowledgement of",
        "Some(Ok([\"duplicate\"",
    ];
    assert!(
        SEEDS_OF_RETURNS.take(20).any(|seed| run(seed, Histories::Returning, true).trace.contains("the store returns")),
        "the store never returns to a state that it left"
    );
    for seed in SEEDS_OF_HISTORIES {
        let trace = run(seed, Histories::Several, true).trace;
        missing.retain(|event| !trace.contains(event));
        if missing.is_empty() {
            return;
        }
    }
    panic!("never in {SEEDS_OF_HISTORIES:?}: {missing:?}");
}
