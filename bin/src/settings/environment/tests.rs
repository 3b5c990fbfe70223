//! Tests of the variables: those of neighbours, empty ones, line ends, and secrets in files.

use super::*;
use crate::settings::{Overrides, Settings};

fn environment(variables: &[(&str, &str)]) -> Result<Environment, SettingsError> {
    Environment::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn load(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, "").unwrap();
    let overrides = Overrides { file: Some(file), values: Vec::new() };
    let environment = environment(variables).map_err(|error| error.to_string())?;
    Settings::load(&overrides, &environment).map_err(|error| error.to_string())
}

#[test]
fn variables_of_kubernetes_services_and_docker_links_are_ignored() {
    let properties = [
        ("SERVICE_HOST", "10.0.0.7"),
        ("SERVICE_PORT", "6379"),
        ("SERVICE_PORT_TCP_REDIS", "6379"),
        ("PORT", "tcp://10.0.0.7:6379"),
        ("PORT_6379_TCP", "tcp://10.0.0.7:6379"),
        ("PORT_6379_TCP_PROTO", "tcp"),
        ("PORT_6379_TCP_PORT", "6379"),
        ("PORT_6379_TCP_ADDR", "10.0.0.7"),
        ("PORT_53_UDP_ADDR", "10.0.0.7"),
        ("PORT_9_SCTP", "sctp://10.0.0.7:9"),
        ("PORT_6379_TCP_START", "tcp://10.0.0.7:6379"),
        ("PORT_6379_TCP_PORT_END", "6380"),
        ("NAME", "/web/redis"),
        ("ENV_REDIS_VERSION", "8"),
    ];
    for service in ["", "REDIS_", "REDIS_MASTER_", "DB_", "PORTAL_", "A__B_"] {
        for (property, value) in properties {
            let name = format!("TALLYHOUSE_{service}{property}");
            assert!(!is_own_variable(&name, value), "{name}={value}");
        }
    }
}

#[test]
fn settings_and_mistaken_settings_concern_us() {
    let table = [
        ("TALLYHOUSE_PORT", "9000"),
        ("TALLYHOUSE_REDIS_PORT", "6379"),
        ("TALLYHOUSE_REDIS_PORT_TCP", "6379"),
        ("TALLYHOUSE_EXPORT_1_TCP", "1"),
        ("TALLYHOUSE_NAME", "web"),
        ("TALLYHOUSE_OTLP__SERVICE_NAME", "/a/b"),
        ("TALLYHOUSE_LISTEN", "tcp://h:1"),
        ("TALLYHOUSE_KEY", "k"),
        ("TALLYHOUSE_KEY_FILE", "/k"),
        ("DATABASE_URL", "x"),
        ("DATABASE_URL_FILE", "x"),
        ("REDIS_URL_FILE", "x"),
    ];
    for (name, value) in table {
        assert!(is_own_variable(name, value), "{name}={value}");
    }
    for name in ["PATH", "REDIS_URL_FILES", "OTEL_SERVICE_NAME_FILE", "URL_FILE"] {
        assert!(!is_own_variable(name, "x"), "{name}");
    }
}

#[test]
fn an_empty_variable_is_an_unset_one_for_every_setting() {
    let names: Vec<String> = super::super::catalogue::CATALOGUE
        .iter()
        .map(|setting| super::super::layers::variable(setting.key))
        .chain(["DATABASE_URL", "REDIS_URL", "TALLYHOUSE_KEY", "TALLYHOUSE_DATABASE__URL_FILE"].map(str::to_owned))
        .collect();
    for empty in ["", "\n", "\r\n"] {
        let variables: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), empty)).collect();
        let settings = load(&variables).unwrap();
        assert_eq!(settings.to_toml(), load(&[]).unwrap().to_toml());
    }
}

#[test]
fn a_line_end_is_no_part_of_a_value_but_a_blank_is() {
    for end in ["\n", "\r\n", "\n\n"] {
        let url = format!("postgres://u@h/db{end}");
        let settings = load(&[("TALLYHOUSE_DATABASE__URL", &url), ("TALLYHOUSE_LISTEN", "h:1\n")]).unwrap();
        assert_eq!((settings.database.to_string(), &*settings.listen), ("postgres://u@h/db".to_owned(), "h:1"));
    }
    assert_eq!(environment(&[("TALLYHOUSE_KEY", "k \n")]).unwrap().key(), Some(Secret::new("k ")));
}

#[test]
fn secrets_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (database, redis, key) =
        (file("d", "postgres://u:secret@h/db\n"), file("r", "redis://r/1"), file("k", "th_key\r\n"));
    for names in
        [["TALLYHOUSE_DATABASE__URL_FILE", "TALLYHOUSE_REDIS__URL_FILE"], ["DATABASE_URL_FILE", "REDIS_URL_FILE"]]
    {
        let settings = load(&[(names[0], &database), (names[1], &redis)]).unwrap();
        assert_eq!(settings.database.to_string(), "postgres://u:***@h/db");
        assert_eq!(settings.redis.as_ref().unwrap().url, "redis://r/1");
        assert!(settings.to_toml().contains(&format!("# from {}", names[0])), "{}", settings.to_toml());
    }
    let read = environment(&[("TALLYHOUSE_KEY_FILE", &key)]).unwrap();
    assert_eq!(read.key(), Some(Secret::new("th_key")));
    assert!(!format!("{read:?}").contains("th_key"));
}

#[test]
fn a_secret_that_is_given_twice_or_not_at_all_is_named() {
    let error = load(&[("TALLYHOUSE_REDIS__URL_FILE", "/dev/null")]).unwrap_err();
    assert!(error.contains("TALLYHOUSE_REDIS__URL_FILE = \"/dev/null\" holds no secret"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    std::fs::write(&path, "redis://secret\n").unwrap();
    let path = path.display().to_string();
    let error = load(&[("TALLYHOUSE_REDIS__URL", "redis://h"), ("TALLYHOUSE_REDIS__URL_FILE", &path)]).unwrap_err();
    assert!(error.contains("TALLYHOUSE_REDIS__URL and TALLYHOUSE_REDIS__URL_FILE"), "{error}");
    for (file, other) in [
        ("REDIS_URL_FILE", "TALLYHOUSE_REDIS__URL"),
        ("TALLYHOUSE_REDIS__URL_FILE", "REDIS_URL"),
        ("REDIS_URL_FILE", "REDIS_URL"),
    ] {
        for order in [[(file, &*path), (other, "redis://h")], [(other, "redis://h"), (file, &*path)]] {
            let error = load(&order).unwrap_err();
            assert!(error.contains(file) && error.contains(other) && error.contains("same secret"), "{error}");
            assert!(!error.contains("redis://"), "{error}");
        }
    }
    let error = load(&[("TALLYHOUSE_REDIS__URL_FILE", &path), ("REDIS_URL_FILE", &path)]).unwrap_err();
    assert!(error.contains("same secret"), "{error}");
    assert!(load(&[("TALLYHOUSE_REDIS__URL_FILE", &path), ("DATABASE_URL", "sqlite:d")]).is_ok());
    let error = load(&[("TALLYHOUSE_REDIS__URL_FILE", "/no/such/file")]).unwrap_err();
    assert!(error.contains("TALLYHOUSE_REDIS__URL_FILE = \"/no/such/file\" can't be read"), "{error}");
    let error = load(&[("TALLYHOUSE_REDIS__URL_FILE", "/dev/zero")]).unwrap_err();
    assert!(error.contains("too long"), "{error}");
}

#[test]
fn a_password_among_the_parameters_of_redis_is_refused() {
    for url in ["redis://h?password=secret", "rediss://h/1?pass=secret", "redis://h?protocol=resp3&user=u"] {
        let error = load(&[("REDIS_URL", url)]).unwrap_err();
        assert!(error.contains("redis.url") && error.contains("unknown parameter"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    for url in
        ["redis://h?protocol=resp3", "redis://:p@h/1", "unix:///run/r.sock?db=1&pass=p", "redis+sentinel://a:1/s?x=y"]
    {
        assert!(load(&[("REDIS_URL", url)]).is_ok(), "{url}");
    }
}
