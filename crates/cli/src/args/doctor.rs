//! The words of `doctor`.

use clap::{Args as ClapArgs, Subcommand};

use super::values::parse_bytes;
use super::{RegistryArgs, StorePlace};

/// Find out how things are, and what that means.
#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    #[command(subcommand)]
    pub(crate) subject: DoctorSubject,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorSubject {
    Registry(DoctorRegistry),
    Podman(DoctorEngines),
}

/// Find out whether podman and its like pull through morsel.
///
/// Each piece that has to be in place, each engine that is here, and what the storage helper did last. Exit code 1 means that
/// a piece is missing.
#[derive(Debug, ClapArgs)]
pub(crate) struct DoctorEngines {
    #[command(flatten)]
    pub(crate) store: StorePlace,

    /// Write JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Find out what the host of an image's blobs can do, and how fast it is.
///
/// The largest layer is asked for: single bytes of it in requests with more and more ranges, then its start over one
/// connection and over several. What was found out is remembered for later pulls, for a week.
#[derive(Debug, ClapArgs)]
pub(crate) struct DoctorRegistry {
    /// An image in the registry, such as `quay.io/fedora/fedora:latest`
    #[arg(value_name = "HOST/REPOSITORY[:TAG]")]
    pub(crate) image: String,

    /// Most bytes to read over one connection, and again over several
    #[arg(long, value_name = "SIZE", default_value = "32M", value_parser = parse_bytes)]
    pub(crate) bytes: u64,

    /// Write JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}
