//! The routes: one table of paths with their methods, and the matching of a path.

pub(crate) mod table;
pub(crate) mod matching;
