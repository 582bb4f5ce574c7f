//! The words of `bench`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use chunked::convert::Level;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use link::Link;
use registry::platform::Selector;

use super::values::{parse_bytes, parse_jobs, parse_level, parse_platform};
use super::{Form, RegistryArgs};

/// Measure what pulls, registries and conversions take.
#[derive(Debug, ClapArgs)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) subject: BenchSubject,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchSubject {
    Pull(Box<BenchPull>),
    Registry(BenchRegistry),
    Convert(BenchConvert),
}

/// Measure pulls of an image, in several ways and over links of a given speed and distance.
///
/// Without an image, one is made up, with an update that keeps nine tenths of it. An image in a layout or archive, or the one
/// that is made up, is converted if need be, and served by a registry of this process's own; one in a registry is pulled from
/// there. Every pull goes into an empty store of its own, or into one that has the older image, or all of it; they take turns
/// in an order that is shuffled. Reported are medians, and the least and the most.
#[derive(Debug, ClapArgs)]
pub(crate) struct BenchPull {
    /// An image: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]` [default: one that is made up]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: Option<String>,

    /// The image that a store has before it is pulled to be updated
    #[arg(long, value_name = "OLD", requires = "image")]
    pub(crate) from: Option<String>,

    /// How fast the link is and how long a round trip takes; `jitter=5ms`, `each=20Mbit` for a connection and
    /// `connections=8` may follow; `none` is the loopback interface as it is. Can be repeated
    #[arg(long, value_name = "RATE,RTT", default_value = "100Mbit,20ms")]
    pub(crate) link: Vec<Link>,

    /// How to pull: `cheapest`, as `pull` does; `stream`, `parallel`, `one-range`, `many-ranges`; or `lazy`, mounted at once.
    /// Can be repeated [default: all of them]
    #[arg(long, value_name = "STRATEGY", hide_possible_values = true)]
    pub(crate) strategy: Vec<BenchStrategy>,

    /// Pulls of each kind
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) runs: NonZeroU32,

    /// What the registry that serves an image of this machine makes of requests for ranges: `many`, as docker-registry;
    /// `one`, and the whole blob for several, as S3; `one-or-nothing`, and 501 for several, as GHCR; or `none`
    #[arg(long, value_name = "WHAT", default_value = "many", hide_possible_values = true)]
    pub(crate) ranges: BenchRanges,

    /// The file whose content makes an image ready [default: the program that the image's config names]
    #[arg(long, value_name = "PATH")]
    pub(crate) read: Option<String>,

    /// The command whose end makes an image ready: it runs in the image's files, by `/bin/sh -c`, with nothing to write to
    #[arg(long, value_name = "COMMAND", conflicts_with = "read")]
    pub(crate) run: Option<String>,

    /// Measure podman, skopeo, crane, ctr and soci, too, as far as they are on PATH
    #[arg(long)]
    pub(crate) peers: bool,

    /// Where stores and images are made [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,

    /// Give every store a new ext4 in a file, as files are made slowly where others were removed; takes root, and `mkfs.ext4`
    #[arg(long)]
    pub(crate) new_disks: bool,

    /// Leave the page cache of this machine as it is; otherwise root drops it before every pull
    #[arg(long)]
    pub(crate) keep_caches: bool,

    /// Write a page with pictures
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Write the pictures as files of their own, in SVG, to this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,

    /// The platform, `os/arch[/variant]` [default: that of this machine]
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) platform: Option<Selector>,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    #[command(flatten)]
    pub(crate) form: Form,
}

/// Measure what a registry gives: how soon, how fast, and in which pieces best.
///
/// The largest layer of the image is read: single bytes of it, its start over one connection and over several, and in ranges
/// of several lengths. Every measurement ends after so many bytes or seconds.
#[derive(Debug, ClapArgs)]
pub(crate) struct BenchRegistry {
    /// An image in the registry, such as `quay.io/fedora/fedora:latest`
    #[arg(value_name = "HOST/REPOSITORY[:TAG]")]
    pub(crate) image: String,

    /// Most bytes of a measurement
    #[arg(long, value_name = "SIZE", default_value = "32M", value_parser = parse_bytes)]
    pub(crate) bytes: u64,

    /// Longest time of a measurement
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) seconds: NonZeroU32,

    /// Write JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// Measure conversions of a layer or of an image: by level, by the number of threads, and where the time goes.
///
/// Every conversion is a process of its own, and writes to the disk. An image in a registry is copied here first.
#[derive(Debug, ClapArgs)]
pub(crate) struct BenchConvert {
    /// A layer in a file, or an image: `docker://NAME` or just `NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`
    #[arg(value_name = "SRC")]
    pub(crate) source: String,

    /// How hard to compress, 1 to 22; can be repeated
    #[arg(long, value_name = "N", default_values = ["3", "1", "7"], value_parser = parse_level)]
    pub(crate) level: Vec<Level>,

    /// Threads that compress; can be repeated [default: 1, 2, 4 and so on, up to one for each processor]
    #[arg(long, value_name = "N", value_parser = parse_jobs)]
    pub(crate) jobs: Vec<NonZeroUsize>,

    /// Conversions of each kind
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) runs: NonZeroU32,

    /// Where results are written [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    #[command(flatten)]
    pub(crate) form: Form,
}

/// How to pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchStrategy {
    Cheapest,
    Stream,
    Parallel,
    OneRange,
    ManyRanges,
    Lazy,
}

/// What a registry makes of requests for ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchRanges {
    Many,
    One,
    OneOrNothing,
    None,
}
