//! Images on disk, end to end.
//!
//! Tests named `tool_*` need skopeo and umoci.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod archive;
mod convert;
mod instances;
mod layout;
mod made;
mod ranges;
mod tool;
