//! A browser of a test leaves nothing behind.

use std::fs;
use std::path::Path;

use super::Browser;
use super::driver::Driver;
use super::session::Session;
use crate::wait;

#[test]
fn a_panicking_test_leaves_no_browser_and_no_folder() {
    let browser = Browser::start();
    let folder = browser.driver.folder().to_owned();
    assert!(is_named(&folder), "Chromium runs on a profile in the folder");
    assert!(has_temporary_folders(&folder), "Chromium leaves them behind in any folder");
    let test = std::thread::spawn(move || {
        browser.open("about:blank");
        panic!("as a failing test does");
    });
    assert!(test.join().is_err());
    check_gone(&folder);
}

#[test]
fn a_browser_goes_with_a_test_process_that_is_killed() {
    let driver = Driver::start().expect("the driver starts");
    Session::begin(&driver.url(), &driver.capabilities()).expect("Chromium starts");
    let folder = driver.folder().to_owned();
    assert!(is_named(&folder), "Chromium runs on a profile in the folder");
    driver.abandon();
    check_gone(&folder);
}

#[track_caller]
fn check_gone(folder: &Path) {
    wait::until("Chromium to end", || (!is_named(folder)).then_some(()));
    wait::until("the folder to be removed", || (!folder.exists()).then_some(()));
}

/// Whether Chromium keeps its temporary folders in this one.
fn has_temporary_folders(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).expect("a folder").map_while(Result::ok);
    entries.any(|entry| entry.file_name().to_string_lossy().contains("org.chromium"))
}

/// Whether the command of any process names a folder.
fn is_named(folder: &Path) -> bool {
    let name = folder.display().to_string();
    let processes = fs::read_dir("/proc").expect("this runs on Linux").map_while(Result::ok);
    // What has just ended can't be read.
    let mut commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    commands.any(|command| String::from_utf8_lossy(&command).contains(&name) && !command.starts_with(b"sh\0"))
}
