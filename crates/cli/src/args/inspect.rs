//! The words of `inspect` and `verify`.

use std::path::PathBuf;

use chunked::DiffId;
use clap::Args as ClapArgs;
use registry::platform::Selector;

use super::values::{parse_diff_id, parse_platform};
use super::{Form, RegistryArgs};

/// Say what a layer, or every layer of an image, is made of, and which clients can use it.
///
/// Only the TOC is read and checked, not the content: that is what `verify` does.
#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) what: What,

    /// List the TOC instead
    #[arg(long)]
    pub(crate) toc: bool,

    /// Write JSON, for programs; with `--toc`, the TOC as zstd:chunked has it
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prove that a layer, or every layer of an image, is what it says it is.
///
/// Everything is decompressed and hashed: frames, chunk and file digests, TOC against tar against tar-split, and the
/// tar against its diff ID. Any layer will do, of any dialect or none.
///
/// Exit code 0 means proven, 3 damaged, and 8 that nothing is wrong but no diff ID was there to compare the tar with.
#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) what: What,

    /// The digest that the tar of the layer should have
    #[arg(long, value_name = "DIGEST", value_parser = parse_diff_id)]
    pub(crate) diff_id: Option<DiffId>,

    #[command(flatten)]
    pub(crate) form: Form,
}

/// What to look at.
#[derive(Debug, ClapArgs)]
pub(crate) struct What {
    /// A layer in a file, `-`, or an image: `docker://NAME` or just `NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`
    #[arg(value_name = "BLOB|IMAGE")]
    pub(crate) place: String,

    /// The layer's descriptor: what `convert` printed, or an OCI descriptor
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptor: Option<PathBuf>,

    /// Only images for this platform, `os/arch[/variant]`; can be repeated
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) platform: Vec<Selector>,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}
