//! A control group that limits the memory of its processes, as a container does.

use std::fs;
use std::path::{Path, PathBuf};

/// A control group. Dropped, it is removed; its processes have to end before.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// Makes a group whose processes have at most this much memory together, the page cache included.
    ///
    /// # Panics
    /// The system has no control groups for memory, or this user may make none.
    #[must_use]
    #[track_caller]
    pub fn new(mib: u64) -> Self {
        let bytes = (mib * 1024 * 1024).to_string();
        let name = format!("tallyhouse-{}", std::process::id());
        // Linux documents both: admin-guide/cgroup-v1/memory.rst and admin-guide/cgroup-v2.rst.
        let first = Path::new("/sys/fs/cgroup/memory");
        let (root, limit) = match first.join("memory.limit_in_bytes").exists() {
            true => (first, "memory.limit_in_bytes"),
            false => (Path::new("/sys/fs/cgroup"), "memory.max"),
        };
        let group = Self { folder: root.join(name) };
        fs::create_dir(&group.folder).expect("root may make a control group");
        fs::write(group.folder.join(limit), bytes).expect("the group limits memory");
        group
    }

    /// Returns the file that a process writes its number into to join.
    pub(super) fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.folder));
    }
}
