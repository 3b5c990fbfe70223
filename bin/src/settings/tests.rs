//! Tests of the settings, from their sources to their values.

use std::time::Duration;

use tallyhouse_http::RateLimit;

use super::*;

/// Loads settings from the text of a file, variables and flags alone.
fn load(file: &str, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, file).unwrap();
    let overrides = Overrides {
        file: Some(path),
        values: flags.iter().map(|(key, value)| (*key, "--flag", (*value).to_owned())).collect(),
    };
    let environment =
        Environment::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).unwrap();
    Settings::load(&overrides, &environment).map_err(|error| error.to_string())
}

#[track_caller]
fn check_error(file: &str, variables: &[(&str, &str)], expect: &[&str]) {
    let error = load(file, variables, &[]).unwrap_err();
    for part in expect {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
    assert!(!error.contains('\n'), "{error:?} is one line");
}

#[test]
fn the_defaults_are_those_of_the_crates() {
    let settings = load("", &[], &[]).unwrap();
    assert_eq!(settings.listen, "127.0.0.1:8080");
    assert_eq!(settings.database.to_string(), "sqlite://tallyhouse.db");
    assert_eq!(settings.redis, None);
    assert_eq!(settings.messages, MessageFormat::default());
    assert_eq!(settings.pipeline, PipelineSettings { writers: 0, ..PipelineSettings::default() });
    // As many reads at once as SQLite has connections for them.
    assert_eq!(settings.http, HttpSettings { reads_max: 2, ..HttpSettings::default() });
    assert_eq!(settings.sqlite, SqliteSettings::at(""));
    let url = "sqlite://tallyhouse.db".to_owned();
    assert_eq!(settings.postgres, PostgresSettings { url, ..PostgresSettings::default() });
    assert_eq!(settings.stop_deadline, Duration::from_secs(30));
    assert_eq!(settings.log, LogSettings { json: None, filter: "info".to_owned(), requests: false });
    assert_eq!(settings.otlp, None);
    let rules: Vec<_> = settings.rules.iter().map(|rule| (rule.name(), rule.threshold().to_string())).collect();
    assert_eq!(rules, [("default", "10000".to_owned())]);
}

#[test]
fn redis_with_only_a_url_has_the_defaults_of_its_crate() {
    let settings = load("", &[("TALLYHOUSE_REDIS__URL", "redis://h")], &[]).unwrap();
    assert_eq!(settings.redis, Some(RedisSettings::new("redis://h")));
}

#[test]
fn flags_beat_variables_beat_aliases_beat_the_file() {
    let file = "listen = \"127.0.0.1:1\"\n[database]\nurl = \"sqlite:file\"\n[redis]\nurl = \"redis://file\"";
    let by_file = load(file, &[], &[]).unwrap();
    assert_eq!((&*by_file.listen, &*by_file.database.to_string()), ("127.0.0.1:1", "sqlite://file"));

    let aliases = [("DATABASE_URL", "sqlite:alias"), ("REDIS_URL", "redis://alias")];
    let by_alias = load(file, &aliases, &[]).unwrap();
    assert_eq!(by_alias.database.to_string(), "sqlite://alias");
    assert_eq!(by_alias.redis.unwrap().url, "redis://alias");

    let variables = [aliases[0], ("TALLYHOUSE_DATABASE__URL", "sqlite:ours"), ("TALLYHOUSE_LISTEN", "127.0.0.1:2")];
    let by_variable = load(file, &variables, &[]).unwrap();
    assert_eq!((&*by_variable.listen, &*by_variable.database.to_string()), ("127.0.0.1:2", "sqlite://ours"));

    let by_flag = load(file, &variables, &[("listen", "127.0.0.1:3"), ("database.url", "sqlite:flag")]).unwrap();
    assert_eq!((&*by_flag.listen, &*by_flag.database.to_string()), ("127.0.0.1:3", "sqlite://flag"));
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest() {
    let table = [
        ("lisen = \"x\"", "lisen", "listen?"),
        ("[databse]\nurl = \"x\"", "databse.url", "database.url?"),
        ("[redis]\nurll = \"x\"", "redis.urll", "redis.url?"),
        ("[pipeline]\nbatch_records = 5", "pipeline.batch_records", "pipeline.batch_records_max?"),
        ("database_url = \"x\"", "database_url", "database.url?"),
        ("threshold = 5", "threshold", "alerts.threshold?"),
        ("database = \"sqlite:x\"", "database", "database.url?"),
        ("[nothing]", "nothing", "did you mean"),
        ("[listen]\nhost = \"x\"", "listen.host", "did you mean"),
        ("[alerts.threshold]\nvalue = 5", "alerts.threshold.value", "alerts.threshold?"),
    ];
    for (file, unknown, nearest) in table {
        check_error(file, &[], &[&format!("unknown setting {unknown} in the settings file"), nearest]);
    }
}

#[test]
fn an_unknown_variable_is_an_error_that_names_the_nearest() {
    let table = [
        ("TALLYHOUSE_LISTENN", "TALLYHOUSE_LISTEN?"),
        ("TALLYHOUSE_DATABASE_URL", "TALLYHOUSE_DATABASE__URL?"),
        ("TALLYHOUSE_REDIS_URL", "TALLYHOUSE_REDIS__URL?"),
        ("TALLYHOUSE_ALERT__THRESHOLD", "TALLYHOUSE_ALERTS__THRESHOLD?"),
        ("TALLYHOUSE_listen", "TALLYHOUSE_LISTEN?"),
    ];
    for (variable, nearest) in table {
        check_error("", &[(variable, "1")], &[&format!("unknown setting {variable} in the environment"), nearest]);
    }
}

#[test]
fn variables_of_other_programs_are_ignored() {
    let others =
        ["TALLYHOUSE_KEY", "TALLYHOUSE_SERVICE_HOST", "TALLYHOUSE_PORT_8080_TCP_ADDR", "TALLYHOUSE_PORT", "PATH"];
    for other in others {
        let ours = other == "TALLYHOUSE_KEY";
        assert_eq!(environment::is_own_variable(other, "tcp://10.0.0.7:8080"), ours, "{other}");
    }
    assert!(environment::is_own_variable("TALLYHOUSE_PORT", "9000"), "somebody takes it for a setting");
    let settings =
        load("", &[("TALLYHOUSE_KEY", "k"), ("DATABASE_URL", ""), ("TALLYHOUSE_REDIS__URL", "")], &[]).unwrap();
    assert_eq!(settings.redis, None);
    let environment = Environment::new([("TALLYHOUSE_KEY".to_owned(), "k".to_owned())]).unwrap();
    assert_eq!(environment.key(), Some(Secret::new("k")));
}

#[test]
fn a_value_of_the_wrong_kind_is_an_error_that_says_what_would_be_right() {
    let table = [
        ("listen = 8080", "listen = 8080", "must be a text"),
        ("listen = \"\"", "listen", "must be a text that is not empty"),
        ("[redis]\ndurable = \"yes\"", "redis.durable", "must be true or false"),
        ("[redis]\ndurable = 1", "redis.durable", "must be true or false"),
        ("[pipeline]\nbatch_records_max = 0", "pipeline.batch_records_max = 0", "whole number from 1 to 100000"),
        ("[pipeline]\nbatch_records_max = -5", "pipeline.batch_records_max", "whole number"),
        ("[pipeline]\nbatch_records_max = 1.5", "pipeline.batch_records_max", "whole number"),
        ("[pipeline]\nbatch_records_max = \"\"", "pipeline.batch_records_max", "whole number"),
        ("[log]\nformat = \"xml\"", "log.format = \"xml\"", "one of text, json"),
        ("[messages]\nrecords_source = \"not a uri\"", "messages.records_source", "must be a URI"),
        ("[database]\nurl = \"mysql://h\"", "database.url = \"mysql://h\"", "must begin with sqlite://"),
    ];
    for (file, key, right) in table {
        check_error(file, &[], &[key, right, "settings.toml"]);
    }
    check_error(
        "",
        &[("TALLYHOUSE_PIPELINE__WRITERS", "+4")],
        &["pipeline.writers", "from TALLYHOUSE_PIPELINE__WRITERS"],
    );
    check_error("a = [", &[], &["is not TOML"]);
}

#[test]
fn all_wrong_settings_are_named_at_once() {
    let file = "lisen = \"x\"\n[tls]\ncert_file = \"\"\nkey_file = \"k\"\n[rate_limit]\nper_second = -1\nburst = 5\n[messages]\n\
                records_source = \"a b\"\nalerts_source = \"\"\n[[alerts.rules]]\nname = \"A\"\n[[alerts.rules]]\nname = \"b\"";
    let variables = [
        ("TALLYHOUSE_DATABASE__URL", "mysql://h"),
        ("TALLYHOUSE_HTTP__PROXIES", "localhost"),
        ("TALLYHOUSE_LISTENN", "1"),
        ("TALLYHOUSE_ALERTS__RULES", "1"),
    ];
    let expect = [
        "11 settings are wrong: (1) unknown setting lisen in the settings file",
        "unknown setting TALLYHOUSE_LISTENN in the environment",
        "TALLYHOUSE_ALERTS__RULES: alert rules can only",
        "tls.cert_file",
        "rate_limit.per_second = -1",
        "messages.records_source = \"a b\"",
        "messages.alerts_source",
        "rule number 1",
        "rule number 2",
        "database.url = \"mysql://h\"",
        "http.proxies = \"localhost\"",
        "(11) ",
    ];
    check_error(file, &variables, &expect);
    let error = load(file, &variables, &[]).unwrap_err();
    // These follow from another fault.
    assert!(!error.contains("needs tls.") && !error.contains("needs rate_limit."), "{error}");
}

#[test]
fn a_certificate_and_its_key_are_set_together() {
    assert_eq!(load("", &[], &[]).unwrap().tls, None);
    let both = load("[tls]\ncert_file = \"c\"", &[("TALLYHOUSE_TLS__KEY_FILE", "/run/k")], &[]).unwrap();
    assert_eq!(both.tls, Some(TlsFiles { cert_file: "c".into(), key_file: "/run/k".into() }));
    check_error("[tls]\ncert_file = \"c\"", &[], &["tls.cert_file", "needs tls.key_file"]);
    check_error("[tls]\nkey_file = \"k\"", &[], &["tls.key_file", "needs tls.cert_file"]);
}

#[test]
fn a_keys_file_is_a_path() {
    assert_eq!(load("", &[], &[]).unwrap().keys_file, None);
    let by_file = load("[auth]\nkeys_file = \"keys.toml\"", &[], &[]).unwrap();
    assert_eq!(by_file.keys_file, Some(PathBuf::from("keys.toml")));
    let by_variable = load("", &[("TALLYHOUSE_AUTH__KEYS_FILE", "/run/keys")], &[]).unwrap();
    assert_eq!(by_variable.keys_file, Some(PathBuf::from("/run/keys")));
    check_error("[auth]\nkeys_file = \"\"", &[], &["auth.keys_file", "must be a text that is not empty"]);
}

#[test]
fn the_burst_of_the_rate_limit_is_a_second_s_worth_unless_it_is_set() {
    let limit = |file: &str| load(file, &[], &[]).unwrap().http.rate_limit;
    assert_eq!(limit(""), None);
    assert_eq!(limit("[rate_limit]\nper_second = 5"), Some(RateLimit { per_second: 5, burst: 5 }));
    assert_eq!(limit("[rate_limit]\nper_second = 5\nburst = 70"), Some(RateLimit { per_second: 5, burst: 70 }));
    check_error("[rate_limit]\nburst = 5", &[], &["rate_limit.burst", "needs rate_limit.per_second"]);
    check_error("[rate_limit]\nper_second = 0", &[], &["rate_limit.per_second = 0", "whole number from 1"]);
}

#[test]
fn proxies_are_addresses_and_networks() {
    let proxies = |file| {
        let settings = load(file, &[], &[]).unwrap();
        settings.proxies.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(proxies("").is_empty());
    let expect = ["192.0.2.1/32", "10.0.0.0/8", "2001:db8::/32"];
    assert_eq!(proxies("[http]\nproxies = \"192.0.2.1, 10.0.0.0/8,2001:db8::/32\""), expect);
    check_error("[http]\nproxies = \"localhost\"", &[], &["http.proxies", "10.0.0.0/8"]);
}

#[test]
fn a_settings_file_that_was_asked_for_must_be_there() {
    let overrides = Overrides { file: Some("/no/such/file.toml".into()), values: Vec::new() };
    let error = Settings::load(&overrides, &Environment::default()).unwrap_err().to_string();
    assert!(error.contains("/no/such/file.toml can't be read"), "{error}");
}

#[test]
fn config_prints_a_settings_file_of_the_same_settings() {
    let file = r#"
        listen = "[::1]:9"
        [database]
        url = "postgres://u:secret@h/db?password=tell-tale"
        [redis]
        url = "redis://:hidden@h"
        durable = true
        [alerts]
        threshold = 12.5e0
        [[alerts.rules]]
        name = "large-\u0041"
        threshold = 1000
    "#;
    // A float is refused, and so is a capital in a name; then the rest is right.
    assert!(load(file, &[], &[]).is_err());
    let file = file.replace("12.5e0", "\"12.50\"").replace("large-\\u0041", "large");
    let settings = load(&file, &[("TALLYHOUSE_LOG__FORMAT", "json")], &[]).unwrap();
    let printed = settings.to_toml();
    for secret in ["u:secret", "tell-tale", "hidden"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(printed.contains("format = \"json\"  # from TALLYHOUSE_LOG__FORMAT"), "{printed}");

    let again = load(&printed, &[], &[]).unwrap();
    assert_eq!(again.listen, settings.listen);
    assert_eq!(again.log, settings.log);
    assert_eq!(again.database.to_string(), "postgres://u:***@h/db?password=***");
    let rules = |settings: &Settings| -> Vec<_> { settings.rules.iter().cloned().collect() };
    assert_eq!(rules(&again), rules(&settings));
    let values = |toml: &str| -> Vec<String> {
        toml.lines().map(|line| line.split("  # from ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&again.to_toml()), values(&printed));
}

#[test]
fn no_secret_is_shown_by_debug_output() {
    let variables = [
        ("TALLYHOUSE_DATABASE__URL", "postgres://u:hunter2@h/db"),
        ("TALLYHOUSE_REDIS__URL", "redis://:hunter3@h"),
        ("TALLYHOUSE_KEY", "th_hunter4"),
    ];
    let settings = load("", &variables, &[]).unwrap();
    let environment = Environment::new(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    let overrides =
        Overrides { file: None, values: vec![("redis.url", "--redis-url", "redis://:hunter5@h".to_owned())] };
    let shown = format!("{settings:?} {environment:?} {overrides:?} {:?}", environment.key());
    assert!(shown.contains("TALLYHOUSE_REDIS__URL") && !shown.contains("hunter"), "{shown}");
}

#[test]
fn a_file_that_is_not_toml_is_told_without_its_text() {
    for (file, line) in [
        ("[database]\nurl = \"postgres://u:hunter2@h/db\n", "line 2"),
        ("[redis]\n\nurl = redis://:hunter2@h\n", "line 3 (url = …)"),
        ("listen = \"127.0.0.1:1\"\nlog.format = text\n", "line 2 (log.format = …)"),
        ("url = 'redis://:hunter2@h' hunter2", "line 1"),
        ("hunter2 = \"a\"\n= \"hunter2\"", "line 2"),
    ] {
        let error = load(file, &[], &[]).unwrap_err();
        assert!(error.contains("is not TOML") && error.contains(line) && !error.contains("hunter"), "{error}");
    }
}

#[test]
fn the_collector_has_opentelemetrys_variables_and_receives_traces_below_its_address() {
    let with = |variables: &[(&str, &str)]| load("", variables, &[]).map(|settings| settings.otlp.unwrap());
    for (address, expect) in [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector/otlp/", "https://collector/otlp/v1/traces"),
    ] {
        let otlp = with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", address), ("OTEL_SERVICE_NAME", "till")]).unwrap();
        assert_eq!((otlp.endpoint.expose(), &*otlp.service_name, otlp.sampled_share), (expect, "till", 1.0));
    }
    let ours = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs"), ("TALLYHOUSE_OTLP__ENDPOINT", "http://ours")];
    let otlp = load("otlp.sample_per_thousand = 25", &ours, &[]).unwrap().otlp.unwrap();
    assert_eq!((otlp.endpoint.expose(), otlp.sampled_share), ("http://ours/v1/traces", 0.025));
    for bad in ["collector:4317", "grpc://collector", "http://", "-"] {
        check_error("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", bad)], &["otlp.endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    }
}
