//! Lua scripts, which change several keys atomically.
//!
//! At its `maxmemory` Redis refuses every command that may need memory, including each that moves a payload, so a
//! backlog could never drain. Inside a script Redis refuses only the first write (a script that has written can't be
//! rolled back). So each script begins with a write that needs no memory and changes nothing: `PERSIST` on a key that
//! never expires.

use std::sync::OnceLock;

use redis::aio::ConnectionLike;
use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value, cmd, from_redis_value, pipe,
};

/// Payload bytes in one call of a script: the server executes nothing else meanwhile.
const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Elements in one call of a script, for the same reason.
const CALL_ELEMENTS_MAX: usize = 1000;

/// A script.
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
        connection: &mut (impl ConnectionLike + Send),
        keys: &[&str],
        args: impl Fn(&mut Cmd) + Send + Sync,
    ) -> RedisResult<T> {
        let result = command("EVALSHA", self.sha(), keys, &args).query_async(connection).await;
        match result {
            // The server has executed nothing. `EVAL` also loads the script for later calls.
            Err(error) if is_unknown_script(&error) => {
                command("EVAL", self.text, keys, &args).query_async(connection).await
            }
            result => result,
        }
    }

    /// Blocks on `wait`, whose reply the server discards, and then runs the script.
    ///
    /// A blocking read returns whole entries, however large. `CLIENT REPLY SKIP` keeps the server from sending the
    /// reply, and from building it. The server answers nothing to these two commands, so only the script's answer is
    /// expected. A server that ignored `SKIP` would answer more than that: then the answer is no answer of the script,
    /// and the connection MUST be discarded with the error.
    pub(crate) async fn run_after<T: FromRedisValue>(
        &self,
        wait: &Cmd,
        connection: &mut (impl ConnectionLike + Send),
        keys: &[&str],
        args: impl Fn(&mut Cmd) + Send + Sync,
    ) -> RedisResult<T> {
        let mut pipeline = pipe();
        pipeline.cmd("CLIENT").arg("REPLY").arg("SKIP");
        pipeline.add_command(wait.clone());
        pipeline.add_command(command("EVALSHA", self.sha(), keys, &args));
        let mut answers = connection.req_packed_commands(&pipeline, 0, 1).await?;
        match answers.pop().unwrap_or(Value::Nil).extract_error() {
            Err(error) if is_unknown_script(&error) => self.run(connection, keys, args).await,
            answer => Ok(from_redis_value(answer?)?),
        }
    }

    fn sha(&self) -> &str {
        self.sha.get_or_init(|| redis::Script::new(self.text).get_hash().to_owned())
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn command(name: &str, script: &str, keys: &[&str], args: &impl Fn(&mut Cmd)) -> Cmd {
    let mut command = cmd(name);
    command.arg(script).arg(keys.len()).arg(keys);
    args(&mut command);
    command
}

/// Splits elements into parts that one call of a script may take.
pub(crate) fn calls<T>(elements: &[T], bytes: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = elements;
    std::iter::from_fn(move || {
        let mut room = CALL_BYTES_MAX;
        let fits = |element: &&T| {
            let size = bytes(element);
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        };
        let count = rest.iter().take(CALL_ELEMENTS_MAX).take_while(fits).count().max(1).min(rest.len());
        let (part, after) = rest.split_at(count);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}
