//! An error keeps its cause, and is compared without it.

use std::error::Error as _;

use tallyhouse_core::ports::PortErrorKind;

use super::*;
use crate::dependency::error_chain::ErrorChain;

#[test]
fn an_unavailable_store_is_the_source_of_the_error() {
    let cause = PortError::new(PortErrorKind::Unavailable, "committing a batch", "connection refused");
    let error = SubmitError::Unavailable(Some(Arc::new(cause)));
    assert!(error.source().is_some() && SubmitError::Unavailable(None).source().is_none());
    let chain = ErrorChain(&error).to_string();
    assert!(chain.starts_with("storage is unavailable") && chain.ends_with("connection refused"), "{chain}");
    assert_eq!(chain.matches("committing a batch").count(), 1, "{chain}");
    assert_eq!(error.clone(), SubmitError::Unavailable(None));
    assert_ne!(error, SubmitError::Stopped);
}
