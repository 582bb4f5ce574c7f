//! Tests of the crate from outside, against layers that `testkit` makes and blobs that other tools made.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails has failed its test")]

mod convert;
mod convert_laws;
mod convert_plain;
mod fuzz;
mod index;
