//! The command, run as a person runs it, and judged by other tools.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod absent;
mod bad_input;
mod bench;
mod convert_image;
mod convert_layer;
mod docs;
mod engines;
mod estimate;
mod foreign_seeds;
mod harness;
mod help;
mod host_seed;
mod inspect;
mod large_seed;
mod lazy;
mod memory;
mod mirror;
mod mirror_points;
mod mirror_served;
mod mount;
mod output;
mod peers;
mod places;
mod podman;
mod posix;
mod pull_crash;
mod pull_denied;
mod pull_faults;
mod pull_servers;
mod pull_tampered;
mod real;
mod registries;
mod sandbox;
mod scene;
mod serve;
mod serve_crash;
mod serve_peers;
mod served;
mod store;
mod unpack;
mod update;
mod verify;
