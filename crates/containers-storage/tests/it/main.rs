//! Layers published for engines, without engines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod fuzz;
mod published;
