//! Followers see every message of all instances, in order, without a gap.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tallyhouse_core::ports::{Batch, RecordRepository as _};
use tallyhouse_core::{Arrival, Rule, RuleDraft, RuleSet, Timestamp};
use tallyhouse_testing::generate;

use super::*;
use crate::settings::PipelineSettings;
use crate::test_harness::{Instance, PausedClock, faulty_repository};

const POLL_INTERVAL: Duration = Duration::from_secs(1);

fn feed(instance: &Instance) -> Feed {
    Feed::new(instance.repository.clone(), PausedClock::start(), instance.pipeline.watch_commits(), POLL_INTERVAL)
}

async fn process(instance: &Instance, ids: std::ops::Range<usize>, value: &str) {
    for id in ids {
        instance.pipeline.process(generate::record(&format!("r{id}"), "d", "", value, "EUR")).await.unwrap();
    }
}

fn ids(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::id).collect()
}

#[tokio::test(start_paused = true)]
async fn pages_go_on_where_the_last_one_ended() {
    let instance = Instance::start(PipelineSettings::default());
    process(&instance, 0..25, "5").await;
    let feed = feed(&instance);
    let (mut after, mut seen) = (Cursor::START, Vec::new());
    loop {
        let page = feed.page(Topic::Notifications, after, 10).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.cursor().to_string().parse().unwrap();
        seen.extend(ids(&page));
    }
    assert_eq!(seen, (0..25).map(|i| format!("r{i}")).collect::<Vec<_>>());
    assert!(feed.page(Topic::Alerts, Cursor::START, 10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn alerts_of_one_record_are_paged_one_by_one() {
    let repository = faulty_repository(PausedClock::start());
    let rule = |name: &str| {
        Rule::new(RuleDraft { name: name.to_owned(), threshold: "1".to_owned(), ..RuleDraft::default() }).unwrap()
    };
    let record = |id: &str, value: &str| Arrival::from(generate::record(id, "d", "", value, "EUR"));
    let batch = Batch {
        arrivals: [record("a", "2"), record("quiet", "1"), record("b", "2")].into(),
        rules: Arc::new(RuleSet::new(["x", "y", "z"].map(rule)).unwrap().into()),
        now: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(),
        owner: None,
        published: Vec::new(),
    };
    repository.inner.commit(batch).await.unwrap();
    let instance = Instance::on(repository, "i", PipelineSettings::default());
    let feed = feed(&instance);
    for limit in 1..8 {
        let (mut after, mut seen) = (Cursor::START, Vec::new());
        loop {
            let page = feed.page(Topic::Alerts, after, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = last.cursor().to_string().parse().unwrap();
            seen.extend(ids(&page));
        }
        assert_eq!(seen, ["a/x", "a/y", "a/z", "b/x", "b/y", "b/z"], "limit {limit}");
    }
    assert!(feed.page(Topic::Alerts, feed.head().await.unwrap(), 10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_follower_sees_new_messages_at_once() {
    let instance = Instance::start(PipelineSettings::default());
    process(&instance, 0..5, "5").await;
    let mut follower = pin!(feed(&instance).follow(Topic::Notifications, None).await.unwrap());
    process(&instance, 5..7, "5").await;
    let begun = tokio::time::Instant::now();
    assert_eq!(follower.next().await.unwrap().unwrap().id(), "r5");
    assert_eq!(follower.next().await.unwrap().unwrap().id(), "r6");
    let (next, ()) = tokio::join!(follower.next(), async {
        tokio::task::yield_now().await;
        process(&instance, 7..8, "5").await;
    });
    assert_eq!(next.unwrap().unwrap().id(), "r7");
    assert!(begun.elapsed() < POLL_INTERVAL, "a commit of this instance wakes it");
}

#[tokio::test(start_paused = true)]
async fn a_follower_resumes_without_a_gap_and_sees_the_commits_of_other_instances() {
    let repository = faulty_repository(PausedClock::start());
    let here = Instance::on(Arc::clone(&repository), "here", PipelineSettings::default());
    let there = Instance::on(repository, "there", PipelineSettings::default());
    process(&there, 0..300, "5").await;
    let after: Cursor = "150".parse().unwrap();
    let follower = feed(&here).follow(Topic::Notifications, Some(after)).await.unwrap();
    let mut follower = pin!(follower.map(|next| next.unwrap().id()));
    for i in 150..300 {
        assert_eq!(follower.next().await.unwrap(), format!("r{i}"));
    }
    let (next, ()) = tokio::join!(follower.next(), async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        process(&there, 300..301, "5").await;
    });
    assert_eq!(next.unwrap(), "r300");
}

#[tokio::test(start_paused = true)]
async fn a_follower_of_a_closed_pipeline_still_polls() {
    let repository = faulty_repository(PausedClock::start());
    let here = Instance::on(Arc::clone(&repository), "here", PipelineSettings::default());
    let there = Instance::on(repository, "there", PipelineSettings::default());
    let mut follower = pin!(feed(&here).follow(Topic::Notifications, None).await.unwrap());
    here.stop().await;
    let (next, ()) = tokio::join!(follower.next(), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        process(&there, 0..1, "5").await;
    });
    assert_eq!(next.unwrap().unwrap().id(), "r0");
}

/// Makes a store of some records and takes it back to the first five of them; then others take their positions.
async fn taken_back(records: usize) -> (Instance, Cursor) {
    let instance = Instance::start(PipelineSettings::default());
    process(&instance, 0..5, "5000").await;
    let earlier = instance.repository.inner.snapshot();
    process(&instance, 5..15, "5000").await;
    let cursor = feed(&instance).head().await.unwrap();
    instance.repository.inner.restore(earlier);
    process(&instance, 100..100 + records, "5000").await;
    (instance, cursor)
}

async fn check_changed(feed: &Feed, topic: Topic, cursor: Cursor) {
    let head = feed.head().await.unwrap();
    let changed = |error: FeedError| match error {
        FeedError::HistoryChanged { head } => head,
        FeedError::Port(error) => unreachable!("{error}"),
    };
    assert_eq!(changed(feed.page(topic, cursor, 10).await.unwrap_err()), head, "{cursor}");
    assert_eq!(changed(feed.follow(topic, Some(cursor)).await.map(drop).unwrap_err()), head, "{cursor}");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_beyond_the_head_or_of_another_record_is_refused_with_the_head() {
    for records in [0, 3, 10, 20] {
        let (instance, cursor) = taken_back(records).await;
        let feed = feed(&instance);
        for topic in Topic::ALL {
            check_changed(&feed, topic, cursor).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bare_position_is_judged_by_the_head() {
    let (instance, _) = taken_back(3).await;
    let feed = feed(&instance);
    for topic in Topic::ALL {
        check_changed(&feed, topic, "9".parse().unwrap()).await;
        assert!(feed.page(topic, "8".parse().unwrap(), 10).await.unwrap().is_empty());
        assert_eq!(ids(&feed.page(Topic::Notifications, "7".parse().unwrap(), 10).await.unwrap()), ["r102"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_what_was_kept_stays_good() {
    let instance = Instance::start(PipelineSettings::default());
    process(&instance, 0..5, "5000").await;
    let (feed, earlier) = (feed(&instance), instance.repository.inner.snapshot());
    let cursors = Topic::ALL.map(|topic| (topic, feed.page(topic, Cursor::START, 3)));
    let mut kept = Vec::new();
    for (topic, page) in cursors {
        kept.push((topic, page.await.unwrap().last().unwrap().cursor()));
    }
    process(&instance, 5..15, "5000").await;
    instance.repository.inner.restore(earlier);
    process(&instance, 100..101, "5000").await;
    for (topic, cursor) in kept {
        let next = feed.page(topic, cursor, 10).await.unwrap();
        assert_eq!(next.len(), 3, "two that were kept, and the new one");
    }
}

/// A cursor that is a number alone names no record, but the stream that begins there knows the one that it found.
#[tokio::test(start_paused = true)]
async fn a_stream_from_a_number_alone_ends_when_the_store_goes_back() {
    for topic in Topic::ALL {
        let instance = Instance::start(PipelineSettings::default());
        process(&instance, 0..5, "5000").await;
        let earlier = instance.repository.inner.snapshot();
        process(&instance, 5..10, "5000").await;
        let number = "10".parse::<Cursor>().unwrap();
        let mut follower = pin!(feed(&instance).follow(topic, Some(number)).await.unwrap());
        instance.repository.inner.restore(earlier);
        process(&instance, 100..110, "5000").await;
        loop {
            match follower.next().await.unwrap() {
                // The further alerts of the record at the cursor.
                Ok(message) => assert_eq!(message.position().record, 10),
                Err(error) => break assert!(matches!(error, FeedError::HistoryChanged { .. })),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_ends_when_the_store_goes_back() {
    for records in [0, 3, 10, 20] {
        let instance = Instance::start(PipelineSettings::default());
        process(&instance, 0..5, "5").await;
        let earlier = instance.repository.inner.snapshot();
        process(&instance, 5..15, "5").await;
        let mut follower = pin!(feed(&instance).follow(Topic::Notifications, Some(Cursor::START)).await.unwrap());
        for _ in 0..15 {
            follower.next().await.unwrap().unwrap();
        }
        instance.repository.inner.restore(earlier);
        process(&instance, 100..100 + records, "5").await;
        assert!(matches!(follower.next().await, Some(Err(FeedError::HistoryChanged { .. }))), "{records}");
        assert!(follower.next().await.is_none());
    }
}
