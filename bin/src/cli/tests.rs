//! Tests of the command line.

use clap::{CommandFactory as _, FromArgMatches as _};

use super::*;

#[test]
fn the_command_line_is_consistent() {
    command().debug_assert();
}

#[test]
fn flags_are_settings_before_and_after_the_command() {
    for line in [["tallyhouse", "--listen", "h:1", "serve"], ["tallyhouse", "serve", "--listen", "h:1"]] {
        let overrides = Cli::try_parse_from(line).unwrap().settings.overrides();
        assert_eq!(overrides.values, [("listen", "--listen", "h:1".to_owned())]);
    }
}

#[test]
fn help_lists_the_settings_that_the_command_reads() {
    let help = |line: &str| {
        let words = ["tallyhouse"].into_iter().chain(line.split(' ')).chain(["--help"]);
        command().try_get_matches_from(words).unwrap_err().to_string()
    };
    let flags = ["--listen", "--database-url", "--redis-url", "--log-filter", "--config"];
    let table = [
        ("serve", [true; 5]),
        ("import", [false, true, false, true, true]),
        ("health", [true, false, false, true, true]),
        ("dead-letters list", [false, true, true, true, true]),
        ("keys new", [false; 5]),
        ("completions", [false; 5]),
    ];
    for (line, expect) in table {
        assert_eq!(flags.map(|flag| help(line).contains(&format!("{flag} <"))), expect, "{line}");
    }
    let known = command::SETTINGS_OF.map(|(name, _)| name);
    let names: Vec<String> = Cli::command().get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
}

#[test]
fn a_flag_that_is_not_listed_is_taken() {
    for line in [
        "--redis-url r import f",
        "import --redis-url r f",
        "dead-letters --listen r list",
        "keys new --listen r --name n --scope read",
    ] {
        let matches = command().try_get_matches_from(["tallyhouse"].into_iter().chain(line.split(' '))).unwrap();
        let overrides = Cli::from_arg_matches(&matches).unwrap().settings.overrides();
        assert_eq!(overrides.values.len(), 1, "{line}");
        assert_eq!(overrides.values[0].2, "r", "{line}");
    }
}

#[test]
fn wrong_command_lines_are_refused() {
    let table: [&[&str]; 14] = [
        &["import"],
        &["aggregate", "--start", "yesterday"],
        &["aggregate", "--start", "2013-02-30"],
        &["aggregate", "--type", "neutral"],
        &["aggregate", "--unit", ""],
        &["aggregate", "--limit", "0"],
        &["watch", "records"],
        &["watch", "alerts", "--key", "k"],
        &["watch", "alerts", "--url", "http://h", "--key", ""],
        &["dead-letters", "purge"],
        &["keys", "new", "--name", "n"],
        &["keys", "new", "--scope", "read"],
        &["keys", "new", "--name", "n", "--scope", "write"],
        &["keys", "new", "--name", "n", "--scope", ""],
    ];
    for line in table {
        assert!(Cli::try_parse_from(["tallyhouse"].iter().chain(line)).is_err(), "{line:?}");
    }
}

#[test]
fn the_scopes_of_a_key_are_separated_by_commas() {
    let line = ["tallyhouse", "keys", "new", "--name", "n", "--scope", "ingest,read", "--scope", "admin"];
    let Some(Command::Keys(KeysCommand::New(args))) = Cli::try_parse_from(line).unwrap().command else {
        panic!("another command");
    };
    assert_eq!((args.name.as_str(), args.scope), ("n", vec![ScopeName::Ingest, ScopeName::Read, ScopeName::Admin]));
}

#[test]
fn the_help_of_health_speaks_of_the_configured_address_and_of_no_key() {
    let help = command().try_get_matches_from(["tallyhouse", "health", "--help"]).unwrap_err().to_string();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("instead of the configured one"), "{help}");
    assert!(!words.contains("database") && !words.contains("--key"), "{help}");
    // Scripts may give the key to every command with --url.
    assert!(Cli::try_parse_from(["tallyhouse", "health", "--url", "http://h", "--key", "k"]).is_ok());
}

#[test]
fn filters_are_the_parameters_of_the_api() {
    let line = "tallyhouse aggregate --start 2013-01-01T00:00:00.0000001Z --end 2013-01-02T00:00:00+01:00 --type negative \
                --destination-id IAH --source-id UA --reference= --unit minute";
    let Some(Command::Aggregate(args)) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
        panic!("another command");
    };
    let parameters = args.filter.parameters();
    let expected = [
        ("start", "2013-01-01T00:00:00.000001Z"),
        ("end", "2013-01-01T23:00:00Z"),
        ("type", "negative"),
        ("destinationId", "IAH"),
        ("sourceId", "UA"),
        ("reference", ""),
        ("unit", "minute"),
    ];
    assert_eq!(parameters, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(args.filter.filter().reference.unwrap().as_str(), "");
}
