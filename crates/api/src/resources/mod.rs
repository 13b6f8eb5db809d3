//! The handlers, one file for each kind of object.

pub(crate) mod account;
pub(crate) mod users;
