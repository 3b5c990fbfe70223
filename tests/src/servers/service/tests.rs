//! A service of a test leaves nothing behind.

use std::path::PathBuf;
use std::sync::mpsc::channel;

use super::Service;
use crate::wait;

#[test]
fn a_panicking_test_leaves_no_process_and_no_folder() {
    let (sender, receiver) = channel();
    let test = std::thread::spawn(move || {
        let service = Service::start();
        sender.send((service.pid(), service.folder().path().to_owned())).expect("somebody listens");
        panic!("as a failing test does");
    });
    assert!(test.join().is_err());
    let (pid, folder): (u32, PathBuf) = receiver.recv().expect("it was sent");
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    assert!(!folder.exists());
}

#[test]
fn a_service_goes_with_a_test_process_that_is_killed() {
    let service = Service::start();
    let (pid, folder) = (service.pid(), service.folder().path().to_owned());
    // What the end of the process does: its pipes are closed, and no destructor runs.
    let mut service = std::mem::ManuallyDrop::new(service);
    let pipe = service.reaper_input.take().expect("the reaper waits");
    drop(pipe);
    let mut child = service.process.take().expect("it runs");
    wait::until("the reaper to kill the service", || child.try_wait().expect("a child can be waited for"));
    wait::until("the folder to be removed", || (!folder.exists()).then_some(()));
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    service.reaper.wait().expect("a child can be waited for");
}
