//! Files that are not what they seem: CSV that is quoted wrongly, outputs that are inputs, files of other programs.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Stdio;

use serde_json::Value;
use tallyhouse_tests::data::records::{many, ndjson, record};
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::service::Service;

const HEAD: &str = "recordId,time,sourceId,destinationId,type,value,unit,reference,note";

fn row(id: &str, note: &str) -> String {
    format!("{id},2013-01-01T10:00:00Z,UA,IAH,positive,10,EUR,,{note}\n")
}

fn ids(folder: &Folder) -> Vec<String> {
    let ran = folder.run(&["aggregate", "--format", "json"]).ok();
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let records =
        answer["groups"].as_array().expect("a list").iter().flat_map(|g| g["records"].as_array().expect("a list"));
    records.map(|record| record["recordId"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_quote_that_is_not_closed_ends_the_import_with_an_error() {
    let service = Service::start();
    let url = service.url();
    let before: String = (0..10).map(|i| row(&format!("a{i}"), "")).collect();
    let behind: String = (0..990).map(|i| row(&format!("b{i}"), "")).collect();
    let text = format!("{HEAD}\n{before}{}{behind}", row("bad", "\"never closed"));
    for remote in [&[][..], &["--url", &url]] {
        let folder = Folder::new();
        folder.write("a.csv", &text);
        let ran = folder.run(&[&["import", "a.csv"], remote].concat()).exits(1);
        assert_eq!(ran.counts(), [10, 0, 0, 0], "{remote:?}");
        for part in ["a.csv:12:", "not closed", "the rows before line 12 were read", "not complete"] {
            assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        }
    }
    assert_eq!(service.http().get("/v1/records").json()["records"].as_array().map(Vec::len), Some(10));
}

#[test]
fn a_row_that_is_quoted_wrongly_is_refused_and_the_others_are_not() {
    let bad = [
        "x,2013-01-01T10:00:00Z,UA,IAH,positive,\"10\"0,EUR,,\n".to_owned(),
        "x,2013-01-01T10:00:00Z,UA, \"IAH\",positive,10,EUR,,\n".to_owned(),
        row("x", "\"say \\\"hi\\\"\""),
        row("x", "5\" pipe"),
        row("x", "\"5\" pipe\""),
    ];
    let good = row("multi", "\"two\nlines, \"\"quoted\"\"\"");
    let text = format!("{HEAD}\n{}{}{good}{}", row("a", ""), bad.concat(), row("z", ""));
    let service = Service::start();
    let url = service.url();
    for remote in [&[][..], &["--url", &url]] {
        let folder = Folder::new();
        folder.write("a.csv", &text);
        let ran = folder.run(&[&["import", "a.csv", "--errors", "refused"], remote].concat()).exits(1);
        assert_eq!(ran.counts(), [3, 0, 0, 5], "{}", ran.stderr);
        for (line, bad) in (3..8).zip(&bad) {
            assert!(ran.stderr.contains(&format!("a.csv:{line}: rejected")), "{line}: {}", ran.stderr);
            let kept: Value =
                serde_json::from_str(folder.read("refused").lines().nth(line - 3).expect("a line")).expect("JSON");
            assert_eq!(kept["input"], bad.trim_end(), "what is kept is what was written");
        }
        if remote.is_empty() {
            assert_eq!(ids(&folder), ["a", "multi", "z"]);
        }
    }
}

#[test]
fn no_output_overwrites_what_the_command_reads() {
    let folder = Folder::new();
    folder.write("tallyhouse.toml", "");
    folder.write("x.ndjson", ndjson(&many("r", 20)));
    folder.run(&["import", "x.ndjson"]).ok();
    fs::create_dir(folder.path().join("sub")).expect("a folder can be made");
    symlink("x.ndjson", folder.path().join("soft")).expect("a link can be made");
    symlink("tallyhouse.db", folder.path().join("soft.ndjson")).expect("a link can be made");
    fs::hard_link(folder.path().join("x.ndjson"), folder.path().join("hard")).expect("a link can be made");
    let (text, database) =
        (folder.read("x.ndjson"), fs::read(folder.path().join("tallyhouse.db")).expect("a database"));
    let absolute = folder.path().join("x.ndjson");
    let database_files = [
        "tallyhouse.db",
        "tallyhouse.db-wal",
        "tallyhouse.db-shm",
        "sub/../tallyhouse.db-journal",
        "tallyhouse.db-serve",
        "soft.ndjson",
    ];
    let inputs = ["x.ndjson", "./x.ndjson", "sub/../x.ndjson", "soft", "hard", absolute.to_str().expect("text")];
    for errors in inputs.iter().chain(&database_files).chain(&["tallyhouse.toml"]) {
        for more in [&[][..], &["--dry-run"], &["--url", "http://127.0.0.1:1"]] {
            let ran = folder.run(&[&["import", "x.ndjson", "--errors", errors], more].concat()).exits(2);
            assert!(ran.stderr.contains("would overwrite"), "{errors}: {}", ran.stderr);
        }
    }
    for output in database_files.iter().chain(&["tallyhouse.toml"]) {
        let ran = folder.run(&["export", "--format", "csv", "-o", output]).exits(2);
        assert!(ran.stderr.contains("would overwrite"), "{output}: {}", ran.stderr);
    }
    assert_eq!(folder.read("x.ndjson"), text);
    assert_eq!(fs::read(folder.path().join("tallyhouse.db")).expect("a database"), database);
    assert_eq!(ids(&folder).len(), 20);
    folder.run(&["verify"]).ok();

    // By redirection the input has no name.
    let mut command = folder.command();
    let input = fs::File::open(folder.path().join("x.ndjson")).expect("it is there");
    command.args(["import", "-", "--errors", "hard"]).stdin(input).stderr(Stdio::null()).stdout(Stdio::null());
    assert_eq!(command.status().expect("it runs").code(), Some(2));
    assert_eq!(folder.read("x.ndjson"), text);
}

#[test]
fn a_database_that_is_not_there_yet_is_not_taken_for_an_output() {
    let folder = Folder::new();
    folder.write("x.ndjson", "no record\n");
    for errors in ["tallyhouse.db", "./tallyhouse.db-wal"] {
        folder.run(&["import", "x.ndjson", "--errors", errors]).exits(2);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing was made");
}

#[test]
fn refusals_of_an_earlier_import_are_kept() {
    let folder = Folder::new();
    folder.write("x.ndjson", "no record\n");
    folder.write("empty", "");
    folder.run(&["import", "x.ndjson", "--errors", "refused"]).exits(1);
    let first = folder.read("refused");
    assert_eq!(first.lines().count(), 1);
    let ran = folder.run(&["import", "x.ndjson", "--errors", "refused"]).exits(2);
    assert!(ran.stderr.contains("name another file"), "{}", ran.stderr);
    assert_eq!(folder.read("refused"), first);
    folder.run(&["import", "x.ndjson", "--errors", "empty"]).exits(1);
    assert_eq!(folder.read("empty"), first);
    folder.run(&["import", "x.ndjson", "--errors", "/dev/null"]).exits(1);
}

#[test]
fn new_files_are_for_their_owner_alone() {
    let folder = Folder::new();
    folder.write("x.ndjson", format!("{}\nno record\n", record("a")));
    folder.run(&["import", "x.ndjson", "--errors", "refused"]).exits(1);
    folder.run(&["export", "-o", "a.csv"]).ok();
    folder.write("open.csv", "");
    fs::set_permissions(folder.path().join("open.csv"), fs::Permissions::from_mode(0o640))
        .expect("its permissions can be set");
    folder.run(&["export", "-o", "open.csv"]).ok();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).expect("it is there").mode() & 0o777;
    assert_eq!([mode("refused"), mode("a.csv"), mode("open.csv")], [0o600, 0o600, 0o640]);
}

#[test]
fn a_file_of_another_kind_is_named() {
    let folder = Folder::new();
    let utf16: Vec<u8> = format!("\u{feff}{HEAD}\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files: [(&str, &[u8], &str); 7] = [
        ("a.bz2", b"BZh91AY&SY\x01\x02", "bzip2"),
        ("a.xz", b"\xfd7zXZ\0\0\x04", "xz"),
        ("a.csv", b"PK\x03\x04\x14\0", "zip"),
        ("a.bin", b"\x7fELF\x02\x01\x01\0", "ELF"),
        ("utf16.csv", &utf16, "UTF-16"),
        ("key.pem", b"\xef\xbb\xbf-----BEGIN CERTIFICATE-----\n", "PEM"),
        (
            "snake.csv",
            b"record_id,time,source_id,destination_id,type,value,unit,reference\n",
            "--column recordId=record_id",
        ),
    ];
    for (name, content, what) in files {
        folder.write(name, content);
        let ran = folder.run(&["import", name]).exits(1);
        assert!(ran.stderr.contains(what) && ran.stderr.contains(name), "{name}: {}", ran.stderr);
        assert_eq!(ran.counts(), [0; 4], "{name}");
    }
    folder.write("empty.csv", "");
    let ran = folder.run(&["import", "empty.csv"]).ok();
    assert!(ran.stderr.contains("empty.csv is empty"), "{}", ran.stderr);
}

#[test]
fn csv_of_other_programs_is_read() {
    let folder = Folder::new();
    folder.write(
        "a.csv",
        "\u{feff}id;time;sourceId;destinationId;type;value;unit;reference;;\r\n\
         a;2024-01-01 00:00:00+00;UA;IAH;positive;.5;EUR;;;\r\n;;;;;;;;;\r\n\r\n\
         b;2024-01-01T01:00:00+0100;UA;IAH;positive;0.5;EUR;;;;;\r\n",
    );
    let options = ["--delimiter", ";", "--column", "recordId=id"];
    let dry = folder.run(&[&["import", "a.csv", "--dry-run"], &options[..]].concat()).ok();
    assert_eq!(dry.stdout, "valid 2  rejected 0  nothing was stored\n");
    assert!(!folder.path().join("tallyhouse.db").exists());
    assert_eq!(folder.run(&[&["import", "a.csv"], &options[..]].concat()).ok().counts(), [2, 0, 0, 0]);
    let exported = folder.run(&["export", "--format", "csv"]).ok().stdout;
    let rows: Vec<&str> = exported.lines().skip(1).map(|line| &line[..58]).collect();
    let row = |id: &str| format!("{id},2024-01-01T00:00:00Z,UA,IAH,positive,0.5,EUR,,");
    assert!(rows[0].starts_with(&row("a")) && rows[1].starts_with(&row("b")), "{exported}");
    for wrong in
        [&["--delimiter", "\""][..], &["--delimiter", "ab"], &["--column", "id=recordId"], &["--column", "recordId="]]
    {
        folder.run(&[&["import", "a.csv"], wrong].concat()).exits(2);
    }
}

#[test]
fn a_dry_run_tells_what_is_rejected() {
    let folder = Folder::new();
    folder.write("a.ndjson", format!("{}no record\n", ndjson(&many("r", 3))));
    let ran = folder.run(&["import", "a.ndjson", "--dry-run", "--errors", "refused"]).exits(1);
    assert_eq!(ran.stdout, "valid 3  rejected 1  nothing was stored\n");
    assert!(ran.stderr.contains("a.ndjson:4: rejected"), "{}", ran.stderr);
    assert_eq!(folder.read("refused").lines().count(), 1);
    assert!(!folder.path().join("tallyhouse.db").exists());
    // Nothing is sent either.
    folder.run(&["import", "a.ndjson", "--dry-run", "--url", "http://127.0.0.1:1"]).exits(1);
}

#[test]
fn an_export_refuses_an_ending_that_it_does_not_write() {
    let folder = Folder::new();
    folder.run(&["migrate"]).ok();
    for name in ["a.json", "a.parquet", "a.csv.zst"] {
        let ran = folder.run(&["export", "-o", name]).exits(2);
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
        assert!(!folder.path().join(name).exists());
    }
    folder.run(&["export", "-o", "a.json", "--format", "ndjson"]).ok();
    folder.run(&["export", "-o", "a.jsonl"]).ok();
}

#[test]
fn a_filter_takes_a_date() {
    let folder = Folder::new();
    folder.write("a.ndjson", ndjson(&many("r", 100)));
    folder.run(&["import", "a.ndjson"]).ok();
    let all = folder.run(&["export"]).ok().stdout;
    let by = |start: &str, end: &str| folder.run(&["export", "--start", start, "--end", end]).ok().stdout;
    assert_eq!(by("2013-01-02", "2013-01-04"), by("2013-01-02T00:00:00Z", "2013-01-04T00:00:00Z"));
    assert_eq!(by("0001-01-01", "9999-12-31"), all);
    folder.run(&["export", "--start", "2013-02-30"]).exits(2);
}
