//! Describes the machine and the software versions of a measurement.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::bench::world::World;
use crate::folder::{binary, workspace};

/// The machine and the programs on it.
#[derive(Debug, Clone)]
pub struct Machine(Vec<(&'static str, String)>);

impl Machine {
    /// Looks at the machine, and asks the servers who they are.
    #[must_use]
    pub fn look(world: &World) -> Self {
        let cores = std::thread::available_parallelism().map_or_else(|_| "?".to_owned(), |cores| cores.to_string());
        let memory =
            line_of("/proc/meminfo", "MemTotal:").and_then(|text| text.split_whitespace().next()?.parse().ok());
        let memory = memory.map_or_else(|| "?".to_owned(), |kib: u64| format!("{:.1} GiB", kib as f64 / 1_048_576.0));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let redis = world.redis.cli(&["INFO", "server"]).unwrap_or_default();
        let redis = redis.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("?").trim().to_owned();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self(vec![
            ("processor", line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "?".to_owned())),
            ("cores", cores),
            ("memory", memory),
            ("load before", load.split_whitespace().next().unwrap_or("?").to_owned()),
            ("kernel", kernel.trim().to_owned()),
            ("Postgres", world.postgres.psql("postgres", "SHOW server_version").unwrap_or_else(|_| "?".to_owned())),
            ("Redis", redis),
            ("rustc", said("rustc", &["--version"])),
            ("tallyhouse", said(&binary().display().to_string(), &["--version"])),
            ("commit", said("git", &["describe", "--always", "--dirty"])),
            ("build", if cfg!(debug_assertions) { "debug: of no use as a figure" } else { "release" }.to_owned()),
        ])
    }

    /// Returns one line of text.
    #[must_use]
    pub fn line(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("; ")
    }

    /// Returns an object.
    #[must_use]
    pub fn json(&self) -> Value {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into()
    }
}

fn line_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([':', ' ', '\t']).trim().to_owned())
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(workspace()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "?".to_owned())
}
