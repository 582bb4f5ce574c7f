//! The `morsel` command: turns words into calls of the other crates, and what they answer into words.

mod access;
mod args;
mod commands;
mod config;
mod descriptor_file;
mod exit;
mod image_name;
mod image_stores;
mod instances;
mod interrupt;
mod journal;
mod layer_file;
mod machine;
mod output;
mod request;
mod seeds;
mod store_place;
mod sys;
mod ui;
mod who;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use request::Request;

fn main() -> ExitCode {
    sys::give_large_buffers_back();
    let done = Request::try_from(Args::parse()).map_err(Into::into).and_then(commands::run);
    match done {
        Ok(code) => code,
        Err(error) => exit::fail(&error),
    }
}
