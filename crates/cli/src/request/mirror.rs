//! What the words of `mirror` ask for.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use registry::Reference;
use registry::mirror::{Children, NoPlatform, Options, Record, Selection, Shape, Trial};
use registry::platform::Selector;

use super::place::image;
use super::{Invalid, Request};
use crate::args::{self, Form, MirrorSubject, RegistryArgs};

/// Images to mirror.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) images: Images,
    pub(crate) options: Options,
    /// Whether it is only to be said what would be done.
    pub(crate) dry_run: bool,
    pub(crate) form: Form,
    pub(crate) registry: RegistryArgs,
}

/// Which images, and where they go.
#[derive(Debug)]
pub(crate) enum Images {
    /// One.
    One(Box<OneImage>),
    /// Those that a file lists, below a place.
    Listed { file: PathBuf, base: String },
}

/// One image.
#[derive(Debug)]
pub(crate) struct OneImage {
    pub(crate) source: Reference,
    pub(crate) destination: Reference,
    /// Where comes from what the source does not have.
    pub(crate) upstream: Option<Reference>,
}

/// A mirror to look at.
#[derive(Debug)]
pub(crate) struct MirrorVerify {
    pub(crate) image: Reference,
    pub(crate) other: Option<Reference>,
    pub(crate) allowed: Vec<Selector>,
    /// A file with more of them.
    pub(crate) allow_file: Option<PathBuf>,
    pub(crate) required: Vec<Selector>,
    pub(crate) jobs: NonZeroUsize,
    pub(crate) form: Form,
    pub(crate) registry: RegistryArgs,
}

pub(super) fn mirror(args: args::Mirror) -> Result<Request, Invalid> {
    if let Some(MirrorSubject::Verify(args)) = args.subject {
        return verify(args);
    }
    let images = images(&args)?;
    // What is required is wanted.
    let mut platforms = args.platform;
    if !platforms.is_empty() {
        platforms
            .extend(args.require.iter().filter(|one| !platforms.contains(one)).cloned().collect::<Vec<_>>());
    }
    let selection = Selection {
        platforms,
        no_platform: match args.no_platform {
            args::NoPlatform::Keep => NoPlatform::Keep,
            args::NoPlatform::Skip => NoPlatform::Skip,
        },
        encodings: args.encoding,
        children: if args.index_only { Children::None } else { Children::Chosen },
    };
    let options = Options {
        selection,
        require: args.require,
        shape: if args.trim { Shape::Trimmed } else { Shape::Exact },
        record: if args.no_record { Record::Off } else { Record::On { by: args.by } },
        trial: if args.trial { Trial::On } else { Trial::Off },
        jobs: args.jobs,
    };
    let (dry_run, form, registry) = (args.dry_run, args.form, args.registry);
    Ok(Request::Mirror(Box::new(Mirror { images, options, dry_run, form, registry })))
}

fn images(args: &args::Mirror) -> Result<Images, Invalid> {
    match (&args.from_file, &args.source, &args.destination) {
        (Some(file), Some(base), None) => Ok(Images::Listed { file: file.clone(), base: base.clone() }),
        (Some(_), Some(source), Some(_)) => Err(Invalid::SourceAndList(source.clone())),
        (None, Some(source), Some(destination)) => Ok(Images::One(Box::new(OneImage {
            source: image(source)?,
            destination: image(destination)?,
            upstream: args.complete_from.as_deref().map(image).transpose()?,
        }))),
        (None, Some(source), None) => Err(Invalid::NoDestination(source.clone())),
        (_, None, _) => Err(Invalid::NothingToMirror),
    }
}

fn verify(args: args::MirrorVerify) -> Result<Request, Invalid> {
    Ok(Request::MirrorVerify(Box::new(MirrorVerify {
        image: image(&args.image)?,
        other: args.compare.as_deref().map(image).transpose()?,
        allowed: args.allow,
        allow_file: args.allow_file,
        required: args.require,
        jobs: args.jobs,
        form: args.form,
        registry: args.registry,
    })))
}
