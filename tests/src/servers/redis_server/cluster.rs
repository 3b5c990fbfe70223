//! A Redis Cluster of three masters without replicas.

use anyhow::{Result, ensure};
use std::process::Command;

use super::{RedisOptions, RedisServer, wait_until};

/// A running cluster.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts three masters and gives them the slots.
    ///
    /// # Errors
    /// The servers do not start, or do not agree.
    pub fn start() -> Result<Self> {
        let settings = vec![
            ("cluster-enabled".to_owned(), "yes".to_owned()),
            // Three processes that share two cores with a test may be late with their answers.
            ("cluster-node-timeout".to_owned(), "5000".to_owned()),
        ];
        let options = RedisOptions { settings, ..RedisOptions::default() };
        let nodes = (0..3).map(|_| RedisServer::start_with(options.clone())).collect::<Result<Vec<_>>>()?;
        let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port()));
        let output =
            Command::new("redis-cli").args(["--cluster", "create"]).args(addresses).arg("--cluster-yes").output()?;
        ensure!(output.status.success(), "redis-cli --cluster create: {}", String::from_utf8_lossy(&output.stdout));
        for node in &nodes {
            wait_until(|| Ok(node.cli(&["CLUSTER", "INFO"])?.contains("cluster_state:ok")))?;
        }
        Ok(Self { nodes })
    }

    /// Returns the URL that names all nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Returns the nodes.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Runs `redis-cli` so that it follows redirections to the node that has the key.
    ///
    /// # Errors
    /// It fails, or prints an error.
    pub fn cli(&self, args: &[&str]) -> Result<String> {
        self.nodes[0].cli(&[&["-c"], args].concat())
    }
}
