//! What `convert` asks for.

use std::path::{Path, PathBuf};

use chunked::convert::{Options, SelfCheck};
use registry::Reference;
use registry::convert::{Chunked, Originals};

use super::place::{LayerPlace, Place, place};
use super::{Invalid, Request};
use crate::args::{self, Form, RegistryArgs};

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

pub(super) fn convert(args: args::Convert) -> Result<Request, Invalid> {
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
