//! The words of `mirror`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use registry::mirror::{Encoding, InvalidEncoding};
use registry::platform::Selector;

use super::values::{parse_jobs, parse_platform};
use super::{Form, RegistryArgs};

/// How the verb is written; clap would not say that one word less does with a list.
const USAGE: &str = "morsel mirror [OPTIONS] <SRC> <DST>
       morsel mirror [OPTIONS] --from-file <FILE> <DST>
       morsel mirror verify [OPTIONS] <IMAGE>";

/// Copy images for chosen platforms, and keep their index byte for byte.
///
/// The index stays, so its digest and all signatures of it hold, and lists platforms that are not there: it is sparse.
/// Attestations, signatures and other referrers go with what they are about, and a record beside the index says what is
/// missing on purpose. What the destination has is not sent again, so that an interrupted run goes on where it stopped,
/// and one more platform costs only itself.
///
/// `mirror verify` says how complete a mirror is.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, override_usage = USAGE)]
pub(crate) struct Mirror {
    #[command(subcommand)]
    pub(crate) subject: Option<MirrorSubject>,

    /// An image: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`
    #[arg(value_name = "SRC")]
    pub(crate) source: Option<String>,

    /// Where it goes: a name in a registry, `oci:DIR[:TAG]` or `oci-archive:FILE[:TAG]`; with a list, below which place:
    /// `HOST[/PREFIX]` or `oci:DIR`
    #[arg(value_name = "DST")]
    pub(crate) destination: Option<String>,

    /// Only this platform, `os/arch[/variant][,os.version][+feature]`; can be repeated [default: all that are there]
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) platform: Vec<Selector>,

    /// What becomes of entries without a platform
    #[arg(long, value_name = "WHAT", default_value = "keep")]
    pub(crate) no_platform: NoPlatform,

    /// Only images whose layers are `gzip`, `zstd`, `zstd:chunked` or `tar`; can be repeated [default: any]
    #[arg(long, value_name = "ENCODING", value_parser = parse_encoding)]
    pub(crate) encoding: Vec<Encoding>,

    /// Only the index and what is said about it, no platform at all
    #[arg(long, conflicts_with_all = ["platform", "encoding", "trim", "require"])]
    pub(crate) index_only: bool,

    /// Write a new index that lists only what is mirrored; it has another digest, and no signatures
    #[arg(long)]
    pub(crate) trim: bool,

    /// Take from this image what SRC does not have
    #[arg(long, value_name = "IMAGE", conflicts_with = "from_file")]
    pub(crate) complete_from: Option<String>,

    /// Fail unless SRC has this platform; can be repeated
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) require: Vec<Selector>,

    /// Mirror the images that FILE lists, one a line, with globs in their tags: `quay.io/team/app:1.* [PLATFORM...]`
    #[arg(long, value_name = "FILE")]
    pub(crate) from_file: Option<PathBuf>,

    /// Only say what would be done, and how many bytes it takes
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Before anything is moved, find out with a tiny index whether the registry takes sparse ones
    #[arg(long)]
    pub(crate) trial: bool,

    /// Who wants the mirror so, for the record
    #[arg(long, value_name = "WHO")]
    pub(crate) by: Option<String>,

    /// Leave no record of what is missing on purpose
    #[arg(long, conflicts_with = "by")]
    pub(crate) no_record: bool,

    /// Requests at once
    #[arg(long, value_name = "N", default_value = "6", value_parser = parse_jobs)]
    pub(crate) jobs: NonZeroUsize,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MirrorSubject {
    Verify(MirrorVerify),
}

/// Say how complete a mirror is.
///
/// Every platform that is listed, whether it is there with all its blobs, and what is said about it; the signatures of the
/// index, and what the mirror records of its purpose. Blobs are looked for, not read.
///
/// Exit code 0 means complete, 9 that what is missing is missing on purpose, and 4 that something else is missing.
#[derive(Debug, ClapArgs)]
pub(crate) struct MirrorVerify {
    /// An image: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Compare with this image
    #[arg(long, value_name = "OTHER")]
    pub(crate) compare: Option<String>,

    /// A platform that may be missing; can be repeated
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) allow: Vec<Selector>,

    /// A file with platforms that may be missing, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) allow_file: Option<PathBuf>,

    /// A platform that must be there, whatever is recorded; can be repeated
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) require: Vec<Selector>,

    /// Requests at once
    #[arg(long, value_name = "N", default_value = "6", value_parser = parse_jobs)]
    pub(crate) jobs: NonZeroUsize,

    #[command(flatten)]
    pub(crate) form: Form,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// What becomes of entries without a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NoPlatform {
    Keep,
    Skip,
}

fn parse_encoding(text: &str) -> Result<Encoding, InvalidEncoding> {
    text.parse()
}
