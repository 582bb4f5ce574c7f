//! The words of the verbs about mounts.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use registry::platform::Selector;

use super::values::parse_platform;
use super::{Form, RegistryArgs, StorePlace};

/// Mount the root file system of an image.
///
/// DIR shows what a container of the image would see: all layers merged, straight from the store, without a copy. What is
/// missing of the image is fetched when it is read, and in the background, by a daemon that is started if there is none. The
/// mount outlives this command; `umount` takes it away, and `restore` brings it back after a reboot.
#[derive(Debug, ClapArgs)]
pub(crate) struct Mount {
    /// An image, in the store or to be pulled: `NAME`, `docker://NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
    /// `docker-archive:FILE[:NAME]`; for one in the store also how its digest or image ID begins
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Where; it is made if it is missing
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Make the mount writable; changes go to this directory, which is made if it is missing
    #[arg(long, value_name = "DIR")]
    pub(crate) rw: Option<PathBuf>,

    /// Pull what is missing first, and do without a daemon
    #[arg(long, conflicts_with = "no_fill")]
    pub(crate) eager: bool,

    /// Where nothing can be mounted, make plain files in DIR instead, as `unpack` does
    #[arg(long, conflicts_with = "rw")]
    pub(crate) or_unpack: bool,

    /// Fetch nothing but what is read
    #[arg(long)]
    pub(crate) no_fill: bool,

    /// The platform, `os/arch[/variant]`, of an image to be pulled [default: that of this machine]
    #[arg(long, value_name = "PLATFORM", value_parser = parse_platform)]
    pub(crate) platform: Option<Selector>,

    #[command(flatten)]
    pub(crate) store: StorePlace,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    #[command(flatten)]
    pub(crate) form: Form,
}

/// Take a mount of an image away.
///
/// What was changed in it stays where `--rw` put it.
#[derive(Debug, ClapArgs)]
pub(crate) struct Umount {
    /// Where the image is mounted
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Take it away even while it is used; those who use it may go on
    #[arg(long)]
    pub(crate) lazy: bool,

    #[command(flatten)]
    pub(crate) store: StorePlace,
}

/// List the mounts of images.
///
/// `missing` is what of the image is not in the store yet; a mount that misses nothing needs neither network nor any other
/// process.
#[derive(Debug, ClapArgs)]
pub(crate) struct Mounts {
    #[command(flatten)]
    pub(crate) store: StorePlace,

    /// Write JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Mount again, after a reboot, all that was mounted before.
///
/// Nothing is fetched.
#[derive(Debug, ClapArgs)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) store: StorePlace,

    #[command(flatten)]
    pub(crate) form: Form,
}
