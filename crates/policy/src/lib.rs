//! Who may do what.

mod subject;

pub use subject::{Labels, Subject};
