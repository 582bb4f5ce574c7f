//! The `morsel` command.
fn main() {}
