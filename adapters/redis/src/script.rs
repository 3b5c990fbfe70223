//! Lua scripts, by which several keys change together.
//!
//! At its `maxmemory` Redis refuses commands that could need more memory, which is all that move a payload, and so a
//! backlog could never drain. Inside a script only the first write is refused so (from then on it could not be undone),
//! on every version of Redis. That is why each script here begins with a write that needs no memory and does nothing,
//! as `PERSIST` on a key that never expires.

use std::sync::OnceLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, cmd};

/// One script.
pub(crate) struct Script {
    text: &'static str,
    sha: OnceLock<String>,
}

impl Script {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self { text, sha: OnceLock::new() }
    }

    /// Runs the script; `args` adds its arguments to a command.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        link: &mut (impl ConnectionLike + Send),
        keys: &[&str],
        args: impl Fn(&mut Cmd) + Send + Sync,
    ) -> RedisResult<T> {
        let sha = self.sha.get_or_init(|| redis::Script::new(self.text).get_hash().to_owned());
        let result = command("EVALSHA", sha, keys, &args).query_async(link).await;
        match result {
            // The server has not run it, and knows it from the next command on.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                command("EVAL", self.text, keys, &args).query_async(link).await
            }
            result => result,
        }
    }
}

fn command(name: &str, script: &str, keys: &[&str], args: &impl Fn(&mut Cmd)) -> Cmd {
    let mut command = cmd(name);
    command.arg(script).arg(keys.len()).arg(keys);
    args(&mut command);
    command
}
