//! Matches a path with the table of routes.
//!
//! Fixed segments must match byte by byte, so that a proxy in front that filters by path sees the same path as this
//! service. The variable segment is percent-decoded after the path is split, so that it may hold a slash.

use std::borrow::Cow;

use crate::exchange::request::parameters::decode;
use crate::exchange::response::problem::Problem;

use super::table::{ASSETS, ROUTES, Route};

/// The route of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Match<'p> {
    /// The route's index in the table.
    pub(crate) index: usize,
    pub(crate) route: &'static Route,
    /// The variable segment, decoded; empty where the route has none.
    pub(crate) variable: Cow<'p, str>,
}

/// Finds the route of a path.
pub(crate) fn find(path: &str) -> Result<Match<'_>, Problem> {
    for (index, route) in ROUTES.iter().enumerate() {
        if let Some(variable) = variable(route.path, path) {
            let variable = if route.path == ASSETS {
                Cow::Borrowed(variable)
            } else {
                decode(variable, false).map(Cow::Owned).map_err(|reason| Problem::parameter(variable, reason))?
            };
            return Ok(Match { index, route, variable });
        }
    }
    Err(Problem::not_found())
}

/// Returns the variable segment of a path that matches a route; an empty one if the route has none.
fn variable<'p>(route: &'static str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) =
        route.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1)))
    else {
        return (route == path).then_some("");
    };
    let variable = path.strip_prefix(before)?.strip_suffix(after)?;
    (!variable.is_empty() && (route == ASSETS || !variable.contains('/'))).then_some(variable)
}

#[cfg(test)]
mod tests;
