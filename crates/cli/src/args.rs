//! The command line, word for word. What the words mean together is for [`crate::request`].

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use chunked::convert::Level;
use chunked::digest::InvalidDigest;
use chunked::{DiffId, Link};
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use registry::platform::{self, Selector};
use store::unpack::{InvalidIdMap, Owners};

use crate::link;

/// What every `--help` ends with.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  this machine failed: disk, memory, permissions, a defect
  2  the command line is wrong
  3  the input is damaged: truncated, corrupt, or lying
  4  something that was asked for does not exist
  5  valid, but not supported
  6  refused by the other side
  7  may work when tried again
  8  verify only: consistent, but not proven";

/// Turn container image layers into zstd:chunked, look into them, and prove them.
#[derive(Debug, Parser)]
#[command(name = "morsel", version, max_term_width = 100, after_help = EXIT_CODES)]
#[command(propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Convert(Convert),
    Inspect(Inspect),
    Verify(Verify),
    Pull(Pull),
    Estimate(Estimate),
    Unpack(Unpack),
    Images(Images),
    Rm(Rm),
    Gc(Gc),
    Fsck(Fsck),
    Du(Du),
    Doctor(Doctor),
}

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

/// Bring images into the store, fetching only what is not there.
///
/// Every layer is verified while it comes in: the TOC against the manifest, every file against the TOC, and the whole
/// against the diff ID in the image's config. An interrupted pull goes on where it stopped.
#[derive(Debug, ClapArgs)]
pub(crate) struct Pull {
    /// Images: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,

    /// The platform, `os/arch[/variant]` [default: that of this machine]
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) platform: Option<Selector>,

    /// What makes a layer trusted: `diff-id`, its whole tar has the digest in the image's config; or `toc`, every file
    /// has the digest in the TOC, which takes a third less work when most of a layer is here
    #[arg(long, value_name = "HOW", default_value = "diff-id")]
    pub(crate) verify: Verification,

    /// Threads that decode, for each layer [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = parse_jobs)]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Layers at once
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse_jobs)]
    pub(crate) layers: NonZeroUsize,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    #[command(flatten)]
    pub(crate) form: Form,
}

/// What makes a layer trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verification {
    DiffId,
    Toc,
}

/// Say what a pull would fetch, and why, without fetching it.
///
/// Only manifests and TOCs are read, and nothing is changed: every layer with what of it is missing, in how many requests it
/// would come, and how long that takes; every file by why it has to be fetched or not.
#[derive(Debug, ClapArgs)]
pub(crate) struct Estimate {
    /// An image: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Compare with this image, as if exactly that were here, and not with the store
    #[arg(long, value_name = "OLD", conflicts_with = "root")]
    pub(crate) from: Option<String>,

    /// How fast the link is and how long a round trip takes, such as `100Mbit,20ms` [default: what earlier transfers
    /// from there showed]
    #[arg(long, value_name = "RATE,RTT", value_parser = link::parse)]
    pub(crate) link: Option<Link>,

    /// The platform, `os/arch[/variant]` [default: that of this machine]
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) platform: Option<Selector>,

    /// List the requests, too
    #[arg(long)]
    pub(crate) plan: bool,

    /// Write JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// Make the root file system of an image as plain files.
///
/// DIR gets what a container of the image would see: all layers merged, with owners, modes, times, attributes, links,
/// devices and holes. It must be missing or empty, and appears when it is complete. Where the file system can, files share
/// their bytes with the store.
#[derive(Debug, ClapArgs)]
pub(crate) struct Unpack {
    /// An image in the store: its name, or how its digest or image ID begins
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// The directory to make
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Whose the files are: `as-is`, those whom the image says; `squash`, yours; or `map:INSIDE:OUTSIDE:COUNT[,...]`, others
    /// in their place [default: as-is for root, squash otherwise]
    #[arg(long, value_name = "WHO", value_parser = parse_owners)]
    pub(crate) owner: Option<Owners>,

    /// Wait until everything is safe from a power loss
    #[arg(long)]
    pub(crate) sync: bool,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    #[command(flatten)]
    pub(crate) form: Form,
}

/// List the images in the store.
///
/// `size` is that of the layers, not compressed, and `state` says how much of the image is here and verified: `indexed` is
/// the list of its files, `complete` all content as well, and `proven` that the layers are those the image's config names.
#[derive(Debug, ClapArgs)]
pub(crate) struct Images {
    #[command(flatten)]
    pub(crate) store: StorePlace,

    /// Write JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Remove images from the store.
///
/// Content stays until `gc` finds that no image needs it.
#[derive(Debug, ClapArgs)]
pub(crate) struct Rm {
    /// Names of images, or how their digests or image IDs begin
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,

    #[command(flatten)]
    pub(crate) store: StorePlace,
}

/// Find out how things are, and what that means.
#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    #[command(subcommand)]
    pub(crate) subject: DoctorSubject,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorSubject {
    Registry(DoctorRegistry),
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

/// The heading of options that many verbs share.
const REGISTRIES: &str = "Registries";

/// How to get along with registries.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct RegistryArgs {
    /// Take credentials from FILE [default: where podman and docker keep them]
    #[arg(long, value_name = "FILE", help_heading = REGISTRIES)]
    pub(crate) authfile: Option<PathBuf>,

    /// Take certificates from DIR: `*.crt` of authorities, `*.cert` and `*.key` of this client
    #[arg(long, value_name = "DIR", help_heading = REGISTRIES)]
    pub(crate) cert_dir: Option<PathBuf>,

    /// Whether registries have to use TLS, and prove who they are
    #[arg(long, value_name = "BOOL", help_heading = REGISTRIES, default_value_t = true, action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) tls_verify: bool,

    /// Ask again where nothing came for so many seconds [default: 30]
    #[arg(long, value_name = "SECONDS", help_heading = REGISTRIES)]
    pub(crate) timeout: Option<NonZeroU32>,
}

/// Remove from the store what no image needs.
///
/// It waits until no other process uses the store, so nothing goes that a pull relies on.
#[derive(Debug, ClapArgs)]
pub(crate) struct Gc {
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Fail instead of waiting for other processes
    #[arg(long)]
    pub(crate) no_wait: bool,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    /// Report as JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check that everything in the store is what it says it is.
///
/// All content is read and hashed. Exit code 0 means that nothing is wrong, or all of it was repaired; 3 that something
/// is.
#[derive(Debug, ClapArgs)]
pub(crate) struct Fsck {
    /// Remove what is damaged, so that the next pull fetches it again; waits for other processes
    #[arg(long)]
    pub(crate) repair: bool,

    /// Fail instead of waiting for other processes
    #[arg(long, requires = "repair")]
    pub(crate) no_wait: bool,

    /// Threads that hash [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = parse_jobs)]
    pub(crate) jobs: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    #[command(flatten)]
    pub(crate) form: Form,
}

/// Say how much space the images in the store take.
///
/// `own` is content that only one image has, and that is freed when it is removed; `shared` is content that other images
/// have too.
#[derive(Debug, ClapArgs)]
pub(crate) struct Du {
    #[command(flatten)]
    pub(crate) store: StorePlace,

    /// Report as JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
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

/// Where the store is.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct StorePlace {
    /// The directory of the store [default: /var/lib/morsel for root, $XDG_DATA_HOME/morsel otherwise]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

/// How to speak.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Form {
    /// Report as JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,

    /// Print no progress and no report
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

fn parse_level(text: &str) -> Result<Level, &'static str> {
    text.parse().ok().and_then(Level::new).ok_or("expected a number from 1 to 22")
}

fn parse_diff_id(text: &str) -> Result<DiffId, InvalidDigest> {
    text.parse()
}

fn parse_platform(text: &str) -> Result<Selector, platform::Invalid> {
    text.parse()
}

fn parse_owners(text: &str) -> Result<Owners, String> {
    match text {
        "as-is" => Ok(Owners::AsIs),
        "squash" => Ok(Owners::Squash),
        _ => match text.strip_prefix("map:") {
            Some(map) => map.parse().map(Owners::Map).map_err(|error: InvalidIdMap| error.to_string()),
            None => Err("expected `as-is`, `squash` or `map:INSIDE:OUTSIDE:COUNT`".to_owned()),
        },
    }
}

fn parse_jobs(text: &str) -> Result<NonZeroUsize, &'static str> {
    /// More threads than any machine of today has processors.
    const MOST_JOBS: usize = 1024;
    let jobs: Option<NonZeroUsize> = text.parse().ok();
    jobs.filter(|jobs| jobs.get() <= MOST_JOBS).ok_or("expected a number from 1 to 1024")
}

fn parse_memory(text: &str) -> Result<usize, &'static str> {
    const LEAST: usize = 24 << 20;
    let memory = parse_size(text).ok_or("expected a number of bytes such as `64M` or `1G`")?;
    if memory < LEAST { Err("expected at least 24M") } else { Ok(memory) }
}

fn parse_bytes(text: &str) -> Result<u64, &'static str> {
    let bytes = parse_size(text).and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    bytes.ok_or("expected a number of bytes such as `64M` or `1G`")
}

/// Reads `64M`, `64MiB`, `1G`: units are powers of 1024.
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..)? {
        "" | "B" => 0,
        "K" | "k" | "KiB" => 10,
        "M" | "m" | "MiB" => 20,
        "G" | "g" | "GiB" => 30,
        "T" | "t" | "TiB" => 40,
        _ => return None,
    };
    let number: usize = digits.parse().ok()?;
    number.checked_mul(1_usize.checked_shl(shift)?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_have_units_of_1024() {
        let cases =
            [("64M", Some(64 << 20)), ("64MiB", Some(64 << 20)), ("1g", Some(1 << 30)), ("12", Some(12))];
        for (text, size) in cases {
            assert_eq!(parse_size(text), size, "{text}");
        }
        for text in ["", "M", "-1M", "1.5G", "64MB", "64 M", "99999999999999999999", "99999999T", "1Ł"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert!(parse_memory("24M").is_ok() && parse_memory("23M").is_err());
        assert!(parse_jobs("1").is_ok() && parse_jobs("0").is_err() && parse_jobs("9999").is_err());
        assert!(parse_level("22").is_ok() && parse_level("23").is_err());
    }
}
