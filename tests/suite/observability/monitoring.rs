//! What is in `deploy/` for Prometheus and Grafana, tried with the real thing: a Prometheus scrapes a service under
//! load, and every query of the dashboard, of the rules and of docs/METRICS.md has an answer in it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallyhouse_tests::data::records::{many, record_with};
use tallyhouse_tests::folder::workspace;
use tallyhouse_tests::servers::fleet::{self, Fleet};
use tallyhouse_tests::servers::prometheus::Prometheus;
use tallyhouse_tests::servers::service::Options;

/// After some seconds of load everything has been scraped twice.
const PATIENCE: Duration = Duration::from_secs(30);

fn deploy(path: &str) -> PathBuf {
    workspace().join("deploy").join(path)
}

/// Runs Prometheus' own tool, which must find nothing.
#[track_caller]
fn promtool(args: &[&str], input: &str) -> String {
    let mut command = Command::new("promtool");
    command.args(args).current_dir(workspace().join("deploy/prometheus"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().expect("promtool is there: `./test.sh` installs it with Prometheus");
    running.stdin.take().expect("it has an input").write_all(input.as_bytes()).expect("it reads");
    let output = running.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {said}");
    said
}

#[test]
fn the_files_for_prometheus_are_right_and_every_alert_fires_on_what_it_is_for() {
    promtool(&["check", "config", "prometheus.yml"], "");
    // Debian's build knows no discovery by Kubernetes, and the file of the key is in the cluster alone.
    let text = std::fs::read_to_string(deploy("prometheus/kubernetes.yml")).expect("the file is there");
    let discovery = "kubernetes_sd_configs:\n      - role: pod\n        selectors: \
                     [{ role: pod, label: app.kubernetes.io/name=tallyhouse }]\n";
    assert!(text.contains(discovery), "{text}");
    let known = text.replace(discovery, "static_configs: [{ targets: [\"127.0.0.1:8080\"] }]\n");
    promtool(&["check", "config", "--syntax-only", "/dev/stdin"], &known);
    promtool(&["check", "rules", "tallyhouse.rules.yml"], "");
    promtool(&["test", "rules", "tallyhouse.tests.yml"], "");
    let read = |name: &str| std::fs::read_to_string(deploy(name)).expect("the file is there");
    let (rules, tests) = (read("prometheus/tallyhouse.rules.yml"), read("prometheus/tallyhouse.tests.yml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        for test in [format!("alertname: {alert} "), format!("alertname=\"{alert}\"")] {
            assert!(tests.contains(&test), "{alert} is not tested both ways");
        }
    }
}

/// A question that somebody will have: where it stands, and what it asks.
struct Question {
    at: String,
    query: String,
}

/// The questions of the dashboard, with its variables filled in as Grafana does.
fn of_dashboard() -> Vec<Question> {
    let text = std::fs::read_to_string(deploy("grafana/tallyhouse.json")).expect("the dashboard is there");
    let dashboard: Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels").clone();
    let mut questions = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().expect("a panel has a title");
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title} says what it shows");
        for target in panel["targets"].as_array().expect("it asks something") {
            let query = target["expr"].as_str().expect("a query");
            let query = query.replace("$__rate_interval", "1m").replace("$job", "tallyhouse");
            questions.push(Question { at: format!("panel {title}"), query });
        }
    }
    questions
}

/// The questions of docs/METRICS.md.
fn of_catalogue() -> Vec<Question> {
    let page = std::fs::read_to_string(workspace().join("docs/METRICS.md")).expect("the page is there");
    let (_, table) = page.split_once("## Queries").expect("it has queries");
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    rows.flat_map(|row| {
        let (question, queries) = row[2..].split_once(" | ").expect("two columns");
        let queries = queries.split('`').skip(1).step_by(2).map(|query| query.replace("\\|", "|"));
        queries.map(|query| Question { at: format!("question {question}"), query }).collect::<Vec<_>>()
    })
    .collect()
}

/// The questions of the rules. Of an alert, what it looks at: where all is well, it finds nothing to tell.
fn of_rules(prometheus: &Prometheus) -> Vec<Question> {
    let rules = prometheus.rules();
    assert!(rules.len() > 15, "the rules are loaded: {rules:?}");
    let question = |rule: &Value| {
        let (name, query) = (rule["name"].as_str().expect("a name"), rule["query"].as_str().expect("a query"));
        let looked_at = match rule["type"] == "alerting" {
            true => query.rsplit_once(" > ").or_else(|| query.rsplit_once(" == ")).expect("it has a threshold").0,
            false => query,
        };
        Question { at: format!("rule {name}"), query: looked_at.to_owned() }
    };
    rules.iter().map(question).collect()
}

/// Sends what a busy day brings, until told to stop.
fn load(fleet: &Fleet, over: &AtomicBool) {
    let http = fleet.instances[0].http();
    // There is room for one: the other one is refused.
    let _streams = ["notifications", "alerts"].map(|topic| http.request("GET", &format!("/v1/{topic}/stream")).send());
    fleet::push_payloads(&fleet.redis, [b"{".as_slice()].into_iter());
    for round in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let records = many(&format!("r{round}"), 60);
        http.record(&records[0]);
        http.record(&record_with("large", json!({"value": round.to_string()})));
        http.record(&record_with(&format!("large-{round}"), json!({"value": "10001"})));
        http.batch(&records[..20]);
        fleet::push(&fleet.redis, &records[20..40]);
        fleet::add(&fleet.redis, &records[40..]);
        http.get("/v1/aggregates?records=false").expect_status(200);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ends the load, also where the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks until every question has an answer that is a number; returns those that have none.
fn ask_all<'q>(prometheus: &Prometheus, questions: &'q [Question]) -> Vec<&'q Question> {
    let deadline = Instant::now() + PATIENCE;
    let mut open: Vec<&Question> = questions.iter().collect();
    loop {
        open.retain(|question| !prometheus.ask(&question.query).iter().any(|value| value.is_finite()));
        if open.is_empty() || Instant::now() > deadline {
            return open;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_prometheus_that_scrapes_a_busy_service_answers_every_query_there_is() {
    let fleet = Fleet::start_with(1, &Options::new().env("TALLYHOUSE_HTTP__EVENT_STREAMS_MAX", "1"));
    let prometheus = Prometheus::start(&[&fleet.instances[0]], &deploy("prometheus/tallyhouse.rules.yml"));
    let over = AtomicBool::new(false);
    let (questions, unanswered) = std::thread::scope(|scope| {
        let _ends = Ends(&over);
        scope.spawn(|| load(&fleet, &over));
        let mut questions = of_dashboard();
        questions.extend(of_catalogue());
        questions.extend(of_rules(&prometheus));
        let unanswered =
            ask_all(&prometheus, &questions).into_iter().map(|open| format!("{}: {}", open.at, open.query));
        let unanswered: Vec<String> = unanswered.collect();
        (questions, unanswered)
    });
    assert!(unanswered.is_empty(), "without data:\n{}\n{}", unanswered.join("\n"), prometheus.log());
    for kind in ["panel", "question", "rule"] {
        let named: BTreeSet<&str> = questions.iter().map(|q| &*q.at).filter(|at| at.starts_with(kind)).collect();
        assert!(named.len() > 15, "{named:?}");
        println!("{0} of {0} {kind}s with data", named.len());
    }
    let broken: Vec<Value> = prometheus.rules().into_iter().filter(|rule| rule["health"] != "ok").collect();
    assert!(broken.is_empty(), "{broken:?}");
    let page = fleet.instances[0].http().get("/metrics").expect_status(200);
    assert_eq!(promtool(&["check", "metrics"], page.text()), "", "promtool has something to say of the page");
}
