//! One image of a pull: chosen, and named in the store when its layers are there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use chunked::annotations::Annotations;
use chunked::{BlobDigest, DiffId};
use registry::blob::Blob;
use registry::platform::Selector;
use registry::{Descriptor, Document, ImageSource, Instance, Instances, Reference};
use store::pull::Task;
use store::{LayerRecord, Store, images};

use crate::image_name::stored_name;
use crate::interrupt::Interrupt;

/// An image that was chosen from what stands behind a reference.
pub(in crate::commands) struct Image<'a> {
    source: &'a dyn ImageSource,
    instance: Instance,
    /// The documents that led to it, as they came.
    documents: BTreeMap<BlobDigest, Vec<u8>>,
}

impl<'a> Image<'a> {
    /// Chooses the image for `platform`, or for this machine. What the store has of the documents behind the first is not asked
    /// for.
    pub(in crate::commands) fn choose(
        source: &'a dyn ImageSource,
        store: &Store,
        platform: Option<&Selector>,
    ) -> anyhow::Result<Self> {
        let recorder = Recorder { source, documents: Mutex::default() };
        let instance = choose(&Known { source: &recorder, store }, platform)?;
        let documents = recorder.documents.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Self { source, instance, documents })
    }

    /// Returns the name it gets in the store.
    pub(super) fn name(&self) -> String {
        stored_name(self.source.reference())
    }

    /// Returns the digest of its manifest.
    pub(in crate::commands) fn manifest(&self) -> BlobDigest {
        self.instance.manifest.digest()
    }

    /// Describes its manifest.
    pub(in crate::commands) fn descriptor(&self) -> Descriptor {
        self.instance.manifest.descriptor()
    }

    /// Returns what it runs on.
    pub(super) fn platform(&self) -> String {
        self.instance.platform.to_string()
    }

    /// Lists its layers, the lowest first.
    pub(in crate::commands) fn layers(&self) -> impl Iterator<Item = (&Descriptor, Option<DiffId>)> {
        self.instance.layers()
    }

    /// Adds the layers that no other image of the pull has.
    pub(in crate::commands) fn add_tasks<'t>(
        &'t self,
        interrupt: &'t Interrupt,
        tasks: &mut Vec<Task<'t>>,
    ) -> anyhow::Result<()> {
        for (descriptor, diff_id) in self.layers() {
            if tasks.iter().any(|task| is_for(task, descriptor, diff_id)) {
                continue;
            }
            let blob = self.source.expect_blob(descriptor)?;
            tasks.push(Task {
                blob: descriptor.digest,
                source: Box::new(interrupt.guard_blob(blob)),
                annotations: descriptor
                    .annotations
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
                diff_id,
            });
        }
        Ok(())
    }

    /// Says which platform a layer is of that is not where the image is.
    pub(super) fn without(&self, blob: &BlobDigest) -> Option<registry::Error> {
        let has_it = self.layers().any(|(layer, _)| layer.digest == *blob);
        has_it.then(|| registry::selection::broken(self.source, self.manifest(), *blob)).flatten()
    }

    /// Returns the records of its layers, the lowest first, of those that the tasks brought.
    pub(in crate::commands) fn layers_of(
        &self,
        tasks: &[Task<'_>],
        records: &[LayerRecord],
    ) -> anyhow::Result<Vec<LayerRecord>> {
        let found = self.layers().map(|(descriptor, diff_id)| {
            let index = tasks.iter().position(|task| is_for(task, descriptor, diff_id))?;
            records.get(index).cloned()
        });
        found.collect::<Option<_>>().context("a layer was not brought in")
    }

    /// Names the image in the store, with the layers that the tasks brought.
    pub(in crate::commands) fn put(
        &self,
        store: &Store,
        tasks: &[Task<'_>],
        records: &[LayerRecord],
    ) -> anyhow::Result<images::Image> {
        let layers = self.layers_of(tasks, records)?;
        let root = self.source.root();
        let image = images::Image {
            name: self.name(),
            root: images::Document {
                media_type: root.media_type.to_string(),
                digest: root.digest,
                len: root.len,
            },
            manifest: self.manifest(),
            config: self.instance.manifest.value().config.digest,
            platform: self.platform(),
            layers: layers.iter().map(|layer| layer.toc_digest).collect(),
        };
        let documents: Vec<_> =
            self.documents.iter().map(|(digest, bytes)| (*digest, bytes.as_slice())).collect();
        store.images().put(&image, &documents)?;
        Ok(image)
    }
}

/// Chooses the image for `platform`, or for this machine. Where an index has several for it, the one with the most
/// zstd:chunked layers is taken, and the first of those.
pub(crate) fn choose(source: &dyn ImageSource, platform: Option<&Selector>) -> anyhow::Result<Instance> {
    let platform = platform.cloned().unwrap_or_else(Selector::host);
    let found = Instances::find(source, &[platform])?;
    let chunked = |instance: &Instance| instance.layers().filter(|(layer, _)| is_chunked(layer)).count();
    let best = found.present.iter().map(chunked).max().unwrap_or(0);
    let instance = found.present.into_iter().find(|instance| chunked(instance) == best);
    instance.context("there is no image, only artifacts")
}

/// Tells whether a task brings a layer of an image. Another image may say other things of the same blob, and lie.
fn is_for(task: &Task<'_>, layer: &Descriptor, diff_id: Option<DiffId>) -> bool {
    let has_annotations = || task.annotations.iter().eq(&layer.annotations);
    task.blob == layer.digest && task.diff_id == diff_id && has_annotations()
}

/// Tells whether a layer says of itself that it can be fetched in parts.
pub(in crate::commands) fn is_chunked(layer: &Descriptor) -> bool {
    let annotations = Annotations::parse(|key| layer.annotations.get(key).map(String::as_str));
    matches!(annotations, Ok(Some(Annotations::ZstdChunked { .. })))
}

/// Takes documents from the store that are there.
struct Known<'a> {
    source: &'a Recorder<'a>,
    store: &'a Store,
}

impl Known<'_> {
    fn stored(&self, digest: &BlobDigest) -> Option<Vec<u8>> {
        let bytes = self.store.images().document(digest).ok().flatten()?;
        self.source.keep(*digest, &bytes);
        Some(bytes)
    }
}

impl ImageSource for Known<'_> {
    fn reference(&self) -> &Reference {
        self.source.reference()
    }

    fn root(&self) -> &Descriptor {
        self.source.root()
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, registry::Error> {
        let stored = self.stored(&descriptor.digest).map(|bytes| Document::parse(descriptor, bytes));
        match stored {
            Some(Ok(document)) => Ok(Some(document)),
            Some(Err(_)) | None => self.source.document(descriptor),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Blob + '_>>, registry::Error> {
        self.source.blob(descriptor)
    }

    fn referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, registry::Error> {
        self.source.referrers(subject)
    }

    fn small_blob(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, registry::Error> {
        match self.stored(&descriptor.digest).filter(|bytes| bytes.len() as u64 == descriptor.len) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.source.small_blob(descriptor),
        }
    }
}

/// Keeps the documents that are read from an image.
struct Recorder<'a> {
    source: &'a dyn ImageSource,
    documents: Mutex<BTreeMap<BlobDigest, Vec<u8>>>,
}

impl Recorder<'_> {
    fn keep(&self, digest: BlobDigest, bytes: &[u8]) {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        documents.insert(digest, bytes.to_vec());
    }
}

impl ImageSource for Recorder<'_> {
    fn reference(&self) -> &Reference {
        self.source.reference()
    }

    fn root(&self) -> &Descriptor {
        self.source.root()
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, registry::Error> {
        let document = self.source.document(descriptor)?;
        if let Some(document) = &document {
            self.keep(descriptor.digest, document.bytes());
        }
        Ok(document)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Blob + '_>>, registry::Error> {
        self.source.blob(descriptor)
    }

    fn referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, registry::Error> {
        self.source.referrers(subject)
    }

    fn small_blob(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, registry::Error> {
        let bytes = self.source.small_blob(descriptor)?;
        if let Some(bytes) = &bytes {
            self.keep(descriptor.digest, bytes);
        }
        Ok(bytes)
    }
}
