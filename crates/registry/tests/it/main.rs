//! Images on disk and in registries, end to end.
//!
//! Tests named `tool_*` need skopeo, umoci, docker-registry and openssl.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod archive;
mod convert;
mod fuzz;
mod instances;
mod layout;
mod made;
mod mirror;
mod ranges;
mod remote;
mod tool;
