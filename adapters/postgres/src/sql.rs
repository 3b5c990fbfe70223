//! Diesel and SQL: statements that stay prepared, rows and filters as the core knows them, and what an error means.

pub(crate) mod error;
pub(crate) mod statement;
pub(crate) mod row;
pub(crate) mod filter;
