//! Which addresses are one caller.

use super::*;

#[track_caller]
fn check(ip: &str, proxies: &[&str], expect: Caller) {
    let proxies: Vec<IpNet> = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
    assert_eq!(Caller::at(ip.parse().unwrap(), &proxies), expect);
}

#[test]
fn an_ipv4_address_and_an_ipv6_network_are_callers_and_proxies_are_told_apart() {
    let peer = |ip: &str| Caller::Peer(ip.parse().unwrap());
    check("192.0.2.1", &[], peer("192.0.2.1"));
    check("::ffff:192.0.2.1", &[], peer("192.0.2.1"));
    check("2001:db8:1:2:3::4", &[], peer("2001:db8:1:2::"));
    check("2001:db8:1:3:3::4", &[], peer("2001:db8:1:3::"));
    check("192.0.2.1", &["10.0.0.0/8"], peer("192.0.2.1"));
    check("10.1.2.3", &["192.0.2.9/32", "10.0.0.0/8"], Caller::Proxy("10.1.2.3".parse().unwrap()));
    check("::ffff:10.1.2.3", &["10.0.0.0/8"], Caller::Proxy("10.1.2.3".parse().unwrap()));
}
