//! Redis for Tallyhouse: queues that records come from, channels that messages go to, and the dead letters.
//!
//! Nothing here waits for a server at the start: connections are made when they are needed, and made again when they
//! are lost. No command is ever repeated behind the caller's back, because a command whose answer was lost may have
//! been carried out. Redis 6.2 or later is needed, or a server that speaks as it does.
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
mod address;
mod link;
mod client;
mod script;
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
