//! What `inspect` and `verify` ask for.

use std::path::PathBuf;

use registry::Reference;
use registry::platform::Selector;

use super::place::{LayerPlace, Place, place};
use super::{Invalid, Request};
use crate::args::{self, RegistryArgs};

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

pub(super) fn inspect(args: args::Inspect) -> Result<Request, Invalid> {
    let subject = if args.toc { Subject::Toc } else { Subject::Summary };
    let view = View { subject, json: args.json };
    Ok(match to_see(args.what)? {
        ToSee::Layer(layer) => Request::InspectLayer(layer, view),
        ToSee::Image(image) => Request::InspectImage(image, view),
    })
}

pub(super) fn verify(args: args::Verify) -> Result<Request, Invalid> {
    Ok(match to_see(args.what)? {
        ToSee::Layer(layer) => Request::VerifyLayer(layer, args.diff_id, args.form),
        ToSee::Image(image) if args.diff_id.is_some() => {
            return Err(Invalid::LayerOption("--diff-id", image.reference.to_string()));
        }
        ToSee::Image(image) => Request::VerifyImage(image, args.form),
    })
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
