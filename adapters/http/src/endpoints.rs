//! The endpoints for records and for operators.

pub(crate) mod writing;
pub(crate) mod reading;
pub(crate) mod managing;
