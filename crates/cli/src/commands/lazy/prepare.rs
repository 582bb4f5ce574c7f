//! Brings in what has to be known of an image, and has the rest served.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use mount::daemon::Attachment;
use mount::fetch::Place;
use mount::rootfs;
use registry::{ImageSource, Reference, transport};
use store::fetch::NoProgress;
use store::{Image, Store, pull};

use super::super::daemon::{client, place};
use super::super::pull::Image as Chosen;
use crate::access::{access, remember};
use crate::image_name;
use crate::interrupt::Interrupt;
use crate::request;

/// An image that can be mounted.
#[derive(Debug)]
pub(in crate::commands) struct Ready {
    pub(in crate::commands) image: Image,
    /// The directory that serves what is missing, and its path; `None` when nothing is.
    pub(in crate::commands) missing: Option<(File, PathBuf)>,
}

/// Gets an image ready. One that is in the store altogether is taken as it is.
pub(in crate::commands) fn prepare(
    store: &Store,
    request: &request::Pull,
    text: &str,
    fill: bool,
) -> anyhow::Result<Ready> {
    match image_name::find(store.images(), text) {
        Ok(image) if rootfs::is_complete(store, &image).unwrap_or(false) => {
            return Ok(Ready { image, missing: None });
        }
        Ok(_) | Err(store::Error::NoSuchImage { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let reference = request.references.first().context("no image was named")?;
    let Indexed { image, place, .. } = index(store, request, reference)?;
    let missing = match rootfs::is_complete(store, &image)? {
        true => None,
        false => Some(serve(store, &image, place, fill)?),
    };
    Ok(Ready { image, missing })
}

/// An image of which is here what has to be known to mount it.
pub(super) struct Indexed {
    pub(super) image: Image,
    pub(super) place: Place,
    pub(super) source: Box<dyn ImageSource>,
}

/// Brings in the manifest of an image, and the TOC and tar-split of each layer.
pub(super) fn index(
    store: &Store,
    request: &request::Pull,
    reference: &Reference,
) -> anyhow::Result<Indexed> {
    let access = access(&request.registry)?;
    let source = transport::open(reference, &access)?;
    let image = index_layers(store, request, &*source);
    remember(&access);
    let (image, place) = (image?, place::of(&*source, &request.registry)?);
    Ok(Indexed { image, place, source })
}

fn index_layers(store: &Store, request: &request::Pull, source: &dyn ImageSource) -> anyhow::Result<Image> {
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let chosen = Chosen::choose(source, request.platform.as_ref())?;
    let mut tasks = Vec::new();
    chosen.add_tasks(&interrupt, &mut tasks)?;
    let options = pull::Options { layers: Some(request.layers), fetch: request.fetch, ..Default::default() };
    let indexed = pull::index(store, &tasks, &options, &NoProgress)?;
    let records: Vec<_> = indexed.into_iter().map(|indexed| indexed.record).collect();
    chosen.put(store, &tasks, &records)
}

/// Returns the directory that serves what is missing of the mounts that there are records of; `None` when nothing is.
pub(in crate::commands) fn resume(store: &Store) -> anyhow::Result<Option<(File, PathBuf)>> {
    for record in store.mounts().list()? {
        if !rootfs::is_complete(store, &record.image)? {
            let objects = client(store.path())?.status()?.objects;
            return open(objects).map(Some);
        }
    }
    Ok(None)
}

fn serve(store: &Store, image: &Image, place: Place, fill: bool) -> anyhow::Result<(File, PathBuf)> {
    let attachment = attachment(image, place, fill);
    let objects = client(store.path())?.attach(attachment)?;
    open(objects)
}

fn open(objects: PathBuf) -> anyhow::Result<(File, PathBuf)> {
    let directory = File::open(&objects).with_context(|| format!("cannot open `{}`", objects.display()))?;
    Ok((directory, objects))
}

fn attachment(image: &Image, place: Place, fill: bool) -> Attachment {
    Attachment {
        name: image.name.clone(),
        manifest: image.manifest,
        layers: image.layers.clone(),
        place,
        fill,
    }
}
