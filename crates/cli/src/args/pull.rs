//! The words of `pull` and `estimate`.

use std::num::NonZeroUsize;

use clap::{Args as ClapArgs, ValueEnum};
use registry::platform::Selector;
use store::pull::LAYERS_AT_ONCE;

use super::values::{parse_jobs, parse_platform};
use super::{Form, RegistryArgs, StorePlace};
use link::Link;

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
    /// has the digest in the TOC, which takes less work when most of a layer is here
    #[arg(long, value_name = "HOW", default_value = "diff-id")]
    pub(crate) verify: Verification,

    /// Threads that decode, for each layer [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = parse_jobs)]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Layers at once
    #[arg(long, value_name = "N", default_value_t = LAYERS_AT_ONCE, value_parser = parse_jobs)]
    pub(crate) layers: NonZeroUsize,

    /// How to ask for what is missing of a layer: `cheapest`, by what is known of the host and the link; or `stream`,
    /// `parallel`, `one-range`, `many-ranges`, where the host allows it
    #[arg(long, value_name = "STRATEGY", default_value = "cheapest", hide_possible_values = true)]
    pub(crate) strategy: Strategy,

    /// Do not fetch what DIR has: `/`, `/usr`, the root of another system, or storage of images, as
    /// `containers-storage[:DIR]`, `ostree:DIR`, `oci:DIR`, `morsel:DIR`, or `dir:DIR` for any directory. Nothing there is trusted; can be repeated
    #[arg(long, value_name = "[KIND:]DIR")]
    pub(crate) seed: Vec<String>,

    /// Wait until everything is safe from a power loss; without this it is put on disk in the background, and what a power
    /// loss takes before that is found out and fetched again
    #[arg(long)]
    pub(crate) sync: bool,

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

/// How to ask for what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strategy {
    Cheapest,
    Stream,
    Parallel,
    OneRange,
    ManyRanges,
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
    #[arg(long, value_name = "RATE,RTT")]
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
