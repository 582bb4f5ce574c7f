//! A registry, asked by raw requests. What peers make of it is tested where there is a `morsel` to run.
//!
//! Tests named `tool_*` need openssl.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod delete;
mod fuzz;
mod gc;
mod hostile;
mod lists;
mod pull;
mod push;
mod served;
mod sparse;
mod users;
