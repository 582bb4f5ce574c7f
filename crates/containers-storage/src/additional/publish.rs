//! Publishing the layers of a chain.

use std::fmt;
use std::fs::File;
use std::path::Path;

use chunked::DiffId;
use mount::overlay::DataDirectory;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens, lgetxattr, syncfs};
use serde::Serialize;
use store::tree::Marks;
use store::unpack::Amount;
use store::{Image, LayerRecord as Stored, LayerState, Origin, Store};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::AdditionalStore;
use super::list::Writer;
use super::make::{Owners, Work};
use super::stage::Staged;
use crate::error::{Error, Unpublishable, at_path};
use crate::lock::OwnLock;
use crate::record::{LayerId, LayerRecord, chain_ids};

/// Most layers of a chain: overlayfs takes 500.
const LAYERS_MAX: usize = 500;

/// A layer to be published.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its ID.
    pub id: LayerId,
    /// What the store knows of it.
    pub record: Stored,
    /// The digest of its tar.
    pub diff_id: DiffId,
}

/// How the files of layers come to be.
#[derive(Debug, Clone, Copy)]
pub enum Layout<'a> {
    /// Files of their own. The marks say how layers hide what is below them; engines of other users than root want
    /// [`Marks::User`].
    Plain(Marks),
    /// Mounts. Only root's engines see them. What is not in the store comes from this directory.
    Mounted(Option<DataDirectory<'a>>),
}

/// Layers to be published.
#[derive(Clone, Copy)]
pub struct Publication<'a> {
    /// The image that has them, and no others.
    pub image: &'a Image,
    /// The layers, the lowest first.
    pub chain: &'a [Layer],
    /// How their files come to be.
    pub layout: Layout<'a>,
    /// Tells, once everything is ready, whether engines shall find it. One that pulls by itself by then must not: it would
    /// stumble over layers that are there all of a sudden.
    pub is_wanted: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Publication<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication").field("image", &self.image.name).finish_non_exhaustive()
    }
}

/// What became of a chain.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Its layers, the lowest first.
    pub layers: Vec<Published>,
}

/// What became of a layer.
#[derive(Debug, Clone, Serialize)]
pub struct Published {
    /// Which.
    pub id: LayerId,
    /// What was written for it; `None` when it was there.
    pub made: Option<Made>,
}

/// What was made for a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "layout")]
pub enum Made {
    /// Files.
    Plain {
        /// Those that share their bytes with the store.
        cloned: Amount,
        /// Those whose bytes were copied.
        copied: Amount,
    },
    /// A mount.
    Mounted,
}

impl Layer {
    /// Takes the layers of a chain, the lowest first. Of each at least as much has to be verified as `least` says: engines take
    /// our word for its diff ID.
    ///
    /// # Errors
    /// [`Error::Unpublishable`] when less is, or engines cannot have that many.
    pub fn chain(records: &[Stored], least: LayerState) -> Result<Vec<Self>, Error> {
        let proven = |record: &Stored| record.diff_id.filter(|_| record.state >= least);
        let diff_ids: Vec<_> = records.iter().map_while(proven).collect();
        let ids = chain_ids(&diff_ids);
        let refuse = |id: Option<&LayerId>, reason| Error::Unpublishable { id: id.cloned(), reason };
        if records.len() > LAYERS_MAX {
            return Err(refuse(ids.get(LAYERS_MAX), Unpublishable::TooDeep(LAYERS_MAX)));
        }
        if ids.len() < records.len() {
            return Err(refuse(ids.last(), Unpublishable::Unproven));
        }
        let layers = ids.into_iter().zip(records).zip(diff_ids);
        Ok(layers.map(|((id, record), diff_id)| Self { id, record: record.clone(), diff_id }).collect())
    }

    pub(super) fn unpublishable(&self, reason: Unpublishable) -> Error {
        Error::Unpublishable { id: Some(self.id.clone()), reason }
    }

    /// Returns the record of the layer with what it is asked for by this time, if that is not what it says. There is room for
    /// one TOC and one blob.
    fn renamed(&self, record: &LayerRecord) -> Option<LayerRecord> {
        let new = self.listed(record.parent.as_ref(), 0, Owners::default());
        let renamed = LayerRecord {
            toc_digest: new.toc_digest.or(record.toc_digest),
            compressed_diff_digest: new.compressed_diff_digest.or(record.compressed_diff_digest),
            compressed_size: new.compressed_size.or(record.compressed_size),
            ..record.clone()
        };
        (renamed != *record).then_some(renamed)
    }

    pub(super) fn listed(&self, parent: Option<&LayerId>, tar_len: u64, owners: Owners) -> LayerRecord {
        let is_hashed = self.record.origin == Origin::IndexedPlain;
        LayerRecord {
            id: self.id.clone(),
            parent: parent.cloned(),
            created: now(),
            // Of a blob that was read in parts nobody knows the digest: the image may have lied, and another image that has
            // the blob would get this layer.
            compressed_diff_digest: is_hashed.then_some(self.record.blob),
            compressed_size: is_hashed.then_some(self.record.blob_len),
            diff_digest: self.diff_id,
            diff_size: tar_len,
            toc_digest: (!is_hashed).then_some(self.record.toc_digest),
            uidset: owners.users.into_iter().collect(),
            gidset: owners.groups.into_iter().collect(),
            other: serde_json::Map::new(),
        }
    }
}

impl AdditionalStore {
    /// Publishes the layers of an image, the lowest first, as far as they are not there: files first, then their records, all of
    /// them at once. Content comes from `store`.
    ///
    /// A layer that another image claimed to have, and nobody has proven yet, is replaced by a mount once it is proven: what lies
    /// on it finds the same files there, if the claim was right, and the right ones otherwise.
    ///
    /// Others who want one of the layers wait meanwhile, and so does this one for them.
    ///
    /// # Errors
    /// [`Error::Unpublishable`] for layers that engines have to fetch themselves; [`Error::Damaged`] when the list is;
    /// [`Error::Mount`]; [`Error::Unwanted`]; those of the store and of the file system. Nothing is published then.
    pub fn publish(&self, store: &Store, publication: &Publication<'_>) -> Result<Report, Error> {
        let Publication { image, chain, layout, is_wanted } = *publication;
        // In one order, so that two processes never wait for each other.
        let locks = chain.iter().map(|layer| OwnLock::take(&self.place.layer_lock(&layer.id)));
        let _locks: Vec<_> = locks.collect::<Result<_, _>>()?;
        let ids: Vec<_> = chain.iter().map(|layer| layer.id.clone()).collect();
        let here = self.find(&ids)?;
        let mut work = Work::new(&self.place, store, image);
        let (mut layers, mut records, mut staged) = (Vec::new(), Vec::new(), Vec::new());
        for (position, layer) in chain.iter().enumerate() {
            let below = chain.get(..position).unwrap_or_default();
            let tocs = image.layers.get(..=position).unwrap_or_default();
            let is_claim = self.is_claim(store, &layer.id, tocs)?;
            if is_claim && layer.record.state < LayerState::Proven {
                return Err(layer.unpublishable(Unpublishable::Claimed));
            }
            if let Some(Some(record)) = here.get(position).filter(|_| !is_claim) {
                let renamed = layer.renamed(record);
                // Engines find it by this name from then on, so the name has to be proven.
                if renamed.is_some() && layer.record.state < LayerState::Proven {
                    return Err(layer.unpublishable(Unpublishable::Claimed));
                }
                self.touch(&layer.id);
                records.extend(renamed);
                layers.push(Published { id: layer.id.clone(), made: None });
                continue;
            }
            // What lies on a mount expects to find everything there.
            let was_mount = self.place.is_mount(&layer.id);
            let (files, record, made) = match layout {
                Layout::Plain(marks) if !was_mount => work.plain(layer, below, marks)?,
                Layout::Plain(_) => work.mounted(layer, below, None)?,
                Layout::Mounted(missing) => work.mounted(layer, below, missing)?,
            };
            staged.push(files);
            records.push(record);
            layers.push(Published { id: layer.id.clone(), made: Some(made) });
        }
        if !staged.is_empty() {
            self.sync()?;
        }
        if !records.is_empty() {
            self.list(staged, records, is_wanted)?;
        }
        Ok(Report { layers })
    }

    /// Puts layers in their places and lists them. One that was listed, and had lost its files, stays where it is.
    fn list(
        &self,
        staged: Vec<Staged<'_>>,
        records: Vec<LayerRecord>,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let writer = Writer::take(&self.place)?;
        let mut layers = self.layers()?;
        for record in records {
            match layers.iter_mut().find(|layer| layer.id == record.id) {
                Some(layer) => *layer = record,
                None => layers.push(record),
            }
        }
        // An engine that finds the directory of a layer that is not listed stumbles over it, so this takes no time. One that does
        // not wait any more does not look at the list before it is done.
        let put = || {
            if !is_wanted() {
                return Err(Error::Unwanted);
            }
            staged.iter().try_for_each(Staged::make_way)?;
            staged.into_iter().try_for_each(Staged::put)
        };
        writer.replace(&layers, put).inspect_err(|_| {
            // What was put and is not listed has to go; that this fails as well, the next one finds out.
            let _ = self.sweep(&writer);
        })
    }

    /// Notes that a layer was asked for just now: whoever asked may not have written down yet that it is in use.
    pub fn touch(&self, id: &LayerId) {
        let times = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        if let Ok(directory) = File::open(self.place.layer(id)) {
            // It only keeps the layer longer than needed, or less long than wanted.
            let _ = futimens(directory, &Timestamps { last_access: times, last_modification: times });
        }
    }

    fn sync(&self) -> Result<(), Error> {
        let root = self.place.root();
        let directory = File::open(root).map_err(at_path("open", root))?;
        syncfs(directory).map_err(at_path("sync", root))
    }
}

/// Tells whether a file has an attribute.
pub(super) fn has_attribute(path: &Path, name: &str) -> bool {
    let mut value = [0; 1];
    lgetxattr(path, name, &mut value).is_ok()
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}
