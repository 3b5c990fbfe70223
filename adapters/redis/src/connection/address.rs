//! The forms of a Redis URL: one server, a master known to sentinels, or a cluster.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates, TlsMode};
use std::time::Duration;

use crate::error::RedisSetupError;
use crate::settings::RedisSettings;

/// How a certificate begins in PEM (RFC 7468).
const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A parsed address. Parsing it connects to nothing.
#[derive(Clone)]
pub(crate) enum Address {
    /// One server.
    Server(Client),
    /// The server that the sentinels name as the master of a service.
    Sentinel(Arc<SentinelAddress>),
    /// The nodes from which the cluster is discovered.
    Cluster(Vec<ConnectionInfo>, Option<TlsCertificates>),
}

/// The sentinels, and the logins for them and for the master.
pub(crate) struct SentinelAddress {
    sentinels: Vec<ConnectionAddr>,
    service: String,
    /// Login and database of the master.
    master: ConnectionInfo,
    /// Login of the sentinels themselves.
    username: Option<String>,
    password: Option<String>,
    certificates: Option<TlsCertificates>,
}

impl Address {
    /// Reads the URL and the certificates.
    pub(crate) fn new(settings: &RedisSettings) -> Result<Self, RedisSetupError> {
        let certificates = match &settings.ca_file {
            None => None,
            Some(file) => Some(TlsCertificates {
                client_tls: None,
                root_cert: Some(authorities(file).map_err(RedisSetupError::CaFile)?),
            }),
        };
        let (scheme, rest) = settings.url.split_once("://").ok_or(RedisSetupError::Url("must have a scheme"))?;
        check_login_and_parameters(scheme, rest)?;
        match scheme {
            "redis" | "rediss" | "unix" => Ok(Self::Server(client(&settings.url, certificates.as_ref())?)),
            "redis+sentinel" => sentinel("redis", rest, certificates),
            "rediss+sentinel" => sentinel("rediss", rest, certificates),
            "redis+cluster" => cluster("redis", rest, certificates),
            "rediss+cluster" => cluster("rediss", rest, certificates),
            _ => Err(RedisSetupError::Url(
                "must begin with redis://, rediss://, unix://, or redis+sentinel://, redis+cluster:// (rediss+…)",
            )),
        }
    }
}

/// Reads the authorities. A file without any would trust no server, which would show only at the first connection.
fn authorities(file: &Path) -> io::Result<Vec<u8>> {
    let pem = fs::read(file)?;
    let is_pem = pem.windows(PEM_CERTIFICATE.len()).any(|part| part == PEM_CERTIFICATE);
    if is_pem { Ok(pem) } else { Err(io::Error::new(ErrorKind::InvalidData, "it holds no certificate in PEM")) }
}

impl SentinelAddress {
    /// Builds a client that asks the sentinels for the current master.
    pub(crate) fn client(&self) -> redis::RedisResult<SentinelClient> {
        let addresses = self.sentinels.iter().cloned();
        let mut builder = SentinelClientBuilder::new(addresses, &self.service, SentinelServerType::Master)?
            .set_client_to_redis_tcp_settings(tcp_settings())
            .set_client_to_sentinel_tcp_settings(tcp_settings());
        if matches!(self.master.addr(), ConnectionAddr::TcpTls { .. }) {
            builder =
                builder.set_client_to_redis_tls_mode(TlsMode::Secure).set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = &self.certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        let login = self.master.redis_settings();
        builder = builder.set_client_to_redis_db(login.db());
        if let Some(username) = login.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = login.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(username) = &self.username {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_sentinel_password(password);
        }
        builder.build()
    }
}

/// Builds a client of a cluster.
pub(crate) fn cluster_client(
    nodes: &[ConnectionInfo],
    certificates: Option<&TlsCertificates>,
    connect_timeout: Duration,
    response_timeout: Duration,
) -> redis::RedisResult<ClusterClient> {
    let mut builder = ClusterClientBuilder::new(nodes.iter().cloned())
        // The library's retries also repeat commands whose answer was lost. Without them it follows no redirection
        // either: the caller's next attempt uses the new slot map.
        .retries(0)
        .tcp_settings(tcp_settings())
        .connection_timeout(connect_timeout)
        .response_timeout(response_timeout);
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates.clone());
    }
    builder.build()
}

/// Rejects a login in the wrong place and unknown parameters, which the client library would ignore or take for a host.
fn check_login_and_parameters(scheme: &str, rest: &str) -> Result<(), RedisSetupError> {
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    let known: &[&str] = match scheme {
        "redis+sentinel" | "rediss+sentinel" => &["sentinel_username", "sentinel_password"],
        "unix" => &["db", "user", "pass"],
        _ => &[],
    };
    let names: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name).collect();
    // Behind the host there is no `@`: this one ends a login that a `/`, `?` or `#` has cut in two.
    let host_end = before_query.find(['/', '#']).unwrap_or(before_query.len());
    let is_cut =
        before_query[host_end..].contains('@') || query.contains('@') && !names.iter().any(|n| known.contains(&&**n));
    if scheme != "unix" && is_cut {
        return Err(RedisSetupError::Url(
            "has a /, ? or # in its user name or password: write it as %2F, %3F or %23 there",
        ));
    }
    let is_login = |name: &str| matches!(name, "password" | "pass" | "username" | "user" | "auth");
    match names.iter().find(|name| !known.contains(&&***name)) {
        Some(name) if is_login(name) && scheme == "unix" => {
            Err(RedisSetupError::Url("of a socket must give its login as ?user=…&pass=…"))
        }
        Some(name) if is_login(name) => Err(RedisSetupError::Url(
            "must give its login before the host, as in redis://user:password@host, and not after the question mark",
        )),
        Some(_) => Err(RedisSetupError::Url("has an unknown parameter after the question mark")),
        None => Ok(()),
    }
}

fn sentinel(scheme: &str, rest: &str, certificates: Option<TlsCertificates>) -> Result<Address, RedisSetupError> {
    let parts = Parts::split(rest);
    let (service, db) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    if service.is_empty() {
        return Err(RedisSetupError::Url("must name the service of the sentinels: redis+sentinel://host:port/service"));
    }
    let sentinels = parts.hosts.split(',').map(|host| connection_info(&format!("{scheme}://{host}")));
    let (mut username, mut password) = (None, None);
    for (name, value) in url::form_urlencoded::parse(parts.query.as_bytes()) {
        match &*name {
            "sentinel_username" => username = Some(value.into_owned()),
            _ => password = Some(value.into_owned()),
        }
    }
    Ok(Address::Sentinel(Arc::new(SentinelAddress {
        sentinels: sentinels.map(|info| Ok(info?.addr().clone())).collect::<Result<_, RedisSetupError>>()?,
        service: service.to_owned(),
        // The host is a placeholder: the library parses login and database only from a complete URL.
        master: connection_info(&format!("{scheme}://{}127.0.0.1/{db}", parts.login))?,
        username,
        password,
        certificates,
    })))
}

fn cluster(scheme: &str, rest: &str, certificates: Option<TlsCertificates>) -> Result<Address, RedisSetupError> {
    let parts = Parts::split(rest);
    if !matches!(parts.path, "" | "0") {
        return Err(RedisSetupError::Url("must name no database but 0: a cluster has no other"));
    }
    let nodes = parts.hosts.split(',').map(|host| connection_info(&format!("{scheme}://{}{host}", parts.login)));
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let unused = Duration::from_secs(1);
    cluster_client(&nodes, certificates.as_ref(), unused, unused).map_err(RedisSetupError::Address)?;
    Ok(Address::Cluster(nodes, certificates))
}

fn client(url: &str, certificates: Option<&TlsCertificates>) -> Result<Client, RedisSetupError> {
    let info = connection_info(url)?;
    let client = match certificates {
        Some(certificates) if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) => {
            Client::build_with_tls(info, certificates.clone())
        }
        _ => Client::open(info),
    };
    client.map_err(RedisSetupError::Address)
}

fn connection_info(url: &str) -> Result<ConnectionInfo, RedisSetupError> {
    let info = url.into_connection_info().map_err(RedisSetupError::Address)?;
    Ok(info.set_tcp_settings(tcp_settings()))
}

fn tcp_settings() -> TcpSettings {
    // With Nagle's algorithm each small command would wait for the acknowledgement of the last one.
    TcpSettings::default().set_nodelay(true)
}

/// The parts of a URL with several hosts, which general URL parsers refuse.
struct Parts<'a> {
    /// User and password with the `@`, or nothing.
    login: &'a str,
    hosts: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn split(rest: &'a str) -> Self {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        Self { login, hosts, path, query }
    }
}

#[cfg(test)]
mod tests;
