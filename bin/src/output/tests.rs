//! Tests of what becomes of output that nobody reads.

use super::*;

/// A reader that fails in one way.
struct Failing(ErrorKind);

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn a_reader_who_leaves_is_told_from_a_full_disk() {
    let mut left = Output(Failing(ErrorKind::BrokenPipe));
    assert!(left.line("x").unwrap_err().is::<OutputClosed>());
    assert!(left.flush().unwrap_err().is::<OutputClosed>());
    let mut full = Output(Failing(ErrorKind::StorageFull));
    let error = full.line("x").unwrap_err();
    assert!(!error.is::<OutputClosed>() && error.to_string().contains("standard output can't be written"), "{error}");
}

#[test]
fn lines_are_written_as_they_are() {
    let mut out = Output(Vec::new());
    out.write(b"a").unwrap();
    out.line("b\u{e9}").unwrap();
    assert_eq!(out.0, "ab\u{e9}\n".as_bytes());
}
