//! Who may call what. It is decided from the head of a request alone, before anything of its body is read.

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::{Method, Request};

use crate::access::keys::{Holder, Keys, Scope};
use crate::answer::problem::{Problem, ProblemCode};
use crate::app::state::App;
use crate::connection::middleware::RequestContext;

/// What a call asks of its caller, where there are keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    Open,
    /// A key, whatever its scopes: so that those without one don't learn which paths there are.
    AnyKey,
    /// A key with this scope.
    Needs(Scope),
}

/// Admits a call, or refuses it. Returns whose key it came with, where there are keys and one is asked for.
pub(crate) fn admit(
    app: &App,
    access: Access,
    method: &Method,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Result<Option<Holder>, Problem> {
    let Some(ring) = &app.http.keys else { return admit_without_keys(method, context) };
    let scope = match access {
        Access::Open => return Ok(None),
        Access::AnyKey => None,
        Access::Needs(scope) => Some(scope),
    };
    let keys = ring.keys();
    // One answer to no key and to an unknown one: it tells nobody how near a guess was.
    let holder = holder(&keys, headers).ok_or_else(unauthorized)?;
    match scope {
        Some(scope) if !holder.may(scope) => {
            Err(Problem::new(ProblemCode::Forbidden, format!("This call needs a key with the scope {scope}.")))
        }
        Some(_) | None => Ok(Some(holder.clone())),
    }
}

/// Recognises a caller. One without a key goes the same way as one with a wrong key, and takes the same time.
fn holder<'k>(keys: &'k Keys, headers: &HeaderMap) -> Option<&'k Holder> {
    let key = bearer(headers);
    keys.holder(key.unwrap_or_default()).filter(|_| key.is_some())
}

/// Without keys a browser is all that a strange page needs to write to a service on its own machine: it may send some
/// requests anywhere, if not read their answers, and says in `Origin` for whom (Fetch Standard, section 3.2).
fn admit_without_keys(method: &Method, context: &RequestContext) -> Result<Option<Holder>, Problem> {
    let changes_nothing = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if context.cross_site && !changes_nothing {
        return Err(Problem::new(ProblemCode::Forbidden, "A page of another host may not write here."));
    }
    Ok(None)
}

/// Says whether a browser sends the request for a page of another host than the one that is asked.
pub(crate) fn is_cross_site<B>(request: &Request<B>) -> bool {
    // HTTP/2 names the host in the address of the request.
    let by_address = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = by_address.or_else(|| request.headers().get(HOST).map(|host| host.as_bytes()));
    request.headers().get_all(ORIGIN).iter().any(|origin| {
        let site = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, site)| site.as_bytes());
        match (site, host) {
            (Some(site), Some(host)) => !site.eq_ignore_ascii_case(host),
            // `null` is the origin of what has none, a sandboxed frame for example.
            (None, _) | (_, None) => true,
        }
    })
}

fn unauthorized() -> Problem {
    Problem::new(ProblemCode::Unauthorized, "This call needs a key: Authorization: Bearer, and the key.")
}

/// Returns the key of the request (RFC 6750, section 2.1; the scheme's case does not matter by RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, key) = value.as_bytes().split_at_checked(b"Bearer".len())?;
    let key = key.trim_ascii_start();
    let separated = key.len() + scheme.len() < value.len();
    (scheme.eq_ignore_ascii_case(b"Bearer") && separated && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests;
