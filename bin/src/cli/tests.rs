//! Tests of the command line.

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn flags_are_settings_before_and_after_the_command() {
    for line in [["tallyhouse", "--listen", "h:1", "serve"], ["tallyhouse", "serve", "--listen", "h:1"]] {
        let overrides = Cli::try_parse_from(line).unwrap().settings.overrides();
        assert_eq!(overrides.values, [("listen", "--listen", "h:1".to_owned())]);
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
