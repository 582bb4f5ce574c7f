//! The words of the verbs about what is served before it is here.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use registry::platform::Selector;

use super::values::{parse_address, parse_bytes, parse_platform};
use super::{Form, RegistryArgs, StorePlace};

/// Serve what is missing of mounted images.
///
/// `mount` starts it when it is needed. Without systemd the process that is started keeps the connection to the kernel, and
/// starts another one that does the work, and the next one when that dies: readers wait meanwhile. Under systemd, whose units
/// `morsel daemon units` prints, systemd does so.
#[derive(Debug, ClapArgs)]
pub(crate) struct Daemon {
    /// What to do
    #[arg(value_name = "ACTION", default_value = "run")]
    pub(crate) action: DaemonAction,

    /// Answer `/metrics` and `/healthz` over HTTP at this address, too; they are always at the daemon's socket
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    pub(crate) metrics: Option<SocketAddr>,

    /// Fail a read whose content did not come for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) patience: NonZeroU32,

    /// Keep file content within so much space, such as `20G`, as `gc --quota` does: what is not mounted and can be fetched again
    /// goes [default: what `config.toml` says]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) quota: Option<u64>,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    /// Work for a keeper, which speaks on standard input
    #[arg(long, hide = true)]
    pub(crate) worker: bool,

    /// Leave the terminal
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

/// What to do with a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DaemonAction {
    /// Serve until stopped
    Run,
    /// Print how everything is, as JSON
    Status,
    /// End it; what is missing cannot be read then
    Stop,
    /// Print units for systemd
    Units,
}

/// Wait until all of an image is here.
///
/// What is missing is fetched, whether it is read or not, and every layer is proven. After that the image needs no registry
/// any more.
#[derive(Debug, ClapArgs)]
pub(crate) struct Wait {
    /// An image in the store, or where one is mounted
    #[arg(value_name = "IMAGE|DIR")]
    pub(crate) subject: String,

    #[command(flatten)]
    pub(crate) store: StorePlace,
}

/// Make mounts of an image independent of the daemon.
///
/// All of the image has to be here: `wait` brings it. Its mounts are made anew without the daemon; who has files open in the
/// old ones may go on. A daemon that serves nothing more ends.
#[derive(Debug, ClapArgs)]
pub(crate) struct Detach {
    /// An image in the store, or where one is mounted
    #[arg(value_name = "IMAGE|DIR")]
    pub(crate) subject: String,

    #[command(flatten)]
    pub(crate) store: StorePlace,
}

/// Run a command in an image, and remember what it reads.
///
/// The command runs as root in the image's files, which are mounted for it and thrown away with all that it changed. What it
/// read is fetched first, and in that order, when the image is mounted the next time.
#[derive(Debug, ClapArgs)]
pub(crate) struct Record {
    /// An image: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(crate) command: Vec<String>,

    /// The platform, `os/arch[/variant]` [default: that of this machine]
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) platform: Option<Selector>,

    /// Put the profile beside the image, in its registry or layout, where mounts elsewhere find it
    #[arg(long)]
    pub(crate) push: bool,

    /// Write the profile to FILE, too
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    #[command(flatten)]
    pub(crate) form: Form,
}
