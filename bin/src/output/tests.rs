//! Tests of failing output.

use super::*;

/// A writer that always fails.
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
fn a_closed_pipe_is_distinguished_from_a_full_disk() {
    let mut closed = Output(Failing(ErrorKind::BrokenPipe));
    assert!(closed.line("x").unwrap_err().is::<OutputClosed>());
    assert!(closed.flush().unwrap_err().is::<OutputClosed>());
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
