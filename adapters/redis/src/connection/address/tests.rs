//! Redis URLs of every form, and malformed ones.

use super::*;

fn parse(url: &str) -> Result<Address, RedisSetupError> {
    Address::new(&RedisSettings::new(url))
}

#[track_caller]
fn check_refused(url: &str) {
    let error = parse(url).err().expect(url);
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[test]
fn one_server_has_its_login_database_and_tls() {
    let Ok(Address::Server(client)) = parse("rediss://ann:s%40cret@example.org:7000/3") else { panic!("one server") };
    let info = client.get_connection_info();
    assert!(matches!(info.addr(), ConnectionAddr::TcpTls { host, port: 7000, .. } if host == "example.org"));
    assert!(info.tcp_settings().nodelay());
    let login = info.redis_settings();
    assert_eq!((login.username(), login.password(), login.db()), (Some("ann"), Some("s@cret"), 3));
}

#[test]
fn sentinels_have_hosts_a_service_and_logins() {
    let url = "redis+sentinel://ann:s%40cret@a:1,b:2/tallies/4?sentinel_username=eve&sentinel_password=p%26q";
    let Ok(Address::Sentinel(address)) = parse(url) else { panic!("sentinels") };
    assert_eq!(address.sentinels, [ConnectionAddr::Tcp("a".into(), 1), ConnectionAddr::Tcp("b".into(), 2)]);
    assert_eq!(address.service, "tallies");
    let login = address.master.redis_settings();
    assert_eq!((login.username(), login.password(), login.db()), (Some("ann"), Some("s@cret"), 4));
    assert_eq!((address.username.as_deref(), address.password.as_deref()), (Some("eve"), Some("p&q")));
    assert!(address.client().is_ok());
}

#[test]
fn a_cluster_has_nodes_with_one_login() {
    let Ok(Address::Cluster(nodes, _)) = parse("redis+cluster://ann:pw@a:1,b:2") else { panic!("a cluster") };
    assert_eq!(nodes.len(), 2);
    assert!(nodes.iter().all(|node| node.redis_settings().password() == Some("pw")));
    assert_eq!(*nodes[1].addr(), ConnectionAddr::Tcp("b".into(), 2));
}

#[test]
fn a_malformed_url_is_refused_and_the_error_shows_no_secret() {
    for url in [
        "",
        "localhost:6379",
        "http://ann:secret@localhost",
        "redis://ann:secret@localhost:port",
        "redis://ann:secret@localhost/x",
        "redis+sentinel://ann:secret@localhost:1",
        "redis+sentinel://ann:secret@localhost:1/tallies?password=secret",
        "redis+cluster://ann:secret@localhost:1/2",
        "redis+cluster://",
    ] {
        check_refused(url);
    }
}

#[track_caller]
fn check_error(url: &str, expect: &str) {
    let error = parse(url).err().expect(url).to_string();
    assert!(error.contains(expect) && !error.contains("secret"), "{url}: {error}");
}

#[test]
fn a_login_that_is_cut_or_in_the_wrong_place_is_named_as_such() {
    for url in [
        "redis://:sec/ret@localhost",
        "redis://:sec/ret@localhost:6379/1",
        "rediss://ann:sec?ret@localhost",
        "redis://ann:sec#ret@localhost",
        "redis://ann:s@c/ret@localhost",
        "redis+sentinel://ann:sec/ret@localhost:1/tallies",
        "redis+sentinel://ann:sec?ret@localhost:1/tallies",
        "redis+cluster://ann:sec/ret@a:1,b:2",
    ] {
        check_error(url, "%2F, %3F or %23");
    }
    for url in [
        "redis://localhost?password=secret",
        "rediss://localhost/1?user=ann&pass=secret",
        "redis+cluster://localhost:1?password=secret",
        "redis+sentinel://localhost:1/tallies?password=secret",
    ] {
        check_error(url, "before the host");
    }
    check_error("unix:///run/redis.sock?password=secret", "?user=");
    check_error("redis://localhost?db=1", "unknown parameter");
    check_error("redis+cluster://localhost:1?timeout=1", "unknown parameter");
    for url in [
        "redis://ann:s%2Fe%3Fc%23r%40t@localhost:6379/1",
        "redis://ann:s@cret@localhost",
        "unix:///run/r@dis.sock?db=1&user=ann&pass=secret",
        "redis+sentinel://localhost:1/tallies?sentinel_password=p@q",
    ] {
        assert!(parse(url).is_ok(), "{url}");
    }
}
