//! The words of `convert`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use chunked::convert::Level;
use clap::Args as ClapArgs;
use registry::platform::Selector;

use super::values::{parse_jobs, parse_level, parse_memory, parse_platform};
use super::{Form, RegistryArgs};

/// Convert a layer, or every layer of an image, to zstd:chunked.
///
/// The tars inside stay the same, byte for byte, so diff IDs, image configs and image IDs do not change. A blob is the
/// same whatever its input was compressed with and however many jobs there are. A layer that zstd:chunked cannot
/// express becomes plain zstd, with the reason reported.
#[derive(Debug, ClapArgs)]
pub(crate) struct Convert {
    /// A layer, plain or compressed, in a file or `-`, or an image: `docker://NAME` or just `NAME`, `oci:DIR[:TAG]`,
    /// `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`
    #[arg(value_name = "SRC")]
    pub(crate) source: String,

    /// Where it goes: a file or `-` for a layer; `docker://NAME`, `oci:DIR[:TAG]` or `oci-archive:FILE[:TAG]` for an image
    #[arg(value_name = "DST")]
    pub(crate) destination: String,

    /// How hard to compress, 1 to 22
    #[arg(long, value_name = "N", default_value_t, value_parser = parse_level)]
    pub(crate) level: Level,

    /// Threads that compress [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = parse_jobs)]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Bytes of tar to hold at once, at least 24M
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_memory)]
    pub(crate) memory: usize,

    /// Do not decode and compare what is written
    #[arg(long)]
    pub(crate) no_verify: bool,

    /// Convert only images for this platform, `os/arch[/variant]`; can be repeated
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) platform: Vec<Selector>,

    /// Convert the images of every platform that is there, which is the default
    #[arg(long, conflicts_with = "platform")]
    pub(crate) all_platforms: bool,

    /// Keep the original manifests, and list the converted ones after them
    #[arg(long)]
    pub(crate) add: bool,

    /// Convert layers that are zstd:chunked already, too
    #[arg(long)]
    pub(crate) force: bool,

    /// Remember converted layers in DIR, and do not convert them again
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,

    /// Write the descriptor of the result, as JSON, to FILE instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptor: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}
