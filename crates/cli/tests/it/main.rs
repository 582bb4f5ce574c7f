//! The binary `morsel`, run as a person runs it and judged by other tools.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod engines;
mod harness;
mod peers;
