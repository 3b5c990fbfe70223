//! A filter as SQL.

use diesel::sql_types::{Bool, Text, Timestamptz};
use tallyhouse_core::{Filter, RecordType};

use crate::sql::row::pg_timestamp;
use crate::sql::statement::Statement;

impl<'a, ST> Statement<'a, ST> {
    /// Continues a statement on the table `records` as `r` by the conditions of a filter: `WHERE …`, to which more can
    /// be added by `AND`.
    pub(crate) fn filtered(self, filter: &'a Filter) -> Self {
        let mut statement = self.sql(" WHERE true");
        if let Some(start) = filter.start {
            statement = statement.sql(" AND r.time >= ").bind::<Timestamptz, _>(pg_timestamp(start));
        }
        if let Some(end) = filter.end {
            statement = statement.sql(" AND r.time < ").bind::<Timestamptz, _>(pg_timestamp(end));
        }
        statement.filtered_beside_time(filter)
    }

    /// Continues a statement that has a `WHERE` by the conditions of a filter other than those on time.
    pub(crate) fn filtered_beside_time(self, filter: &'a Filter) -> Self {
        let mut statement = self;
        if let Some(record_type) = filter.record_type {
            let positive = record_type == RecordType::Positive;
            statement = statement.sql(" AND r.positive = ").bind::<Bool, _>(positive);
        }
        let texts = [
            (" AND r.destination_id = ", filter.destination_id.as_ref().map(|id| id.as_str())),
            (" AND r.source_id = ", filter.source_id.as_ref().map(|id| id.as_str())),
            (" AND r.reference = ", filter.reference.as_ref().map(|reference| reference.as_str())),
            (" AND r.unit = ", filter.unit.as_ref().map(|unit| unit.as_str())),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                statement = statement.sql(condition).bind::<Text, _>(text);
            }
        }
        statement
    }
}
