//! The routes: one table of paths with their methods, and how a path is matched.

pub(crate) mod table;
pub(crate) mod matching;
