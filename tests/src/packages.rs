//! Packages of Python that tests use: installed once, beside the binary.

use std::path::PathBuf;
use std::process::Command;

use crate::folder::binary;

/// Installs a package of a version, unless it is there from an earlier run, and returns its folder. With `others` the
/// packages that it needs are installed, too.
///
/// # Panics
/// It can't be installed.
#[must_use]
#[track_caller]
pub fn installed(name: &str, version: &str, others: bool) -> PathBuf {
    let target = binary().parent().expect("the binary lies in a folder").to_owned();
    let there = target.join(format!("{name}-{version}"));
    if there.is_dir() {
        return there;
    }
    // It gets its name when it is whole; another test may be doing the same.
    let part = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(&target).expect("a folder can be made");
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
        .arg(part.path())
        .args((!others).then_some("--no-deps"))
        .arg(format!("{name}=={version}"))
        .output()
        .expect("python3 is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} could not be installed by pip, which this test needs: {said}");
    let part = part.keep();
    if std::fs::rename(&part, &there).is_err() {
        assert!(there.is_dir(), "neither we nor another test put it in its place");
        std::fs::remove_dir_all(part).expect("our own can be removed");
    }
    there
}
