//! What the words of a command line ask for.

mod mirror;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use chunked::convert::{Options, SelfCheck};
use chunked::{DiffId, Link};
use registry::convert::{Chunked, Originals};
use registry::platform::Selector;
use registry::{Name, Operand, Reference, name, reference};
use store::fetch::{self, Verification};

pub(crate) use mirror::{Images, Mirror, MirrorVerify, OneImage};

use crate::args::{self, Args, DoctorSubject, Form, RegistryArgs, Verb};

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
    /// Look after the dedup index.
    Index(args::Index),
}

/// A layer to convert.
#[derive(Debug)]
pub(crate) struct ConvertLayer {
    pub(crate) source: LayerPlace,
    pub(crate) destination: LayerPlace,
    pub(crate) options: Options,
    /// Where the descriptor goes, if not to standard output.
    pub(crate) descriptor: Option<PathBuf>,
    pub(crate) form: Form,
}

/// An image to convert.
#[derive(Debug)]
pub(crate) struct ConvertImage {
    pub(crate) source: Reference,
    pub(crate) destination: Reference,
    pub(crate) options: registry::convert::Options,
    /// Where the descriptor goes, if not to standard output.
    pub(crate) descriptor: Option<PathBuf>,
    pub(crate) form: Form,
    pub(crate) registry: RegistryArgs,
}

/// Images to bring into the store.
#[derive(Debug)]
pub(crate) struct Pull {
    pub(crate) references: Vec<Reference>,
    /// The platform, if not this machine's.
    pub(crate) platform: Option<Selector>,
    pub(crate) layers: NonZeroUsize,
    pub(crate) fetch: fetch::Options,
    /// Names of places that may hold content.
    pub(crate) seeds: Vec<String>,
    pub(crate) store: args::StorePlace,
    pub(crate) registry: RegistryArgs,
    pub(crate) form: Form,
}

/// A pull to estimate.
#[derive(Debug)]
pub(crate) struct Estimate {
    pub(crate) reference: Reference,
    /// The image to compare with, if not the store.
    pub(crate) from: Option<Reference>,
    /// The link, if not the one that is remembered.
    pub(crate) link: Option<Link>,
    /// The platform, if not this machine's.
    pub(crate) platform: Option<Selector>,
    /// Whether the requests are wanted.
    pub(crate) plan: bool,
    /// Whether programs want it.
    pub(crate) json: bool,
    pub(crate) store: args::StorePlace,
    pub(crate) registry: RegistryArgs,
}

/// A registry to examine.
#[derive(Debug)]
pub(crate) struct DoctorRegistry {
    pub(crate) name: Name,
    pub(crate) bytes: u64,
    pub(crate) json: bool,
    pub(crate) registry: RegistryArgs,
}

/// A layer to look at.
#[derive(Debug)]
pub(crate) struct LayerToSee {
    pub(crate) place: LayerPlace,
    /// The file with the layer's descriptor.
    pub(crate) descriptor: Option<PathBuf>,
}

/// What is wanted to be seen of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) subject: Subject,
    /// Whether programs want it.
    pub(crate) json: bool,
}

/// What to see of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// What it is made of, and who can use it.
    Summary,
    /// The entries of its TOC.
    Toc,
}

/// An image to look at.
#[derive(Debug)]
pub(crate) struct ImageToSee {
    pub(crate) reference: Reference,
    /// The platforms that are wanted; none means all.
    pub(crate) platforms: Vec<Selector>,
    pub(crate) registry: RegistryArgs,
}

/// Where a single layer is. Shown as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayerPlace {
    /// Standard input or output.
    Stream,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for LayerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
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
    #[error("standard input is a terminal, expected a layer from a pipe or a file")]
    TerminalInput,
    #[error("standard output is a terminal, expected a pipe or a file for the blob")]
    TerminalOutput,
}

/// Why a path does not hold a layer, and cannot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAFile {
    #[error("it is an OCI layout, expected a file with one layer; an image is written `oci:{0}`")]
    Layout(String),
    #[error("it is a directory, expected a file with one layer")]
    Directory,
}

impl TryFrom<Args> for Request {
    type Error = Invalid;

    fn try_from(args: Args) -> Result<Self, Invalid> {
        match args.verb {
            Verb::Convert(args) => convert(args),
            Verb::Inspect(args) => inspect(args),
            Verb::Verify(args) => verify(args),
            Verb::Mirror(args) => mirror::mirror(*args),
            Verb::Pull(args) => pull(args),
            Verb::Estimate(args) => estimate(args),
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
            Verb::Index(args) => Ok(Request::Index(args)),
            Verb::Doctor(args::Doctor { subject: DoctorSubject::Registry(args) }) => doctor_registry(args),
            Verb::Serve(args) => Ok(Request::Serve(Box::new(args))),
        }
    }
}

fn convert(args: args::Convert) -> Result<Request, Invalid> {
    match (place(&args.source)?, place(&args.destination)?) {
        (Place::Layer(source), Place::Layer(destination)) => convert_layer(args, source, destination),
        (Place::Image(source), Place::Image(destination)) => Ok(convert_image(args, source, destination)),
        (Place::Layer(_), Place::Image(_)) => Err(Invalid::LayerToImage(args.source, args.destination)),
        (Place::Image(_), Place::Layer(_)) => Err(Invalid::ImageToLayer(args.source, args.destination)),
    }
}

fn convert_layer(
    args: args::Convert,
    source: LayerPlace,
    destination: LayerPlace,
) -> Result<Request, Invalid> {
    let for_images = [
        ("--platform", !args.platform.is_empty()),
        ("--all-platforms", args.all_platforms),
        ("--add", args.add),
        ("--force", args.force),
        ("--cache", args.cache.is_some()),
    ];
    if let Some((option, _)) = for_images.into_iter().find(|(_, is_given)| *is_given) {
        return Err(Invalid::ImageOption(option, args.source));
    }
    if destination == LayerPlace::Stream && args.descriptor.as_deref() == Some(Path::new("-")) {
        return Err(Invalid::DescriptorIsDestination("-".to_owned()));
    }
    let options = options(&args);
    let descriptor = args.descriptor.filter(|path| path.as_os_str() != "-");
    Ok(Request::ConvertLayer(ConvertLayer { source, destination, options, descriptor, form: args.form }))
}

fn convert_image(args: args::Convert, source: Reference, destination: Reference) -> Request {
    let options = registry::convert::Options {
        layer: options(&args),
        platforms: args.platform,
        originals: if args.add { Originals::Keep } else { Originals::Replace },
        chunked: if args.force { Chunked::Redo } else { Chunked::Keep },
        cache: args.cache,
    };
    let descriptor = args.descriptor.filter(|path| path.as_os_str() != "-");
    Request::ConvertImage(Box::new(ConvertImage {
        source,
        destination,
        options,
        descriptor,
        form: args.form,
        registry: args.registry,
    }))
}

fn options(args: &args::Convert) -> Options {
    let defaults = Options::default();
    Options {
        level: args.level,
        jobs: args.jobs.unwrap_or(defaults.jobs),
        memory: args.memory,
        self_check: if args.no_verify { SelfCheck::Off } else { SelfCheck::On },
        ..defaults
    }
}

fn inspect(args: args::Inspect) -> Result<Request, Invalid> {
    let subject = if args.toc { Subject::Toc } else { Subject::Summary };
    let view = View { subject, json: args.json };
    Ok(match to_see(args.what)? {
        ToSee::Layer(layer) => Request::InspectLayer(layer, view),
        ToSee::Image(image) => Request::InspectImage(image, view),
    })
}

fn verify(args: args::Verify) -> Result<Request, Invalid> {
    Ok(match to_see(args.what)? {
        ToSee::Layer(layer) => Request::VerifyLayer(layer, args.diff_id, args.form),
        ToSee::Image(image) if args.diff_id.is_some() => {
            return Err(Invalid::LayerOption("--diff-id", image.reference.to_string()));
        }
        ToSee::Image(image) => Request::VerifyImage(image, args.form),
    })
}

fn pull(args: args::Pull) -> Result<Request, Invalid> {
    let defaults = fetch::Options::default();
    let fetch = fetch::Options {
        jobs: args.jobs.unwrap_or(defaults.jobs),
        verification: match args.verify {
            args::Verification::DiffId => Verification::DiffId,
            args::Verification::Toc => Verification::Toc,
        },
        ..defaults
    };
    Ok(Request::Pull(Box::new(Pull {
        references: args.images.iter().map(|text| image(text)).collect::<Result<_, _>>()?,
        platform: args.platform,
        layers: args.layers,
        fetch,
        seeds: args.seed,
        store: args.store,
        registry: args.registry,
        form: args.form,
    })))
}

fn estimate(args: args::Estimate) -> Result<Request, Invalid> {
    Ok(Request::Estimate(Box::new(Estimate {
        reference: image(&args.image)?,
        from: args.from.as_deref().map(image).transpose()?,
        link: args.link,
        platform: args.platform,
        plan: args.plan,
        json: args.json,
        store: args.store,
        registry: args.registry,
    })))
}

/// Layers that a pull brings at once where nobody says how many.
const LAYERS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

impl Pull {
    /// Asks for the image that a command is to be recorded in.
    pub(crate) fn of_record(args: &args::Record) -> Result<Self, Invalid> {
        Ok(Self {
            references: vec![image(&args.image)?],
            platform: args.platform.clone(),
            layers: LAYERS,
            fetch: fetch::Options::default(),
            seeds: Vec::new(),
            store: args.store.clone(),
            registry: args.registry.clone(),
            form: args.form,
        })
    }

    /// Asks for one image that a command needs, in the usual way.
    pub(crate) fn of(text: &str, args: &args::Mount) -> Result<Self, Invalid> {
        Ok(Self {
            references: vec![image(text)?],
            platform: args.platform.clone(),
            layers: LAYERS,
            fetch: fetch::Options::default(),
            seeds: Vec::new(),
            store: args.store.clone(),
            registry: args.registry.clone(),
            // Programs get the report of the command, and nothing else.
            form: Form { json: false, quiet: args.form.quiet || args.form.json },
        })
    }
}

fn image(text: &str) -> Result<Reference, Invalid> {
    match place(text)? {
        Place::Image(reference) => Ok(reference),
        Place::Layer(_) => Err(Invalid::LayerToPull(text.to_owned())),
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

enum ToSee {
    Layer(LayerToSee),
    Image(ImageToSee),
}

fn to_see(args: args::What) -> Result<ToSee, Invalid> {
    match place(&args.place)? {
        Place::Layer(_) if !args.platform.is_empty() => Err(Invalid::ImageOption("--platform", args.place)),
        Place::Image(_) if args.descriptor.is_some() => Err(Invalid::LayerOption("--descriptor", args.place)),
        Place::Layer(place) => Ok(ToSee::Layer(LayerToSee { place, descriptor: args.descriptor })),
        Place::Image(reference) => {
            Ok(ToSee::Image(ImageToSee { reference, platforms: args.platform, registry: args.registry }))
        }
    }
}

/// What a word on the command line points at.
#[derive(Debug)]
enum Place {
    Layer(LayerPlace),
    Image(Reference),
}

fn place(text: &str) -> Result<Place, Invalid> {
    let operand = text.parse().map_err(|invalid| match invalid {
        reference::Invalid::Name { text: name, source } if name == text => {
            Invalid::Name { text: name, source }
        }
        other => other.into(),
    })?;
    match operand {
        Operand::Stream => Ok(Place::Layer(LayerPlace::Stream)),
        Operand::File(path) => Ok(Place::Layer(LayerPlace::File(path))),
        Operand::Image(image) => Ok(Place::Image(image)),
    }
}
