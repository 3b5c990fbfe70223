//! The identity that limits are accounted to: the name of an API key, or a client address (IPv6: its /64).

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

/// A caller: the keys of one name or, without keys, an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// The keys of this name.
    Key(Arc<str>),
    /// Where there are no keys, an address.
    Peer(IpAddr),
    /// The address of a proxy with many callers behind it.
    Proxy(IpAddr),
    /// All callers beyond the number that a limit tells apart.
    Others,
}

impl Caller {
    /// Returns the caller of an address. IPv6 callers are limited per /64, since a host usually owns a whole one.
    pub(crate) fn at(ip: IpAddr, proxies: &[IpNet]) -> Self {
        let ip = ip.to_canonical();
        if proxies.iter().any(|proxy| proxy.contains(&ip)) {
            return Self::Proxy(ip);
        }
        Self::Peer(match ip {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        })
    }
}

#[cfg(test)]
mod tests;
