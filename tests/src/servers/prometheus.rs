//! A real Prometheus, which scrapes services once a second and is asked for what it found.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::http::{Client, try_send};
use crate::servers::service::Service;
use crate::wait;

/// A server starts within this time, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Prometheus of its own, in a temporary folder; it goes with this.
#[derive(Debug)]
pub struct Prometheus {
    process: Child,
    client: Client,
    folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these services, as the job `tallyhouse`, and evaluates a file of rules.
    ///
    /// # Panics
    /// It does not start; `./test.sh` installs it.
    #[must_use]
    #[track_caller]
    pub fn start(services: &[&Service], rules: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("tallyhouse-prometheus-").tempdir().expect("a folder can be made");
        let targets: Vec<String> = services.iter().map(|service| service.address().to_string()).collect();
        // JSON is YAML, too.
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [{"job_name": "tallyhouse", "static_configs": [{"targets": targets}]}],
        });
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string()).expect("a file can be written");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file can be made");
        let mut command = Command::new("prometheus");
        command.current_dir(folder.path()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={free}"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let process = process.expect("Prometheus is there: `./test.sh` installs it");
        let started = Self { process, client: Client::new(&format!("http://{free}")), folder };
        let is_ready = || {
            let answer = try_send(started.client.request("GET", "/-/ready")).ok()?;
            (answer.status == 200).then_some(())
        };
        assert!(wait::within(PATIENCE, is_ready).is_some(), "Prometheus does not start:\n{}", started.log());
        started
    }

    /// Asks a query, and returns the values of its series now.
    ///
    /// # Panics
    /// It is no query.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, query: &str) -> Vec<f64> {
        let request = self.client.request("GET", "/api/v1/query").query(&[("query", query)]);
        let answer = try_send(request).expect("Prometheus answers");
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let answer = answer.json();
        let result = &answer["data"]["result"];
        // A scalar comes as its time and value alone.
        let series: Vec<&Value> = match answer["data"]["resultType"].as_str() {
            Some("scalar") => vec![&result[1]],
            _ => result.as_array().expect("a list of series").iter().map(|series| &series["value"][1]).collect(),
        };
        series.into_iter().map(|value| value.as_str().expect("text").parse().expect("a number")).collect()
    }

    /// Returns the rules, each with its state.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    #[track_caller]
    pub fn rules(&self) -> Vec<Value> {
        let answer = self.client.get("/api/v1/rules").expect_status(200).json();
        let groups = answer["data"]["groups"].as_array().expect("a list of groups").clone();
        groups.iter().flat_map(|group| group["rules"].as_array().expect("a list of rules").clone()).collect()
    }

    /// Returns what it logged.
    #[must_use]
    pub fn log(&self) -> String {
        let path: PathBuf = self.folder.path().join("log");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
