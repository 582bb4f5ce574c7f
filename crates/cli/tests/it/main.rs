//! The command, from the outside.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod bad_input;
mod convert_image;
mod convert_layer;
mod help;
mod inspect;
mod output;
mod sandbox;
mod verify;
