//! The words of the verbs that look after the store, and of `unpack`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use store::unpack::Owners;

use super::Form;
use super::values::{parse_bytes, parse_jobs, parse_owners};

/// Where the store is.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct StorePlace {
    /// The directory of the store [default: /var/lib/morsel for root, $XDG_DATA_HOME/morsel otherwise]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
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
    pub(crate) listing: Listing,
}

/// Of which store something is listed, and how.
#[derive(Debug, ClapArgs)]
pub(crate) struct Listing {
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

/// Remove from the store what no image needs.
///
/// It waits until no other process uses the store, so nothing goes that a pull relies on. With `--quota`, content that images
/// need goes as well, where it can be fetched again: that of the layers which came longest ago, and never of an image that is
/// mounted. Such an image is `indexed` from then on; it can be pulled again, or mounted as it is.
///
/// Layers that were published for podman and its like stay as long as an image, a container or a layer of such an engine
/// needs them.
#[derive(Debug, ClapArgs)]
pub(crate) struct Gc {
    /// Most space that file content may take, such as `20G` [default: what `config.toml` says]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) quota: Option<u64>,

    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Fail instead of waiting for other processes
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// Keep published layers that an engine asked for so many seconds ago or later: it may not have written down yet what
    /// it uses
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) grace: u64,

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

/// Wait until everything that was pulled is on disk.
///
/// A pull returns before that, and has it done in the background. After this, the file system of the store can be
/// unmounted, or the power fail, and nothing has to be checked or fetched again.
#[derive(Debug, ClapArgs)]
pub(crate) struct Sync {
    #[command(flatten)]
    pub(crate) store: StorePlace,
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
