//! Settings: which layer wins, and what is refused.

use serde_json::json;
use tallyhouse_tests::data::records::record_with;
use tallyhouse_tests::folder::{Folder, Ran};
use tallyhouse_tests::servers::plain_password::PlainPasswordServer;
use tallyhouse_tests::servers::service::{Options, Service};

fn config(folder: &Folder, env: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut all = args.to_vec();
    all.push("config");
    folder.run_with(env, &all, b"")
}

/// Checks that the settings are refused, with these words.
#[track_caller]
fn refused(toml: &str, env: &[(&str, &str)], words: &[&str]) {
    let folder = Folder::new();
    folder.write("tallyhouse.toml", toml);
    for command in ["config", "serve"] {
        let ran = folder.run_with(env, &[command], b"");
        assert!(ran.code.is_some_and(|code| code != 0), "{command} takes {toml:?} {env:?}: {}", ran.stdout);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in {:?}", ran.stderr);
        }
        assert!(!ran.stderr.contains("panick"), "{}", ran.stderr);
    }
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let folder = Folder::new();
    let listen = |env: &[(&str, &str)], args: &[&str]| {
        let shown = config(&folder, env, args).ok().stdout;
        let line = shown.lines().find(|line| line.starts_with("listen = ")).expect("a line").to_owned();
        line.split('"').nth(1).expect("a value").to_owned()
    };
    let env = [("TALLYHOUSE_LISTEN", "127.0.0.1:2222")];
    assert_eq!(listen(&[], &[]), "127.0.0.1:8080");
    folder.write("tallyhouse.toml", "listen = \"127.0.0.1:1111\"\n");
    assert_eq!(listen(&[], &[]), "127.0.0.1:1111");
    assert_eq!(listen(&env, &[]), "127.0.0.1:2222");
    assert_eq!(listen(&env, &["--listen", "127.0.0.1:3333"]), "127.0.0.1:3333");
    folder.write("other.toml", "listen = \"127.0.0.1:4444\"\n");
    assert_eq!(listen(&[], &["--config", "other.toml"]), "127.0.0.1:4444");
    let missing = config(&folder, &[], &["--config", "missing.toml"]);
    assert!(missing.code.is_some_and(|code| code != 0));
    assert!(missing.stderr.contains("missing.toml"), "{}", missing.stderr);
}

#[test]
fn the_usual_names_of_other_tools_are_understood() {
    let folder = Folder::new();
    let shown =
        config(&folder, &[("DATABASE_URL", "sqlite://a.db"), ("REDIS_URL", "redis://r.example/")], &[]).ok().stdout;
    assert!(shown.contains("sqlite://a.db") && shown.contains("redis://r.example/"), "{shown}");
    let both = [("DATABASE_URL", "sqlite://a.db"), ("TALLYHOUSE_DATABASE__URL", "sqlite://b.db")];
    assert!(config(&folder, &both, &[]).ok().stdout.contains("sqlite://b.db"));
}

#[test]
fn secrets_are_masked() {
    let folder = Folder::new();
    let env = [
        ("TALLYHOUSE_DATABASE__URL", "postgres://user:hunter2@db.example/tally?sslpassword=hunter3"),
        ("TALLYHOUSE_REDIS__URL", "rediss://user:hunter4@redis.example:6380/1"),
    ];
    let shown = config(&folder, &env, &[]).ok();
    for secret in ["hunter2", "hunter3", "hunter4"] {
        assert!(!shown.stdout.contains(secret) && !shown.stderr.contains(secret), "{}", shown.stdout);
    }
    assert!(shown.stdout.contains("db.example") && shown.stdout.contains("redis.example:6380"));
}

#[test]
fn what_config_shows_is_a_settings_file() {
    let folder = Folder::new();
    folder.write(
        "tallyhouse.toml",
        "[alerts]\nthreshold = \"12.50\"\n[[alerts.rules]]\nname = \"big\"\nthreshold = 7\nunit = \"EUR\"\n",
    );
    let first = config(&folder, &[("TALLYHOUSE_LOG__FILTER", "debug")], &[]).ok().stdout;
    let again = Folder::new();
    again.write("tallyhouse.toml", &first);
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(|line| line.split("  #").next().expect("a line").to_owned()).collect()
    };
    let second = config(&again, &[], &[]).ok().stdout;
    assert_eq!(values(&second), values(&first));
    assert!(values(&first).iter().any(|line| line == "threshold = \"12.50\""), "{first}");
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    refused("listn = \"x\"\n", &[], &["listn", "listen"]);
    refused("[redis]\nprefx = \"x\"\n", &[], &["redis.prefx", "redis.prefix"]);
    refused("[alert]\nthreshold = 7\n", &[], &["alert.threshold", "alerts.threshold"]);
    refused("", &[("TALLYHOUSE_REDIS__PREFX", "x")], &["TALLYHOUSE_REDIS__PREFX", "TALLYHOUSE_REDIS__PREFIX"]);
    refused("", &[("TALLYHOUSE_DATABASE_URL", "x")], &["TALLYHOUSE_DATABASE_URL", "TALLYHOUSE_DATABASE__URL"]);
    refused("[[alerts.rules]]\nname = \"a\"\nthreshold = 1\nunits = \"x\"\n", &[], &["units", "unit"]);
}

#[test]
fn bad_values_are_refused_where_they_stand() {
    refused("[alerts]\nthreshold = 1.5\n", &[], &["threshold", "float"]);
    refused("[alerts]\nthreshold = \"1_0\"\n", &[], &["threshold"]);
    refused("[alerts]\nthreshold = -1\n", &[], &["threshold"]);
    refused("", &[("TALLYHOUSE_ALERTS__THRESHOLD", "lots")], &["THRESHOLD"]);
    refused("[[alerts.rules]]\nname = \"a\"\nthreshold = 0.5\n", &[], &["threshold"]);
    refused("[[alerts.rules]]\nname = \"A b\"\nthreshold = 1\n", &[], &["name"]);
    refused("[[alerts.rules]]\nname = \"default\"\nthreshold = 1\n", &[], &["default"]);
    refused(
        "[[alerts.rules]]\nname = \"a\"\nthreshold = 1\n[[alerts.rules]]\nname = \"a\"\nthreshold = 2\n",
        &[],
        &["\"a\""],
    );
    refused("[[alerts.rules]]\nname = \"a\"\nthreshold = 1\ntype = \"neutral\"\n", &[], &["type"]);
    refused("[[alerts.rules]]\nthreshold = 1\n", &[], &["name"]);
    refused("[redis]\ndurable = \"perhaps\"\n", &[], &["redis.durable"]);
    refused("[log]\nformat = \"xml\"\n", &[], &["log.format"]);
    refused("listen = \"nowhere\"\n", &[("TALLYHOUSE_DATABASE__URL", "mysql://x/y")], &["mysql"]);
    refused("listen = [\n", &[], &["tallyhouse.toml"]);
    refused("[alerts]\nthreshold = \"1\"\nthreshold = \"2\"\n", &[], &["tallyhouse.toml"]);
}

#[test]
fn listening_beyond_loopback_needs_a_word() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let folder = Folder::new();
        let ran = folder.run_with(&[("TALLYHOUSE_LISTEN", listen)], &["serve"], b"");
        assert!(ran.code.is_some_and(|code| code != 0), "{listen}");
        assert!(ran.stderr.contains("auth.anonymous") && ran.stderr.contains(listen), "{}", ran.stderr);
    }
    let anonymous = Service::start_with(Options::new().env("TALLYHOUSE_AUTH__ANONYMOUS", "true"));
    assert_eq!(anonymous.http().get("/healthz").status, 200);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = Folder::new();
    let ran = folder.run_with(&[("TALLYHOUSE_LISTEN", &address)], &["serve"], b"");
    assert!(ran.code.is_some_and(|code| code != 0));
    assert!(ran.stderr.contains(&address), "{}", ran.stderr);
    assert!(ran.stderr.contains("another program listens there"), "{}", ran.stderr);
    // An address for documents (RFC 5737), which no machine has.
    let anonymous = [("TALLYHOUSE_LISTEN", "192.0.2.1:8080"), ("TALLYHOUSE_AUTH__ANONYMOUS", "true")];
    let ran = folder.run_with(&anonymous, &["serve"], b"").exits(1);
    assert!(ran.stderr.contains("this machine has no such address"), "{}", ran.stderr);
}

#[test]
fn all_faults_of_a_start_are_told_at_once() {
    refused(
        "",
        &[("TALLYHOUSE_LISTENN", "1"), ("TALLYHOUSE_LOG__FORMAT", "xml")],
        &["LISTENN", "one of text, json", "(2)"],
    );
    let folder = Folder::new();
    let env = [
        ("TALLYHOUSE_AUTH__KEYS_FILE", "none.toml"),
        ("TALLYHOUSE_TLS__CERT_FILE", "none.crt"),
        ("TALLYHOUSE_TLS__KEY_FILE", "none.key"),
        ("TALLYHOUSE_LISTEN", "nowhere"),
        ("TALLYHOUSE_REDIS__URL", "ftp://h"),
    ];
    for command in [&["serve"][..], &["config", "check"]] {
        let ran = folder.run_with(&env, command, b"").exits(2);
        for word in ["4 settings are wrong: (1) ", "none.toml", "none.crt", "\"nowhere\"", "redis"] {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_second_service_on_the_same_file_names_the_first() {
    let warns = |service: &Service| service.log().contains("another service uses the same SQLite file");
    let first = Service::start();
    let mut second = Service::start_in(std::sync::Arc::clone(first.folder()), Options::new());
    assert!(!warns(&first) && warns(&second), "{}", second.log());
    assert!(second.log().contains(&first.url()), "{}", second.log());
    for (service, id) in [(&first, "a"), (&second, "b"), (&first, "b"), (&second, "a")] {
        let status = service.http().record(&record_with(id, json!({}))).status;
        assert!([200, 201].contains(&status), "{status}");
    }
    second.kill();
    let folder = std::sync::Arc::clone(first.folder());
    let lock = || folder.path().join("tallyhouse.db-serve").exists();
    assert!(lock(), "the file is the first one's");
    let mut first = first;
    first.kill();
    let mut third = Service::start_in(std::sync::Arc::clone(&folder), Options::new());
    assert!(!warns(&third), "a lock ends with its process: {}", third.log());
    third.stop();
    assert!(!lock(), "a stop leaves nothing behind");
    folder.run(&["verify"]).ok();
}

#[test]
fn half_of_a_pair_is_refused_not_ignored() {
    refused("[tls]\ncert_file = \"cert.pem\"\n", &[], &["tls.cert_file", "tls.key_file"]);
    refused("", &[("TALLYHOUSE_TLS__KEY_FILE", "key.pem")], &["TALLYHOUSE_TLS__KEY_FILE"]);
}

#[test]
fn the_threshold_may_be_a_number_a_text_or_none() {
    for (toml, value, alerts) in [
        ("[alerts]\nthreshold = 7\n", "7.0001", json!(["default"])),
        ("[alerts]\nthreshold = \"7.5\"\n", "7.5", json!([])),
        ("[alerts]\nthreshold = \"none\"\n", "99999999", json!([])),
        ("", "10000.0000000000000000000001", json!(["default"])),
        ("", "10000", json!([])),
    ] {
        let service = Service::start_with(Options::new().file(toml));
        let answer = service.http().record(&record_with("a", json!({"value": value}))).expect_status(201).json();
        assert_eq!(answer["alerts"], alerts, "{toml}");
    }
}

#[test]
fn no_command_serves() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.env("TALLYHOUSE_LISTEN", "nonsense");
    let ran = tallyhouse_tests::folder::Running::start(command, Vec::new()).finish();
    assert!(ran.code.is_some_and(|code| code != 0));
    assert!(ran.stderr.contains("nonsense"), "without a command it would have listened: {}", ran.stderr);
}

#[test]
fn the_log_is_json_where_no_terminal_is() {
    let service = Service::start();
    for line in service.log().lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    let text = Service::start_with(Options::new().env("TALLYHOUSE_LOG__FORMAT", "text"));
    assert!(text.log().lines().all(|line| !line.starts_with('{')), "{}", text.log());
}

#[test]
fn a_database_in_memory_leaves_nothing_behind() {
    let mut service = Service::start_with(Options::new().env("TALLYHOUSE_DATABASE__URL", "sqlite::memory:"));
    assert_eq!(service.http().record(&record_with("a", json!({}))).status, 201);
    service.stop();
    assert_eq!(std::fs::read_dir(service.folder().path()).expect("a folder").count(), 0);
}

#[test]
fn config_check_refuses_what_a_start_refuses() {
    let folder = Folder::new();
    folder.write("no.db", "this is no database, but a text that is longer than the head of one".repeat(9));
    folder.write("empty.pem", "");
    for env in [
        &[("TALLYHOUSE_LISTEN", "foo")][..],
        &[("TALLYHOUSE_LISTEN", "127.0.0.1")],
        &[("TALLYHOUSE_LISTEN", "127.0.0.1:99999")],
        &[("TALLYHOUSE_LISTEN", "0.0.0.0:0")],
        &[("TALLYHOUSE_LISTEN", "[::]:0"), ("TALLYHOUSE_AUTH__ANONYMOUS", "false")],
        &[("TALLYHOUSE_AUTH__KEYS_FILE", "missing.toml")],
        &[("TALLYHOUSE_TLS__CERT_FILE", "empty.pem"), ("TALLYHOUSE_TLS__KEY_FILE", "empty.pem")],
        &[("TALLYHOUSE_REDIS__URL", "redis://127.0.0.1:port")],
        &[("TALLYHOUSE_REDIS__URL", "rediss://127.0.0.1:1"), ("TALLYHOUSE_REDIS__CA_FILE", "missing.pem")],
        &[("TALLYHOUSE_REDIS__URL", "rediss://127.0.0.1:1"), ("TALLYHOUSE_REDIS__CA_FILE", "empty.pem")],
        &[("TALLYHOUSE_DATABASE__URL", "sqlite://no/such/folder/t.db")],
        &[("TALLYHOUSE_DATABASE__URL", "sqlite://.")],
        &[("TALLYHOUSE_DATABASE__URL", "sqlite://no.db")],
        &[("TALLYHOUSE_DATABASE__URL", "postgres://u@127.0.0.1:1/d?sslmode=verify-full&sslrootcert=missing.pem")],
        &[("TALLYHOUSE_LOG__FILTER", "a=b=c")],
        &[("TALLYHOUSE_LOG__FILTER", "inf")],
    ] {
        let env =
            [env, if env[0].0 == "TALLYHOUSE_LISTEN" { &[] } else { &[("TALLYHOUSE_LISTEN", "127.0.0.1:0")] }].concat();
        let serve = folder.run_with(&env, &["serve"], b"");
        assert!(serve.code.is_some_and(|code| code != 0), "serve takes {env:?}");
        let check = folder.run_with(&env, &["config", "check"], b"").exits(2);
        assert!(!check.stderr.contains("panick"), "{}", check.stderr);
    }
    assert!(!folder.path().join("tallyhouse.db").exists());
}

#[test]
fn config_check_accepts_what_runs_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let said = folder.run(&["config", "check"]).ok().stdout;
    assert_eq!(said, "the settings are right\n");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    let service = Service::start();
    service.run(&["config", "check"]).ok();
    let postgres = [("DATABASE_URL", "postgres://u:p@127.0.0.1:1/d"), ("REDIS_URL", "redis://127.0.0.1:1")];
    folder.run_with(&postgres, &["config", "check"], b"").ok();
}

#[test]
fn a_database_on_another_machine_without_sslmode_is_warned_of() {
    let folder = Folder::new();
    for (url, warns) in [
        ("postgres://u:hunter2@db.example/d", true),
        ("postgres://u:hunter2@db.example/d?sslmode=verify-full", false),
        ("postgres://u:hunter2@127.0.0.1/d", false),
    ] {
        let ran = folder.run_with(&[("DATABASE_URL", url)], &["config", "check"], b"").ok();
        assert_eq!(ran.stderr.contains("has no sslmode"), warns, "{url}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    // Every address of this machine leads to it, but this one is not known to be its own.
    let url = [("DATABASE_URL", "postgres://u:hunter2@0.0.0.0:1/d")];
    let ran = folder.run_with(&url, &["migrate"], b"").exits(1);
    assert!(ran.stderr.contains("has no sslmode") && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn the_environment_of_libpq_says_as_well_how_the_database_is_protected() {
    let folder = Folder::new();
    for (variables, warns, is_sent) in [
        (&[][..], true, false),
        (&[("PGREQUIREAUTH", "")], true, false),
        (&[("PGSSLMODE", "disable")], false, true),
        (&[("PGSSLMODE", "verify-full")], false, false),
        (&[("PGREQUIREAUTH", "password")], false, true),
        (&[("PGREQUIREAUTH", "scram-sha-256")], false, false),
        (&[("PGSSLMODE", "disable"), ("PGREQUIREAUTH", "!password")], false, false),
    ] {
        let server = PlainPasswordServer::start().expect("a free port");
        let url = format!("postgres://u:hunter2@0.0.0.0:{}/d", server.port());
        let ours = [("DATABASE_URL", url.as_str()), ("TALLYHOUSE_POSTGRES__ACQUIRE_TIMEOUT_MS", "1000")];
        let ran = folder.run_with(&[&ours[..], variables].concat(), &["migrate"], b"").exits(1);
        assert_eq!(ran.stderr.contains("has no sslmode"), warns, "{variables:?}: {}", ran.stderr);
        assert_eq!(server.has_heard("hunter2").expect("a client"), is_sent, "{variables:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}
