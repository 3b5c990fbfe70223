//! Admission: whether a caller may make a call. The request head decides, before any of the body is read.

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, ORIGIN};
use hyper::{Method, Request};

use crate::exchange::context::{CrossSite, RequestContext};
use crate::exchange::request::host;
use crate::exchange::response::problem::{Problem, ProblemCode};
use crate::keys::key_ring::{Grant, KeyRing};
use crate::keys::{self, Hash, Holder, Keys, Scope};

/// The header by which a browser tells which site a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How much of a foreign origin a refusal shows, in bytes: as long as a host name may be.
const SHOWN_BYTES_MAX: usize = 255;

/// The requirement that a call makes of its caller if API keys are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing.
    Open,
    /// A key with any scopes: callers without one don't learn which paths exist.
    AnyKey,
    /// A key with this scope.
    Needs(Scope),
}

/// A caller with a key: its holder, and the grant that lasts as long as the key.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) holder: Holder,
    pub(crate) grant: Grant,
}

/// Admits a call, or refuses it. Returns the caller if keys are on and the call requires one. Without keys, the request
/// must name one of `hosts`, `localhost` or an address; `None` allows any host.
pub(crate) fn admit(
    keys: Option<&KeyRing>,
    hosts: Option<&[String]>,
    access: Access,
    method: &Method,
    headers: &HeaderMap,
    context: &RequestContext,
) -> Result<Option<Admitted>, Problem> {
    let Some(ring) = keys else {
        if access != Access::Open {
            admit_host(hosts, context)?;
        }
        return admit_without_keys(method, context);
    };
    let scope = match access {
        Access::Open => return Ok(None),
        Access::AnyKey => None,
        Access::Needs(scope) => Some(scope),
    };
    let keys = ring.keys();
    // A missing and an unknown key get the same response, so that it reveals nothing about a guess.
    let (hash, holder) = holder(&keys, headers).ok_or_else(Problem::unauthorized)?;
    match scope {
        Some(scope) if !holder.may(scope) => {
            Err(Problem::new(ProblemCode::Forbidden, format!("This call needs a key with the scope {scope}.")))
        }
        Some(_) | None => Ok(Some(Admitted { holder: holder.clone(), grant: ring.grant(hash, scope) })),
    }
}

/// Recognises a caller by the hash of its key. A missing key is compared like a wrong one, so that both refusals take the
/// same time.
fn holder<'k>(keys: &'k Keys, headers: &HeaderMap) -> Option<(Hash, &'k Holder)> {
    let key = bearer(headers);
    let hash = keys::hash(key.unwrap_or_default());
    keys.of_hash(&hash).filter(|_| key.is_some()).map(|holder| (hash, holder))
}

/// Refuses calls of foreign pages whose names a browser has resolved to this machine.
fn admit_host(hosts: Option<&[String]>, context: &RequestContext) -> Result<(), Problem> {
    let (Some(hosts), Some(name)) = (hosts, &context.foreign_host) else { return Ok(()) };
    if hosts.contains(name) {
        return Ok(());
    }
    let shown: String = name.chars().take(SHOWN_BYTES_MAX).collect();
    Err(Problem::new(
        ProblemCode::Forbidden,
        format!(
            "A service without API keys is not called as {shown:?}: a foreign page might stand behind that name. Call it by \
             localhost or its address; name the host in the setting auth.hosts; or turn on API keys."
        ),
    ))
}

/// Refuses writes of foreign pages. A browser sends some requests of a page to any host. Without this check, any page
/// could write to a service without keys on the browser's machine. The browser names the page's origin in `Origin`
/// (Fetch Standard, section 3.2).
fn admit_without_keys(method: &Method, context: &RequestContext) -> Result<Option<Admitted>, Problem> {
    let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match &context.cross_site {
        Some(CrossSite { origin, host }) if !is_safe => Err(Problem::new(
            ProblemCode::Forbidden,
            format!(
                "A page of {origin:?} may not write to {host:?}. Open the page at the address that it calls; behind a \
                 proxy, hand on the Host header; or turn on API keys."
            ),
        )),
        Some(_) | None => Ok(None),
    }
}

/// Returns the page's origin and the request's host where a browser sends the request for a page of another host.
pub(crate) fn cross_site<B>(request: &Request<B>) -> Option<CrossSite> {
    let host = host::of(request);
    let foreign = request.headers().get_all(ORIGIN).iter().find(|origin| {
        let site = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, site)| site.as_bytes());
        match (site, host) {
            (Some(site), Some(host)) => !site.eq_ignore_ascii_case(host),
            // `null` is the origin of pages that have none, a sandboxed frame for example.
            (None, _) | (_, None) => true,
        }
    });
    // A browser that withholds the origin still reports a cross-site request (Fetch Metadata, section 2.3).
    let fetched =
        request.headers().get(SEC_FETCH_SITE).filter(|site| matches!(site.as_bytes(), b"cross-site" | b"same-site"));
    let foreign = foreign.or(fetched)?;
    let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]).into_owned();
    Some(CrossSite { origin: shown(foreign.as_bytes()), host: shown(host.unwrap_or_default()) })
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
