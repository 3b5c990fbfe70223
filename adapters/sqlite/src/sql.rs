//! Diesel and SQL: the tables, statements that stay prepared, rows and filters as the core knows them, and what an error
//! means.

pub(crate) mod error;
pub(crate) mod schema;
pub(crate) mod rows;
pub(crate) mod statement;
pub(crate) mod filter;
