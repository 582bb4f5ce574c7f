//! What the words of a command line ask for.

mod bench;
mod convert;
mod mirror;
mod place;
mod pull;
mod see;

use chunked::DiffId;
use registry::{Name, Reference, name, reference};

pub(crate) use bench::{BenchConvert, BenchPull, BenchRegistry, BenchSource};
pub(crate) use convert::{ConvertImage, ConvertLayer};
pub(crate) use mirror::{Images, Mirror, MirrorVerify, OneImage};
pub(crate) use place::{LayerPlace, NotAFile};
pub(crate) use pull::{Estimate, Publish, Pull, Wish};
pub(crate) use see::{ImageToSee, LayerToSee, Subject, View};

use self::place::{Place, place};
use crate::args::{self, Args, BenchSubject, DoctorSubject, Form, RegistryArgs, Verb};

/// A command line that is understood.
#[derive(Debug)]
pub(crate) enum Request {
    /// Convert one layer.
    ConvertLayer(ConvertLayer),
    /// Convert an image.
    ConvertImage(Box<ConvertImage>),
    /// Say what a layer is.
    InspectLayer(LayerToSee, View),
    /// Say what the layers of an image are.
    InspectImage(ImageToSee, View),
    /// Verify one layer.
    VerifyLayer(LayerToSee, Option<DiffId>, Form),
    /// Verify an image.
    VerifyImage(ImageToSee, Form),
    /// Mirror images.
    Mirror(Box<Mirror>),
    /// Say how complete a mirror is.
    MirrorVerify(Box<MirrorVerify>),
    /// Bring images into the store.
    Pull(Box<Pull>),
    /// Say what a pull would cost.
    Estimate(Box<Estimate>),
    /// Make the files of an image.
    Unpack(args::Unpack),
    /// Mount an image.
    Mount(Box<args::Mount>),
    /// Take a mount away.
    Umount(args::Umount),
    /// List mounts.
    Mounts(args::Mounts),
    /// Mount again what was mounted.
    Restore(args::Restore),
    /// Wait until an image is here.
    Wait(args::Wait),
    /// Do without the daemon.
    Detach(args::Detach),
    /// Find out what a command reads.
    Record(args::Record),
    /// Serve what is missing.
    Daemon(args::Daemon),
    /// Find out what a registry can do.
    DoctorRegistry(DoctorRegistry),
    /// Find out whether engines pull through us.
    DoctorEngines(args::DoctorEngines),
    /// Measure pulls.
    BenchPull(Box<BenchPull>),
    /// Measure a registry.
    BenchRegistry(BenchRegistry),
    /// Measure conversions.
    BenchConvert(Box<BenchConvert>),
    /// Serve a directory as a registry.
    Serve(Box<args::Serve>),
    /// List the images of the store.
    Images(args::Images),
    /// Remove images from the store.
    Rm(args::Rm),
    /// Remove from the store what no image needs.
    Gc(args::Gc),
    /// Check the store.
    Fsck(args::Fsck),
    /// Say how much space images take.
    Du(args::Du),
    Sync(args::Sync),
    /// Look after the dedup index.
    Index(args::Index),
    /// Prepare an image that an engine is about to pull.
    StorageHelper(args::StorageHelper),
    /// Let engines find the layers of images.
    Publish(Box<Publish>),
    /// Make engines pull through us.
    Setup(args::Setup),
}

/// A registry to examine.
#[derive(Debug)]
pub(crate) struct DoctorRegistry {
    pub(crate) name: Name,
    pub(crate) bytes: u64,
    pub(crate) json: bool,
    pub(crate) registry: RegistryArgs,
}

/// A command line that makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Invalid {
    #[error(transparent)]
    Reference(#[from] reference::Invalid),
    #[error("`{text}` is not an image name; a file of that name is `./{text}`")]
    Name { text: String, source: name::Invalid },
    #[error("`{0}` is a layer and `{1}` an image: a layer is converted to a layer, an image to an image")]
    LayerToImage(String, String),
    #[error("`{0}` is an image and `{1}` a layer: an image is converted to an image, a layer to a layer")]
    ImageToLayer(String, String),
    #[error("`{0}` is both source and destination")]
    SameFile(String),
    #[error("the result and its descriptor cannot both go to `{0}`")]
    DescriptorIsDestination(String),
    #[error("`{0}` is the source, the descriptor cannot go there")]
    DescriptorIsSource(String),
    #[error("`{0}` is for a single layer, and `{1}` an image")]
    LayerOption(&'static str, String),
    #[error("`{0}` is for images, and `{1}` a single layer")]
    ImageOption(&'static str, String),
    #[error("`{0}` is a single layer, expected an image")]
    LayerToPull(String),
    #[error("`{0}` is not an image in a registry")]
    NotInRegistry(String),
    #[error("there is nothing to mirror, expected an image and where it goes")]
    NothingToMirror,
    #[error("`{0}` is to be mirrored, but it is not said where to")]
    NoDestination(String),
    #[error(
        "with `--from-file`, the images are in the file, and `{0}` cannot be another; expected only where they go"
    )]
    SourceAndList(String),
    #[error(
        "an estimate takes rate and round trip of a link, and nothing else; expected `--link {expected}`, found `{found}`"
    )]
    EstimatedLink { found: link::Link, expected: link::Link },
    #[error("standard input can be read only once, expected a file or an image")]
    StreamToRepeat,
    #[error("standard input is a terminal, expected a layer from a pipe or a file")]
    TerminalInput,
    #[error("standard output is a terminal, expected a pipe or a file for the blob")]
    TerminalOutput,
}

impl TryFrom<Args> for Request {
    type Error = Invalid;

    fn try_from(args: Args) -> Result<Self, Invalid> {
        match args.verb {
            Verb::Convert(args) => convert::convert(args),
            Verb::Inspect(args) => see::inspect(args),
            Verb::Verify(args) => see::verify(args),
            Verb::Mirror(args) => mirror::mirror(*args),
            Verb::Pull(args) => pull::pull(args),
            Verb::Estimate(args) => pull::estimate(args),
            Verb::Unpack(args) => Ok(Request::Unpack(args)),
            Verb::Mount(args) => Ok(Request::Mount(Box::new(args))),
            Verb::Umount(args) => Ok(Request::Umount(args)),
            Verb::Mounts(args) => Ok(Request::Mounts(args)),
            Verb::Restore(args) => Ok(Request::Restore(args)),
            Verb::Wait(args) => Ok(Request::Wait(args)),
            Verb::Detach(args) => Ok(Request::Detach(args)),
            Verb::Record(args) => Ok(Request::Record(args)),
            Verb::Daemon(args) => Ok(Request::Daemon(args)),
            Verb::Images(args) => Ok(Request::Images(args)),
            Verb::Rm(args) => Ok(Request::Rm(args)),
            Verb::Gc(args) => Ok(Request::Gc(args)),
            Verb::Fsck(args) => Ok(Request::Fsck(args)),
            Verb::Du(args) => Ok(Request::Du(args)),
            Verb::Sync(args) => Ok(Request::Sync(args)),
            Verb::Index(args) => Ok(Request::Index(args)),
            Verb::StorageHelper(args) => Ok(Request::StorageHelper(args)),
            Verb::Publish(args) => pull::publish(args),
            Verb::Setup(args) => Ok(Request::Setup(args)),
            Verb::Doctor(args::Doctor { subject: DoctorSubject::Registry(args) }) => doctor_registry(args),
            Verb::Doctor(args::Doctor { subject: DoctorSubject::Podman(args) }) => {
                Ok(Request::DoctorEngines(args))
            }
            Verb::Bench(args::Bench { subject }) => match subject {
                BenchSubject::Pull(args) => bench::pull(*args),
                BenchSubject::Registry(args) => bench::registry(args),
                BenchSubject::Convert(args) => bench::convert(args),
            },
            Verb::Serve(args) => Ok(Request::Serve(Box::new(args))),
        }
    }
}

fn doctor_registry(args: args::DoctorRegistry) -> Result<Request, Invalid> {
    match place(&args.image)? {
        Place::Image(Reference::Registry(name)) => Ok(Request::DoctorRegistry(DoctorRegistry {
            name,
            bytes: args.bytes,
            json: args.json,
            registry: args.registry,
        })),
        _ => Err(Invalid::NotInRegistry(args.image)),
    }
}
