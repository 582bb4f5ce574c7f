//! The binary `morsel`, run as a person runs it and judged by other tools.

mod engines;
mod harness;
mod peers;
