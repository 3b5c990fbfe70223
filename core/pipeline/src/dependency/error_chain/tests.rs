//! Tests of error chains.

use std::error::Error;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Caused(&'static str, #[source] Option<Box<dyn Error + 'static>>);

#[test]
fn each_cause_is_said_once() {
    let table: [(&[&'static str], &str); 6] = [
        (&["a"], "a"),
        (&["a", "b", "c"], "a: b: c"),
        (&["a", "refused (111)", "refused (111)"], "a: refused (111)"),
        (&["a: b", "b", "c"], "a: b: c"),
        (&["a", "b", "a"], "a: b: a"),
        (&["a", ""], "a"),
    ];
    for (texts, expect) in table {
        let error =
            texts.iter().rev().fold(None, |cause: Option<Box<dyn Error>>, text| Some(Box::new(Caused(text, cause))));
        assert_eq!(ErrorChain(&*error.unwrap()).to_string(), expect, "{texts:?}");
    }
}
