//! The words of the verbs about podman and its like.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use registry::platform::Selector;
use serde::Deserialize;

use super::values::parse_platform;
use super::{Form, RegistryArgs, StorePlace};

/// Make podman, CRI-O, buildah and skopeo pull through morsel.
///
/// The engines stay as they are. Two of their files say from then on that a program is to be called before a pull, and where
/// to look for layers. If that program fails, they pull as they always did.
#[derive(Debug, ClapArgs)]
pub(crate) struct Setup {
    /// Which engine; all of them read the same files
    #[arg(value_name = "ENGINE")]
    pub(crate) engine: Engine,

    /// For the engines of root, and of all users who have no files of their own [default for root]
    #[arg(long, conflicts_with = "rootless")]
    pub(crate) system: bool,

    /// For your engines only [default for others than root]
    #[arg(long)]
    pub(crate) rootless: bool,

    /// Only print what would be written
    #[arg(long)]
    pub(crate) print: bool,

    /// Take everything back; layers that engines use stay
    #[arg(long)]
    pub(crate) undo: bool,

    #[command(flatten)]
    pub(crate) store: StorePlace,
}

/// What engines find of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Layout {
    /// What fits the image and the machine.
    #[default]
    Auto,
    /// Mounts.
    Mounted,
    /// Files.
    Plain,
}

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Podman,
    #[value(name = "cri-o")]
    CriO,
}

/// Prepare the image that an engine is about to pull; engines call this themselves.
///
/// The name of the image and the credentials for its registry come on standard input, as JSON. It always ends well: whatever
/// goes wrong is written to a log, and the engine pulls by itself.
#[derive(Debug, ClapArgs)]
pub(crate) struct StorageHelper {
    /// The file that says what is done for which images [default: /etc/morsel/config.toml, or that of the user]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Do the work, and do not wait for another process that does it
    #[arg(long, hide = true)]
    pub(crate) worker: bool,

    #[command(flatten)]
    pub(crate) store: StorePlace,
}

/// Bring images into the store, and let podman and its like find their layers.
///
/// An engine that pulls one of the images afterwards fetches no layers. This is what the storage helper does when an engine
/// asks for it; for engines that are too old to ask, and to have images there beforehand.
#[derive(Debug, ClapArgs)]
pub(crate) struct Publish {
    /// Images: a name in a registry, `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,

    /// The platform, `os/arch[/variant]` [default: that of this machine]
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) platform: Option<Selector>,

    /// Do not fetch what DIR has, as with `pull`; can be repeated
    #[arg(long, value_name = "[KIND:]DIR")]
    pub(crate) seed: Vec<String>,

    /// Publish mounts before their content is here, if this machine can; it comes when it is read, and in the background
    #[arg(long)]
    pub(crate) lazy: bool,

    /// What engines find: `plain` files of each layer; `mounted`, the merged tree of the layers; or `auto`, mounts with
    /// `--lazy`, and plain files without
    #[arg(long, value_name = "LAYOUT", default_value = "auto", hide_possible_values = true)]
    pub(crate) layout: Layout,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    #[command(flatten)]
    pub(crate) form: Form,
}
