//! Tests of the proxy over real sockets. They count, and leave times to the tests of the lines.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod fuzz;
mod proxy;
