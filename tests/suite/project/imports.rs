//! Who imports whom: no folder imports in a circle, no circle has more than two files, and no folder is a corridor.
//!
//! A module is its file and the folder of the same name. Among the modules side by side in one folder there may be no
//! circle that a folder is part of. Within a crate, no circle may have more than two files. What only tests import does
//! not count, nor does a `pub use`, which names a module's parts for others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tallyhouse_tests::folder::workspace;

/// The crates that are looked at, by the folders of their sources.
const CRATES: [&str; 9] = [
    "core/src",
    "core/pipeline/src",
    "core/testing/src",
    "migrations/src",
    "adapters/http/src",
    "adapters/postgres/src",
    "adapters/redis/src",
    "adapters/sqlite/src",
    "bin/src",
];

/// Most files of Rust side by side in a folder.
const FILES_MAX: usize = 15;

/// Tests that are looked at for the number of files in their folders alone.
const TESTS: [&str; 4] = ["adapters/http/tests", "adapters/postgres/tests", "adapters/redis/tests", "tests"];

/// One source file of a crate: the path of its module, e.g. `["record", "time"]`, and the modules that it imports.
struct Source {
    module: Vec<String>,
    imports: BTreeSet<Vec<String>>,
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The path of a file's module; that of `lib.rs` and `main.rs` is empty.
fn module_of(root: &Path, file: &Path) -> Vec<String> {
    let path = file.strip_prefix(root).expect("a file of the crate").with_extension("");
    let parts: Vec<String> = path.iter().map(|part| part.to_str().expect("text").to_owned()).collect();
    if parts == ["lib"] || parts == ["main"] { Vec::new() } else { parts }
}

/// The code of a file without comments, and without the contents of its strings: each on one line, up to the tests.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let line = line.split("//").next().expect("a line");
        let outside = line.split('"').step_by(2);
        outside.for_each(|part| code.push_str(part));
        code.push(' ');
    }
    code
}

/// The modules that a file declares for tests only.
fn test_modules(code: &str) -> Vec<String> {
    let declared = code.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let rest = rest.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
        rest.strip_prefix("mod ")?.split([';', ' ', '{']).next().map(str::to_owned)
    });
    declared.collect()
}

/// Every path that begins with `crate::` or `super::`, with groups resolved, outside of `pub use`.
fn paths_in(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let trimmed = statement.trim_start();
        if trimmed.starts_with("pub use") || trimmed.starts_with("pub(crate) use") {
            continue;
        }
        for start in ["crate::", "super::"] {
            for (at, _) in statement.match_indices(start) {
                let before = statement[..at].chars().next_back();
                // `$crate::`, or a later part of a path.
                if !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '$')) {
                    expand(&statement[at..], &mut Vec::new(), &mut found);
                }
            }
        }
    }
    found
}

/// Reads a path, also one that ends in a group of paths; returns what is behind it.
fn expand<'a>(text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(rest, &mut prefix.clone(), found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(_) | None => return rest.trim_start_matches([',', ' ']).strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !name.is_empty() {
        prefix.push(name.to_owned());
    }
    match rest.strip_prefix("::") {
        Some(rest) => expand(rest, prefix, found),
        None => {
            found.push(prefix.clone());
            rest
        }
    }
}

/// The modules behind the names that the crate's root hands out.
fn handed_out(root: &str, modules: &BTreeSet<Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let mut paths = Vec::new();
    for statement in root.split(';') {
        if let Some(path) = statement.trim_start().strip_prefix("pub use ") {
            expand(path.trim_start_matches("crate::"), &mut Vec::new(), &mut paths);
        }
    }
    let module = |path: &Vec<String>| longest(path, modules).filter(|module| module.len() < path.len());
    paths.iter().filter_map(|path| Some((path.last()?.clone(), module(path)?))).collect()
}

/// The longest beginning of a path that is a module.
fn longest(path: &[String], modules: &BTreeSet<Vec<String>>) -> Option<Vec<String>> {
    (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|module| modules.contains(module))
}

/// The module that a path of a file leads to.
fn resolve(path: &[String], from: &[String], modules: &BTreeSet<Vec<String>>) -> Option<Vec<String>> {
    let mut base = if path[0] == "crate" { Vec::new() } else { from.to_vec() };
    let mut rest = path;
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "crate" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        rest = others;
    }
    let whole: Vec<String> = base.into_iter().chain(rest.iter().cloned()).collect();
    longest(&whole, modules).filter(|module| module != from)
}

/// Reads a crate, without the files that only its tests have.
fn sources(folder: &str) -> Vec<Source> {
    let root = workspace().join(folder);
    let mut codes = BTreeMap::new();
    for file in files_below(&root) {
        codes.insert(module_of(&root, &file), code_of(&fs::read_to_string(&file).expect("text")));
    }
    let mut tests = BTreeSet::new();
    for (module, code) in &codes {
        for name in test_modules(code) {
            tests.insert(module.iter().cloned().chain([name]).collect::<Vec<_>>());
        }
    }
    codes.retain(|module, _| !(1..=module.len()).any(|length| tests.contains(&module[..length])));
    let modules: BTreeSet<Vec<String>> = codes.keys().cloned().collect();
    let names = codes.get(&Vec::new()).map(|root| handed_out(root, &modules)).unwrap_or_default();
    let source = |(module, code): (&Vec<String>, &String)| {
        let import = |path: &Vec<String>| {
            let by_name = path.get(1).filter(|_| path[0] == "crate").and_then(|name| names.get(name)).cloned();
            resolve(path, module, &modules).or(by_name).filter(|to| to != module)
        };
        let imports = paths_in(code).iter().filter_map(import).collect();
        Source { module: module.clone(), imports }
    };
    codes.iter().map(source).collect()
}

type Graph = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// The circles of a graph: sets of nodes of which each leads to each other.
fn circles(graph: &Graph) -> Vec<BTreeSet<Vec<String>>> {
    let reachable = |from: &Vec<String>| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(node) = next.pop() {
            for to in graph.get(node).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> =
        graph.keys().map(|node| (node, reachable(node))).collect();
    let mut found = BTreeSet::new();
    for (node, reached) in &reach {
        let back = |other: &&Vec<String>| reach.get(other).is_some_and(|from| from.contains(*node));
        let circle: BTreeSet<Vec<String>> = reached.iter().filter(back).cloned().collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn shown(circle: &BTreeSet<Vec<String>>) -> String {
    circle.iter().map(|module| module.join("/")).collect::<Vec<_>>().join(" ")
}

/// Finds what is wrong with the imports of a crate.
fn findings(sources: &[Source]) -> Vec<String> {
    let files: Graph = sources.iter().map(|source| (source.module.clone(), source.imports.clone())).collect();
    let large = circles(&files).into_iter().filter(|circle| circle.len() > 2);
    let mut findings: Vec<String> =
        large.map(|circle| format!("a circle of {} files: {}", circle.len(), shown(&circle))).collect();
    let depth_max = sources.iter().map(|source| source.module.len()).max().unwrap_or_default();
    for depth in 1..=depth_max {
        // The modules side by side at this depth, each with all that is below it.
        let mut beside = Graph::new();
        for source in sources.iter().filter(|source| source.module.len() >= depth) {
            let own = source.module[..depth].to_vec();
            let siblings = source.imports.iter().filter(|to| to.len() >= depth && to[..depth - 1] == own[..depth - 1]);
            let siblings = siblings.map(|to| to[..depth].to_vec()).filter(|to| *to != own);
            beside.entry(own.clone()).or_default().extend(siblings);
        }
        let is_folder =
            |module: &Vec<String>| files.keys().any(|file| file.len() > depth && file[..depth] == module[..]);
        let of_folders = circles(&beside).into_iter().filter(|circle| circle.iter().any(is_folder));
        findings.extend(of_folders.map(|circle| format!("a circle between folders: {}", shown(&circle))));
    }
    findings
}

#[track_caller]
fn check_nothing_found(findings: &BTreeMap<String, Vec<String>>, what: &str) {
    let found: Vec<String> = findings
        .iter()
        .filter(|(_, found)| !found.is_empty())
        .map(|(place, found)| format!("{place}:\n  {}", found.join("\n  ")))
        .collect();
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn imports_do_not_go_in_circles() {
    let findings = CRATES.iter().map(|folder| ((*folder).to_owned(), findings(&sources(folder)))).collect();
    check_nothing_found(&findings, "imports go in circles");
}

#[test]
fn no_folder_has_more_files_side_by_side_than_a_reader_keeps_in_mind() {
    let mut counts = BTreeMap::<String, Vec<String>>::new();
    for folder in CRATES.iter().chain(&TESTS) {
        for file in files_below(&workspace().join(folder)) {
            let parent = file.parent().and_then(|parent| parent.strip_prefix(workspace()).ok()).expect("a folder");
            counts.entry(parent.display().to_string()).or_default().push(file.display().to_string());
        }
    }
    for files in counts.values_mut() {
        *files = if files.len() > FILES_MAX { vec![format!("{} files side by side", files.len())] } else { Vec::new() };
    }
    check_nothing_found(&counts, "folders with too many files");
}

#[test]
fn circles_are_found() {
    let source = |module: &str, imports: &[&str]| {
        let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        Source { module: parts(module), imports: imports.iter().map(|import| parts(import)).collect() }
    };
    let check = |sources: &[Source], expect: &[&str]| assert_eq!(findings(sources), expect);
    check(&[source("a", &["b"]), source("b", &["a"]), source("c", &["a"])], &[]);
    check(&[source("a", &["b"]), source("b", &["c"]), source("c", &["a"])], &["a circle of 3 files: a b c"]);
    check(&[source("a", &[]), source("a/x", &["b"]), source("b", &["a"])], &["a circle between folders: a b"]);
    check(&[source("a", &["a/x"]), source("a/x", &["a"])], &[]);
}

#[test]
fn paths_are_read_with_their_groups() {
    let code = code_of(concat!(
        "// use crate::comment;\n",
        "use crate::{a::{b, c::D}, e};\nuse super::f;\npub use crate::g;\nfn h() { crate::i::j() } // crate::k\n",
        "const TEXT: &str = \"crate::l\";\nmacro_rules! m { () => { $crate::n::o() } }\n",
    ));
    let paths: BTreeSet<String> = paths_in(&code).iter().map(|path| path.join("::")).collect();
    let expected = ["crate::a::b", "crate::a::c::D", "crate::e", "crate::i::j", "super::f"];
    assert_eq!(paths, expected.map(str::to_owned).into());
}
