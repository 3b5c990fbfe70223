//! Every input that is kept, those that once broke a law among them, keeps the law of its target.

use std::fs;
use std::path::{Path, PathBuf};

use tallyhouse_fuzz::TARGETS;

/// The folders of a kind, each named after a target, with their inputs.
fn inputs(kind: &str) -> Vec<(String, Vec<PathBuf>)> {
    let kind = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind);
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).expect("a folder of inputs").map(|entry| entry.expect("an entry").path()).collect()
    };
    let name = |folder: &Path| folder.file_name().expect("a name").to_string_lossy().into_owned();
    entries(&kind).iter().map(|folder| (name(folder), entries(folder))).collect()
}

fn replay(kind: &str) {
    for (target, inputs) in inputs(kind) {
        let (_, law) = TARGETS.iter().find(|(name, _)| *name == target).expect("a folder is named after a target");
        for path in inputs {
            // Shown where the law is broken.
            println!("{}", path.display());
            law(&fs::read(path).expect("an input"));
        }
    }
}

#[test]
fn every_input_that_is_kept_keeps_the_laws() {
    replay("corpus");
    let kept = inputs("corpus");
    for (target, _) in TARGETS {
        assert!(kept.iter().any(|(name, inputs)| name == target && !inputs.is_empty()), "{target} has no corpus");
    }
}

#[test]
fn what_once_broke_a_law_keeps_it_now() {
    replay("regressions");
}
