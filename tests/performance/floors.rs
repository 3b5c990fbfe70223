//! Programs that do no more than they must: the floors of the figures.

pub(crate) mod bare_http;
pub(crate) mod bare_postgres;
