//! The rules of the examples.

use super::{Step, matches, steps};

#[track_caller]
fn check(expected: &str, output: &str, fits: bool) {
    assert_eq!(matches(expected, output), fits, "{expected:?} {output:?}");
}

#[test]
fn an_ellipsis_stands_for_anything() {
    check("", "", true);
    check("a\n", "a", true);
    check("a", "b", false);
    check("a", "", false);
    check("", "a", false);
    check("…", "", true);
    check("…", "a\nb", true);
    check("a…b", "a\nx\nb  \n", true);
    check("a…b", "ab", true);
    check("a…b", "a", false);
    check("a…a", "a", false);
    check("a…b…c", "a c b c", true);
    check("a…b…c", "a c c", false);
}

#[test]
fn a_block_is_taken_apart_into_steps() {
    let document = "# Title\n\n```console\n$ one\nout\n$ two \\\n> more\n$ cat <<'END' >file\nx\nEND\n$ curl -d '\n> {\"a\":1}'\n{}\n```\n```sh\nnot this\n```\n\
                    <!-- not run: needs a cloud -->\n```console\n$ never\n```\n```console\n$ last # exits 3\n```\n";
    let found = steps(document);
    let commands: Vec<(usize, &str, &str)> =
        found.iter().map(|s| (s.line, s.command.as_str(), s.expected.as_str())).collect();
    let expected = [
        (4, "one", "out\n"),
        (6, "two \\\nmore", ""),
        (8, "cat <<'END' >file\nx\nEND", ""),
        (11, "curl -d '\n{\"a\":1}'", "{}\n"),
        (23, "last # exits 3", ""),
    ];
    assert_eq!(commands, expected);
    assert_eq!(found.last().map(Step::exit_code), Some(3));
}
