//! Lets engines find the layers of images: brings them into the store, and publishes them in the additional image store.

mod choice;
mod restore;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use chunked::{Class, TocDigest};
use containers_storage::additional::{Layer, Layout, Made, Publication, Report};
use containers_storage::record::{LayerRecord, chain_ids};
use containers_storage::{AdditionalStore, EngineStorage};
use mount::overlay::DataDirectory;
use registry::platform::Selector;
use registry::{Descriptor, ImageSource, transport};
use serde::Serialize;
use store::pull::{self, Accept, Identity};
use store::tree::Marks;
use store::{LayerState, Store};

use self::choice::{Choice, How, choose};
pub(super) use self::restore::{restore, take_over};
use super::lazy::{Ready, prepare_chosen, release};
use super::pull::Image;
use crate::access::{access, remember};
use crate::image_name::stored_name;
use crate::image_stores::image_stores;
use crate::interrupt::Interrupt;
use crate::output::print;
use crate::request::{Publish, Pull, Wish};
use crate::ui::harmless;
use crate::ui::json::to_json;
use crate::ui::pull_progress::PullProgress;
use crate::ui::words::count;
use crate::{seeds, ui, who};

/// The additional image store in a store.
const ADDITIONAL_STORE: &str = "ais";

/// What became of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub(super) enum Outcome {
    /// Engines find all of it already.
    Here,
    /// An engine has all of it itself.
    InEngine { storage: PathBuf },
    /// It was published.
    Published {
        #[serde(flatten)]
        report: Report,
        /// Whether content comes later.
        is_lazy: bool,
        /// Why it is not as it was wanted; `None` when it is.
        why: Option<String>,
    },
}

/// Returns where the additional image store of a store is.
pub(super) fn place(store: &Path) -> PathBuf {
    store.join(ADDITIONAL_STORE)
}

/// Publishes the images of a request.
pub(super) fn run(request: &Publish) -> anyhow::Result<ExitCode> {
    let Publish { pull: request, wish } = request;
    let store = request.store.create()?;
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let access = access(&request.registry)?;
    let mut outcomes = Vec::new();
    for reference in &request.references {
        let cannot = || format!("cannot publish `{reference}`");
        let source = transport::open(reference, &access).with_context(cannot)?;
        let publisher = Publisher {
            store: &store,
            interrupt: &interrupt,
            options: request,
            wish: wish.clone(),
            is_wanted: &|| true,
        };
        let outcome = publisher.publish(&*source, request.platform.as_ref(), None).with_context(cannot)?;
        outcomes.push((stored_name(source.reference()), outcome));
    }
    remember(&access);
    if request.form.json {
        let outcomes: Vec<_> = outcomes.iter().map(|(_, outcome)| outcome).collect();
        print(&to_json(&outcomes)?)?;
    } else if !request.form.quiet {
        for (name, outcome) in &outcomes {
            ui::say(&format!("{name}: {outcome}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What publishing takes.
pub(super) struct Publisher<'a> {
    pub(super) store: &'a Store,
    pub(super) interrupt: &'a Interrupt,
    pub(super) options: &'a Pull,
    pub(super) wish: Wish,
    /// Tells whether whoever asked still waits.
    pub(super) is_wanted: &'a dyn Fn() -> bool,
}

impl Publisher<'_> {
    /// Publishes one image, as far as it is not where engines find it. `storage` is that of the engine that wants it, if it is
    /// not where the files say.
    pub(super) fn publish(
        &self,
        source: &dyn ImageSource,
        platform: Option<&Selector>,
        storage: Option<&Path>,
    ) -> anyhow::Result<Outcome> {
        let additional = AdditionalStore::setup(&place(self.store.path()))?;
        let image = Image::choose(source, self.store, platform)?;
        let storages = match storage {
            Some(storage) => vec![storage.to_owned()],
            // Where files cannot be read, the engine complains.
            None => image_stores().unwrap_or_default(),
        };
        if let Some(storage) = storages.first() {
            additional.note_engine(storage)?;
        }
        if let Some(outcome) = already_here(self.store, &additional, &image, &storages)? {
            return Ok(outcome);
        }
        let Choice { how, mut why } = choose(&self.wish, image.layers().map(|(layer, _)| layer));
        if how == How::Lazy {
            match self.lazily(&additional, source, &image) {
                Ok(report) => return Ok(Outcome::Published { report, is_lazy: true, why }),
                // What lies is not asked again.
                Err(error) if is_about_integrity(&error) || !(self.is_wanted)() => return Err(error),
                Err(error) => why = Some(format!("{error:#}")),
            }
        }
        let report = self.eagerly(&additional, &image, how == How::Mounted)?;
        Ok(Outcome::Published { report, is_lazy: false, why })
    }

    /// Publishes an image of which nothing is here but what has to be known to mount it.
    fn lazily(
        &self,
        additional: &AdditionalStore,
        source: &dyn ImageSource,
        image: &Image<'_>,
    ) -> anyhow::Result<Report> {
        let ready = prepare_chosen(self.store, self.options, (source, image), self.interrupt);
        let Ready { image, missing, .. } = ready.inspect_err(|_| self.interrupt.die_if_asked())?;
        let records = image.layers.iter().map(|toc| self.store.layers().get(toc));
        let records = records.collect::<Result<Option<Vec<_>>, _>>()?;
        let records = records.context("a layer is not in the store any more")?;
        let missing = missing.as_ref().map(|(fd, path)| DataDirectory { fd: fd.as_fd(), path });
        let chain = Layer::chain(&records, LayerState::Indexed)?;
        let published = self.list(additional, &image, &chain, Layout::Mounted(missing));
        if published.is_err() {
            release(self.store, &image)?;
        }
        published
    }

    fn list(
        &self,
        additional: &AdditionalStore,
        image: &store::Image,
        chain: &[Layer],
        layout: Layout<'_>,
    ) -> anyhow::Result<Report> {
        let publication = Publication { image, chain, layout, is_wanted: self.is_wanted };
        Ok(additional.publish(self.store, &publication)?)
    }

    /// Publishes an image after all of it was brought in and proven.
    fn eagerly(
        &self,
        additional: &AdditionalStore,
        image: &Image<'_>,
        is_mounted: bool,
    ) -> anyhow::Result<Report> {
        let mut tasks = Vec::new();
        image.add_tasks(self.interrupt, &mut tasks)?;
        let progress = PullProgress::start(self.options.form);
        let seeds = seeds::open(&self.options.seeds, self.store)?;
        let (layers, fetch) = (Some(self.options.layers), self.options.fetch);
        // Engines look for a layer by the TOC that its manifest names.
        let options = pull::Options { layers, fetch, seeds, sync: true, accept: Accept::SameToc };
        let pulled = pull::pull(self.store, &tasks, &options, &progress);
        progress.finish();
        let pulled = pulled.inspect_err(|_| self.interrupt.die_if_asked())?;
        self.store.sync()?;
        let records: Vec<_> = pulled.iter().map(|(record, _)| record.clone()).collect();
        // First the image, so that nothing collects what is about to be published.
        let stored = image.put(self.store, &tasks, &records)?;
        let of_layers = image.layers_of(&tasks, &records)?;
        let chain = Layer::chain(&of_layers, LayerState::Proven)?;
        let marks = if who::is_system() { Marks::Trusted } else { Marks::User };
        let layout = match is_mounted {
            true => Layout::Mounted(None),
            false => Layout::Plain(marks),
        };
        self.list(additional, &stored, &chain, layout)
    }
}

/// Tells whether a failure says that an image is not what it claims to be.
fn is_about_integrity(error: &anyhow::Error) -> bool {
    let class = |cause: &(dyn std::error::Error + 'static)| {
        let of_store = cause.downcast_ref::<store::Error>().map(store::Error::class);
        of_store.or_else(|| cause.downcast_ref::<mount::Error>().map(mount::Error::class))
    };
    error.chain().any(|cause| class(cause) == Some(Class::Corrupt))
}

/// Returns the digest of the TOC that a layer is said to have.
fn toc_digest(layer: &Descriptor) -> Option<TocDigest> {
    let lookup = |key: &str| layer.annotations.get(key).map(String::as_str);
    Identity::new(layer.digest, None, lookup).toc_digest
}

/// Tells whether engines need nothing any more.
fn already_here(
    store: &Store,
    additional: &AdditionalStore,
    image: &Image<'_>,
    storages: &[PathBuf],
) -> anyhow::Result<Option<Outcome>> {
    let diff_ids: Vec<_> = image.layers().map_while(|(_, diff_id)| diff_id).collect();
    let ids = chain_ids(&diff_ids);
    if ids.len() < image.layers().count() {
        return Ok(None);
    }
    let found = additional.find(&ids)?;
    let mut tocs = Vec::new();
    let mut is_found = |((layer, _), record): ((&Descriptor, _), &Option<LayerRecord>)| {
        let Some(record) = record else { return Ok(false) };
        let Some(toc) = toc_digest(layer) else { return Ok(!additional.is_claim(store, &record.id, &[])?) };
        tocs.push(toc);
        Ok(record.toc_digest == Some(toc) && !additional.is_claim(store, &record.id, &tocs)?)
    };
    let all: anyhow::Result<Vec<bool>> = image.layers().zip(&found).map(&mut is_found).collect();
    if all?.into_iter().all(|is_found| is_found) {
        ids.iter().for_each(|id| additional.touch(id));
        return Ok(Some(Outcome::Here));
    }
    for path in storages.iter().filter(|path| *path != additional.path()) {
        let Ok(storage) = EngineStorage::read(path) else { continue };
        let layers = storage.layers();
        if ids.iter().all(|id| layers.contains(id)) {
            return Ok(Some(Outcome::InEngine { storage: path.clone() }));
        }
    }
    Ok(None)
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here => f.write_str("engines find all of it already"),
            Self::InEngine { storage } => write!(f, "`{}` has all of it", storage.display()),
            Self::Published { report, is_lazy, why } => {
                let made: Vec<_> = report.layers.iter().filter_map(|layer| layer.made).collect();
                let all = count(report.layers.len() as u64, "layer", "layers");
                write!(f, "{all}, of which {} were published now", made.len())?;
                let (is_mounted, later) = (made.contains(&Made::Mounted), "; content comes when it is read");
                f.write_str(if is_mounted { " as mounts" } else { "" })?;
                f.write_str(if *is_lazy { later } else { "" })?;
                let why = why.as_deref().map(|why| format!("; not as it was wanted: {}", harmless(why)));
                f.write_str(&why.unwrap_or_default())
            }
        }
    }
}
