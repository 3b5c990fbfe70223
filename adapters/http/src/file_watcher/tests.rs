//! Which files are read, and who may write to those that decide about access.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::*;

#[test]
fn a_file_that_others_may_write_to_decides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, "text").unwrap();
    for (mode, is_read) in [(0o600, true), (0o640, true), (0o444, true), (0o620, false), (0o602, false), (0o666, false)]
    {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(read_protected(&path).is_ok(), is_read, "{mode:o}");
        assert_eq!(read(&path).unwrap(), b"text", "{mode:o}");
    }
}

#[test]
fn a_pipe_a_device_and_a_folder_are_refused_and_waited_for_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
        assert_eq!(read(path).unwrap_err(), "it is not a regular file", "{}", path.display());
    }
}
