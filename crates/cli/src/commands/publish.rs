//! Lets engines find the layers of images: brings them into the store, and publishes them in the additional image store.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use chunked::TocDigest;
use containers_storage::additional::{Layer, Options, Report};
use containers_storage::record::{LayerRecord, chain_ids};
use containers_storage::{AdditionalStore, EngineStorage};
use registry::platform::Selector;
use registry::{Descriptor, ImageSource, transport};
use serde::Serialize;
use store::Store;
use store::pull::{self, Accept, Identity};
use store::tree::Marks;

use super::pull::Image;
use crate::access::{access, remember};
use crate::image_name::stored_name;
use crate::image_stores::image_stores;
use crate::interrupt::Interrupt;
use crate::output::print;
use crate::request::Pull;
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
    Published(Report),
}

/// Returns where the additional image store of a store is.
pub(super) fn place(store: &Path) -> PathBuf {
    store.join(ADDITIONAL_STORE)
}

/// Publishes the images of a request.
pub(super) fn run(request: &Pull) -> anyhow::Result<ExitCode> {
    let store = request.store.create()?;
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let access = access(&request.registry)?;
    let mut outcomes = Vec::new();
    for reference in &request.references {
        let cannot = || format!("cannot publish `{reference}`");
        let source = transport::open(reference, &access).with_context(cannot)?;
        let publisher = Publisher { store: &store, interrupt: &interrupt, options: request };
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
        let image = Image::choose_known(source, self.store, platform)?;
        let storages = match storage {
            Some(storage) => vec![storage.to_owned()],
            // Where files cannot be read, the engine complains.
            None => image_stores().unwrap_or_default(),
        };
        if let Some(storage) = storages.first() {
            additional.note_engine(storage)?;
        }
        if let Some(outcome) = already_here(&additional, &image, &storages)? {
            return Ok(outcome);
        }
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
        image.put(self.store, &tasks, &records)?;
        let of_layers = image.layers_of(&tasks, &records)?;
        let chain = Layer::chain(&of_layers)?;
        let marks = if who::is_system() { Marks::Trusted } else { Marks::User };
        Ok(Outcome::Published(additional.publish(self.store, &chain, Options { marks })?))
    }
}

/// Returns the digest of the TOC that a layer is said to have.
fn toc_digest(layer: &Descriptor) -> Option<TocDigest> {
    let lookup = |key: &str| layer.annotations.get(key).map(String::as_str);
    Identity::new(layer.digest, None, lookup).toc_digest
}

/// Tells whether engines need nothing any more.
fn already_here(
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
    let is_found = |((layer, _), record): ((&Descriptor, _), &Option<LayerRecord>)| {
        record
            .as_ref()
            .is_some_and(|record| toc_digest(layer).is_none_or(|toc| record.toc_digest == Some(toc)))
    };
    if image.layers().zip(&found).all(is_found) {
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
            Self::Published(report) => {
                let made = report.layers.iter().filter(|layer| layer.made.is_some()).count() as u64;
                let all = count(report.layers.len() as u64, "layer", "layers");
                write!(f, "{all}, of which {made} were published now")
            }
        }
    }
}
