//! Statements in plain SQL that stay prepared.

use std::marker::PhantomData;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;

/// A statement in plain SQL with `N` texts for its question marks and rows of the SQL type `ST`.
///
/// Diesel prepares a `sql_query` anew at each call. This one is kept like those of the query builder, by its text,
/// for what the query builder can't say. The SQL must hold `N` question marks and no other (nor in a literal).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statement<'a, ST, const N: usize> {
    sql: &'static str,
    texts: [&'a str; N],
    rows: PhantomData<ST>,
}

impl<'a, ST, const N: usize> Statement<'a, ST, N> {
    pub(crate) fn new(sql: &'static str, texts: [&'a str; N]) -> Self {
        Self { sql, texts, rows: PhantomData }
    }
}

impl<ST, const N: usize> QueryFragment<Sqlite> for Statement<'_, ST, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut pieces = self.sql.split('?');
        out.push_sql(pieces.next().unwrap_or_default());
        for (text, piece) in self.texts.iter().zip(pieces) {
            out.push_bind_param::<Text, _>(text)?;
            out.push_sql(piece);
        }
        Ok(())
    }
}

/// Known by its text: two statements have the same type.
impl<ST, const N: usize> QueryId for Statement<'_, ST, N> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST, const N: usize> Query for Statement<'_, ST, N> {
    type SqlType = ST;
}

impl<ST, const N: usize> RunQueryDsl<SqliteConnection> for Statement<'_, ST, N> {}

/// A statement in SQL that is put together from pieces, with rows of the SQL type `ST`. It is kept prepared by its
/// text.
pub(crate) struct Composed<'a, ST> {
    pieces: Vec<Piece<'a>>,
    rows: PhantomData<ST>,
}

enum Piece<'a> {
    Sql(&'static str),
    Int(i64),
    Text(&'a str),
}

impl<'a, ST> Composed<'a, ST> {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self { pieces: vec![Piece::Sql(sql)], rows: PhantomData }
    }

    /// Continues it.
    pub(crate) fn sql(self, sql: &'static str) -> Self {
        self.push(Piece::Sql(sql))
    }

    /// Continues it by a number.
    pub(crate) fn bind_int(self, number: i64) -> Self {
        self.push(Piece::Int(number))
    }

    /// Continues it by a text.
    pub(crate) fn bind_text(self, text: &'a str) -> Self {
        self.push(Piece::Text(text))
    }

    fn push(mut self, piece: Piece<'a>) -> Self {
        self.pieces.push(piece);
        self
    }
}

impl<ST> QueryFragment<Sqlite> for Composed<'_, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        for piece in &self.pieces {
            match piece {
                Piece::Sql(sql) => out.push_sql(sql),
                Piece::Int(number) => out.push_bind_param::<BigInt, _>(number)?,
                Piece::Text(text) => out.push_bind_param::<Text, _>(text)?,
            }
        }
        Ok(())
    }
}

/// Known by its text: two statements have the same type.
impl<ST> QueryId for Composed<'_, ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Composed<'_, ST> {
    type SqlType = ST;
}

impl<ST> RunQueryDsl<SqliteConnection> for Composed<'_, ST> {}
