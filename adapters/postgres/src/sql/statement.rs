//! A statement in SQL with typed binds, kept prepared by Diesel.
//!
//! Diesel keeps neither `sql_query` nor batch inserts prepared, which costs a parse and a plan each time. A query
//! fragment of our own is kept: Diesel's cache knows it by its text.

use std::marker::PhantomData;

use diesel::pg::{Pg, PgConnection};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::RunQueryDsl;
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::HasSqlType;

/// A statement whose rows have the SQL type `ST`, or that returns none.
pub(crate) struct Statement<'a, ST = ()> {
    parts: Vec<Part<'a>>,
    kept: bool,
    rows: PhantomData<fn() -> ST>,
}

enum Part<'a> {
    Sql(&'a str),
    Bind(Box<dyn Bind + 'a>),
}

trait Bind {
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

struct Typed<T, U>(U, PhantomData<fn() -> T>);

impl<T, U> Bind for Typed<T, U>
where
    Pg: HasSqlType<T>,
    U: ToSql<T, Pg>,
{
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<T, U>(&self.0)
    }
}

impl<'a, ST> Statement<'a, ST> {
    /// Begins a statement.
    pub(crate) fn new(sql: &'a str) -> Self {
        Self { parts: vec![Part::Sql(sql)], kept: true, rows: PhantomData }
    }

    /// Continues it.
    pub(crate) fn sql(mut self, sql: &'a str) -> Self {
        self.parts.push(Part::Sql(sql));
        self
    }

    /// Continues it by a value of the SQL type `T`.
    pub(crate) fn bind<T, U>(mut self, value: U) -> Self
    where
        T: 'a,
        Pg: HasSqlType<T>,
        U: ToSql<T, Pg> + 'a,
    {
        self.parts.push(Part::Bind(Box::new(Typed::<T, U>(value, PhantomData))));
        self
    }

    /// Leaves it out of the cache: what FETCH returns changes with the cursor that has the name.
    pub(crate) fn not_kept(mut self) -> Self {
        self.kept = false;
        self
    }
}

impl<ST> QueryFragment<Pg> for Statement<'_, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if !self.kept {
            out.unsafe_to_cache_prepared();
        }
        for part in &self.parts {
            match part {
                Part::Sql(sql) => out.push_sql(sql),
                Part::Bind(bind) => bind.push(&mut out)?,
            }
        }
        Ok(())
    }
}

impl<ST> QueryId for Statement<'_, ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Statement<'_, ST> {
    type SqlType = ST;
}

impl<ST> RunQueryDsl<PgConnection> for Statement<'_, ST> {}
