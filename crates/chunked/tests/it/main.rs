//! Tests of the crate from outside, against layers that `testkit` makes and blobs that other tools made.

mod convert;
mod convert_laws;
mod convert_plain;
