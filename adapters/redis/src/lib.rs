//! Redis for Tallyhouse: record sources, dead letters, and the emitter of messages.
//!
//! Constructors connect to nothing: connections are made when they are needed, and again after they are lost. The
//! adapter repeats no command on its own, because a command whose answer was lost may have been executed. It needs
//! Redis 6.2 or later, or a compatible server.
//!
//! ```
//! use std::sync::Arc;
//! use tallyhouse_core::MessageFormat;
//! use tallyhouse_redis::{RedisClient, RedisEmitter, RedisSettings};
//!
//! # fn main() -> Result<(), tallyhouse_redis::RedisSetupError> {
//! let client = RedisClient::open(RedisSettings::new("redis://127.0.0.1:6379"))?;
//! let emitter = RedisEmitter::new(&client, MessageFormat::default());
//! # drop(emitter);
//! # Ok(())
//! # }
//! ```

mod settings;
mod error;
mod keys;
mod connection;
mod client;
mod oversize;
mod entry;
mod list;
mod stream;
mod dead_letter;
mod dead_letters;
mod emitter;

pub use client::{QueueFigures, RedisClient};
pub use dead_letters::RedisDeadLetters;
pub use emitter::RedisEmitter;
pub use error::RedisSetupError;
pub use list::RedisListSource;
pub use settings::RedisSettings;
pub use stream::RedisStreamSource;
