//! Brings in what has to be known of an image, and has the rest served.

use std::fs::File;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use chunked::BlobDigest;
use mount::daemon::{Attachment, Client};
use mount::fetch::Place;
use mount::profile::Profile;
use mount::{contents, rootfs};
use registry::{Descriptor, ImageSource, Reference, transport};
use store::fetch::NoProgress;
use store::{Image, Listings, Store, pull};

use super::super::daemon::{client, place};
use super::super::pull::Image as Chosen;
use super::release::stop_idle;
use super::shared_profile;
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
    /// What was done of the mount itself.
    pub(in crate::commands) done: Done,
}

/// The start of a mount.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::commands) struct Done {
    /// Whether its metadata was made.
    pub(in crate::commands) is_new: bool,
    pub(in crate::commands) elapsed: Duration,
}

impl Ready {
    /// An image of which nothing is missing.
    pub(in crate::commands) fn complete(image: Image) -> Self {
        Self { image, missing: None, done: Done::default() }
    }
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
            return Ok(Ready::complete(image));
        }
        Ok(_) | Err(store::Error::NoSuchImage { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let reference = request.references.first().context("no image was named")?;
    with_daemon(store, fill, || Ok(index(store, request, reference)?.indexed))
}

/// Gets an image ready that was chosen from what is behind a reference.
pub(in crate::commands) fn prepare_chosen(
    store: &Store,
    request: &request::Pull,
    (source, chosen): (&dyn ImageSource, &Chosen<'_>),
    interrupt: &Interrupt,
) -> anyhow::Result<Ready> {
    with_daemon(store, true, || index_layers(store, request, source, chosen, interrupt))
}

fn with_daemon(
    store: &Store,
    fill: bool,
    index: impl FnOnce() -> anyhow::Result<Indexed>,
) -> anyhow::Result<Ready> {
    // Most often there is something to serve in the end: the daemon starts while the network is slow.
    let (daemon, indexed) = thread::scope(|scope| {
        let daemon = scope.spawn(|| client(store.path()));
        let indexed = index();
        (daemon.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), indexed)
    });
    let served = indexed.and_then(|indexed| match rootfs::is_complete(store, &indexed.image)? {
        true => Ok(Ready::complete(indexed.image)),
        false => serve(store, daemon?, indexed, fill),
    });
    if !matches!(served, Ok(Ready { missing: Some(_), .. })) {
        stop_idle(store)?;
    }
    served
}

/// An image of which is here what has to be known to mount it.
pub(super) struct Indexed {
    pub(super) image: Image,
    pub(super) place: Place,
    /// The entries of those of its layers whose TOCs came now.
    listings: Listings,
}

/// The same, with what it came from.
pub(super) struct Opened {
    pub(super) indexed: Indexed,
    pub(super) source: Box<dyn ImageSource>,
    pub(super) manifest: Descriptor,
}

/// Brings in the manifest of an image, and the TOC and tar-split of each layer.
pub(super) fn index(store: &Store, request: &request::Pull, reference: &Reference) -> anyhow::Result<Opened> {
    let access = access(&request.registry)?;
    let source = transport::open(reference, &access)?;
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let chosen = Chosen::choose(&*source, store, request.platform.as_ref())?;
    let indexed = index_layers(store, request, &*source, &chosen, &interrupt);
    remember(&access);
    let (indexed, manifest) = (indexed?, chosen.descriptor());
    Ok(Opened { indexed, source, manifest })
}

fn index_layers(
    store: &Store,
    request: &request::Pull,
    source: &dyn ImageSource,
    chosen: &Chosen<'_>,
    interrupt: &Interrupt,
) -> anyhow::Result<Indexed> {
    let mut tasks = Vec::new();
    chosen.add_tasks(interrupt, &mut tasks)?;
    let options = pull::Options { layers: Some(request.layers), fetch: request.fetch, ..Default::default() };
    let (mut records, mut listings) = (Vec::new(), Listings::new());
    let indexed = thread::scope(|scope| {
        scope.spawn(|| find_profile(store, source, &chosen.manifest()));
        pull::index(store, &tasks, &options, &NoProgress)
    });
    for pull::Indexed { record, entries, .. } in indexed? {
        listings.extend(entries.map(|entries| (record.toc_digest, entries)));
        records.push(record);
    }
    let (image, place) = (chosen.put(store, &tasks, &records)?, place::of(source, &request.registry)?);
    Ok(Indexed { image, place, listings })
}

/// Brings in what others found out that the image's programs read first, unless something is known of it here. Without it,
/// everything takes a little longer.
fn find_profile(store: &Store, source: &dyn ImageSource, manifest: &BlobDigest) {
    if let Ok(None) = Profile::load(store.path(), manifest)
        && let Some(profile) = shared_profile::find(source, manifest)
    {
        let _ = profile.save(store.path());
    }
}

/// Returns the directory that serves what is missing of the mounts that there are records of; `None` when nothing is.
pub(in crate::commands) fn resume(store: &Store) -> anyhow::Result<Option<(File, PathBuf)>> {
    for record in store.mounts().list()? {
        match rootfs::is_complete(store, &record.image) {
            Ok(false) => return open(client(store.path())?.status()?.objects).map(Some),
            // What is in quarantine is told of by itself, and does not keep the others from being mounted.
            Ok(true) | Err(mount::Error::Quarantined { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Has what is missing of an image served, and makes its metadata meanwhile.
fn serve(store: &Store, mut daemon: Client, indexed: Indexed, fill: bool) -> anyhow::Result<Ready> {
    let start = Instant::now();
    let Indexed { image, place, mut listings } = indexed;
    let tables = contents::directory_of(store);
    for toc_digest in &image.layers {
        if !listings.contains_key(toc_digest) && !contents::is_built(toc_digest, &tables) {
            let record = store.layers().get(toc_digest)?.context("a layer is not in the store any more")?;
            listings.insert(*toc_digest, store.layers().toc(&record)?.entries);
        }
    }
    let attachment = attachment(&image, place, fill);
    let (objects, is_new) = thread::scope(|scope| {
        let objects = scope.spawn(|| -> anyhow::Result<PathBuf> {
            // Here, as what that takes is gone with this process; the daemon stays.
            contents::build_listed(&listings, &tables)?;
            let attached = daemon.attach(attachment.clone());
            // It served nothing until now, so another command may have ended it meanwhile.
            attached.or_else(|_| Ok(client(store.path())?.attach(attachment)?))
        });
        let is_new = rootfs::make_metadata(store, &image, &listings);
        (objects.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), is_new)
    });
    let (missing, is_new) = (Some(open(objects?)?), is_new?);
    Ok(Ready { image, missing, done: Done { is_new, elapsed: start.elapsed() } })
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
