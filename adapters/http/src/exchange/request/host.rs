//! The host that a request names, in `Host` or in its address.
//!
//! A foreign page may have its own host name resolved to this machine; the browser then takes the service for the
//! page's own server (DNS rebinding). But the browser still names that host in its requests. An address or `localhost`
//! can't be resolved by others.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::HOST;
use hyper::{Request, Version};

/// Says whether a request names its host twice, or by HTTP/1.1 not at all (RFC 9112, section 3.2).
pub(crate) fn is_ambiguous<B>(request: &Request<B>) -> bool {
    let hosts = request.headers().get_all(HOST).iter().count();
    hosts > 1 || hosts == 0 && request.version() == Version::HTTP_11
}

/// Returns the host with its port, as the request names it; HTTP/2 names it in the address.
pub(crate) fn of<B>(request: &Request<B>) -> Option<&[u8]> {
    let by_address = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    by_address.or_else(|| request.headers().get(HOST).map(|host| host.as_bytes()))
}

/// Returns the name of a host, in lower case and without its port; `None` for `localhost` and addresses.
pub(crate) fn foreign_name(host: &[u8]) -> Option<String> {
    let host = String::from_utf8_lossy(host).to_ascii_lowercase();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => &host,
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_address = address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    let is_local = bare == "localhost" || bare.ends_with(".localhost") || bare.parse::<Ipv4Addr>().is_ok();
    (!is_address && !is_local).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests;
