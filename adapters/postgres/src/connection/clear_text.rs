//! Keeps a password off the network. Without `sslmode`, libpq falls back to clear text when a server refuses TLS, and
//! sends a plain password when a server asks for it: an impostor would learn the password.

use std::net::IpAddr;

/// Any kind of authentication but a plain password (PostgreSQL documentation, "require_auth").
pub(super) const NO_PLAIN_PASSWORD: &str = "!password";

/// Variables by which libpq is told how to protect the connection.
const VARIABLES: [&str; 2] = ["PGSSLMODE", "PGREQUIREAUTH"];

/// Parameters that say how the connection is protected. `ssl` is that of JDBC, which libpq understands.
const PARAMETERS: [&str; 3] = ["sslmode", "ssl", "require_auth"];

/// Returns whether a URL leaves the connection to another machine unprotected, with these variables of libpq: neither
/// says how it is protected. An empty variable is as good as none.
pub(super) fn is_unprotected(url: &str, variable: impl Fn(&str) -> Option<String>) -> bool {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let is_protected = VARIABLES.iter().any(|name| variable(name).is_some());
    let default_host = variable("PGHOSTADDR").or_else(|| variable("PGHOST")).unwrap_or_default();
    !is_protected && leaves_machine_unprotected(url, &default_host)
}

/// A URL without a host means `default_host`; without that, a socket of this machine.
fn leaves_machine_unprotected(url: &str, default_host: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    // As in libpq, the first @ ends the login, unless a slash comes before it.
    let login_end = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@')).map_or(0, |at| at + 1);
    let (place, query) = rest[login_end..].split_once('?').unwrap_or((&rest[login_end..], ""));
    let parameters: Vec<(&str, &str)> = query.split('&').filter_map(|parameter| parameter.split_once('=')).collect();
    let value_of = |name: &str| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    // sslrootcert=system implies sslmode=verify-full.
    let is_protected =
        PARAMETERS.iter().any(|name| value_of(name).is_some()) || value_of("sslrootcert") == Some("system");
    let of_url = place.split('/').next().unwrap_or_default();
    let of_url = if of_url.is_empty() { default_host } else { of_url };
    let hosts = value_of("hostaddr").or_else(|| value_of("host")).unwrap_or(of_url);
    !is_protected && !hosts.split(',').all(is_local)
}

/// Returns whether a host is this machine: a socket, `localhost`, or an address of the loopback interface.
fn is_local(host: &str) -> bool {
    let host = host.replace("%2F", "/").replace("%2f", "/").replace("%40", "@");
    let name = match host.strip_prefix('[') {
        Some(ip) => ip.split(']').next().unwrap_or_default(),
        // More than one colon: an IPv6 address, as parameters give it.
        None if host.matches(':').count() > 1 => &host,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.is_empty()
        || name.starts_with(['/', '@'])
        || name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
