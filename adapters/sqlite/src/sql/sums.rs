//! The SQL function `add_sums`: adds exact decimals, which SQLite itself would turn into floats.

use diesel::prelude::*;
use diesel::sql_types::Text;
use tallyhouse_core::Sum;

diesel::define_sql_function! {
    /// Adds two sums exactly. Returns an empty text if one of them is no sum.
    fn add_sums(a: Text, b: Text) -> Text;
}

/// Makes `add_sums` available on a connection.
pub(crate) fn register(db: &mut SqliteConnection) -> QueryResult<()> {
    add_sums_utils::register_impl(db, |a: String, b: String| {
        let sums = Sum::parse(&a).zip(Sum::parse(&b));
        sums.map_or_else(String::new, |(mut sum, other)| {
            sum.merge(other);
            sum.to_string()
        })
    })
}
