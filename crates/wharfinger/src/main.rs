//! wharfinger
fn main() {}
