//! The store as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use chunked::{Entry, TocDigest};
use crossbeam_channel::bounded;

use crate::chains::Chains;
use crate::directory::Directory;
use crate::durability::{BootId, Durability};
use crate::error::{Error, at_path};
use crate::images::{Image, Images};
use crate::index::DedupIndex;
use crate::layers::{LayerRecord, Layers};
use crate::lock;
use crate::mounts::Mounts;
use crate::objects::Objects;
use crate::partials::Partials;
use crate::recovery::{self, Recovery};
use crate::tree::{self, Tree};

/// Name of the file that says which format a store has.
const FORMAT: &str = "format";
/// What that file says.
const FORMAT_CONTENT: &str = "morsel store 1\n";
/// Longest content of that file in bytes.
const FORMAT_LEN_MAX: u64 = 256;
/// Name of the lock that every process holds, shared, while it has the store open.
const LOCK: &str = "lock";
/// Name of the directory of daemons. Whoever starts one, and systemd for its socket, may make it before there is a store.
const RUN: &str = "run";
/// Name of the lock of whoever puts on disk what others left.
const SYNC: &str = "sync";

/// Entries that go from one thread to another at once, and how often before the first waits for the second.
const BATCH: usize = 512;
const BATCHES: usize = 8;

/// The entries of layers whose TOC was just read and verified, by its digest.
pub type Listings = BTreeMap<TocDigest, Vec<Entry>>;

/// What this machine has of container images: file content, layers, images.
///
/// Several processes may have a store open at once. Cheap to share by reference between threads.
#[derive(Debug)]
pub struct Store {
    root: Directory,
    lock: File,
    durability: Arc<Durability>,
    objects: Arc<Objects>,
    partials: Partials,
    layers: Layers,
    images: Images,
    index: DedupIndex,
    chains: Chains,
    mounts: Mounts,
    recovery: Option<Recovery>,
}

impl Store {
    /// Opens the store at `root`, making it where there is none. What says what is in the images is made for its owner alone,
    /// like their content: configs may hold secrets. The kernel reads it as whoever mounts, and so does the daemon. Waits for a garbage collection that is going on. If
    /// the machine stopped before the store was synced, what was written last is checked first, which takes as long as
    /// reading it: see [`Store::needs_recovery`] and [`Store::recovery`].
    ///
    /// # Errors
    /// [`Error::NotAStore`] when the directory holds something else; [`Error::Format`] when a later version of this
    /// program made it; those of the file system.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let root = Directory::create(root)?;
        check_format(&root)?;
        let lock = lock::shared(&root, LOCK)?;
        let durability = Arc::new(Durability::new(root.clone(), BootId::current()));
        let temporary = root.subdirectory("tmp")?;
        let locks = root.subdirectory("locks")?;
        let objects =
            Arc::new(Objects::new(root.subdirectory("objects")?, temporary.clone(), Arc::clone(&durability)));
        let partials =
            Partials::new(root.subdirectory("partial")?, Arc::clone(&objects), Arc::clone(&durability));
        let layers = Layers::open(
            root.private_subdirectory("layers")?,
            locks.clone(),
            temporary.clone(),
            Arc::clone(&durability),
        )?;
        let chains = Chains::new(root.private_subdirectory("chains")?, temporary.clone());
        let mounts = Mounts::new(root.subdirectory("mounts")?);
        let images = Images::open(root.private_subdirectory("oci")?, locks.clone(), temporary.clone())?;
        let index = root.subdirectory("index")?;
        let index = DedupIndex::open(index, locks, temporary, Arc::clone(&durability))?;
        let mut store = Self {
            root,
            lock,
            durability,
            objects,
            partials,
            layers,
            images,
            index,
            chains,
            mounts,
            recovery: None,
        };
        store.recovery = store.recover()?;
        Ok(store)
    }

    fn recover(&self) -> Result<Option<Recovery>, Error> {
        if !self.durability.is_suspect()? {
            return Ok(None);
        }
        self.wait_exclusive()?;
        // Another process may have done it meanwhile.
        let recovery = match self.durability.is_suspect()? {
            true => Some(recovery::recover(self)?),
            false => None,
        };
        lock::downgrade(&self.lock).map_err(at_path("lock", self.root.path_of(LOCK)))?;
        Ok(recovery)
    }

    pub(crate) fn wait_exclusive(&self) -> Result<(), Error> {
        lock::upgrade(&self.lock, &self.root, LOCK)
    }

    pub(crate) fn try_exclusive(&self) -> Result<bool, Error> {
        lock::try_upgrade(&self.lock, &self.root, LOCK)
    }

    pub(crate) fn root(&self) -> &Directory {
        &self.root
    }

    pub(crate) fn durability(&self) -> &Durability {
        &self.durability
    }

    /// Opens the store at `root`.
    ///
    /// # Errors
    /// [`Error::NoStore`] when there is none; those of [`Store::open`].
    pub fn open_existing(root: &Path) -> Result<Self, Error> {
        find(root)?;
        Self::open(root)
    }

    /// Tells whether opening the store at `root` will take a check of what may not have reached the disk, because the
    /// machine stopped before it was synced.
    pub fn needs_recovery(root: &Path) -> bool {
        Directory::open(root)
            .and_then(|root| Durability::new(root, BootId::current()).is_suspect())
            .unwrap_or(false)
    }

    /// Says what was checked and lost, if the machine had stopped before the store was synced.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// Returns the path the store was opened by.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Returns the complete file contents.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Returns the file contents in progress.
    pub fn partials(&self) -> &Partials {
        &self.partials
    }

    /// Returns the layers.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Returns the images.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// Returns the dedup index.
    pub fn index(&self) -> &DedupIndex {
        &self.index
    }

    /// Returns what was made of chains of layers.
    pub fn chains(&self) -> &Chains {
        &self.chains
    }

    /// Returns the records of mounts.
    pub fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// Merges the layers of an image into one tree.
    ///
    /// # Errors
    /// [`Error::NoLayer`] when one is not here; [`Error::Tree`] when they do not make a tree; those of
    /// [`Layers::visit_toc`].
    pub fn tree(&self, image: &Image) -> Result<Tree, Error> {
        self.tree_of_listed(image, &Listings::new())
    }

    /// Does what [`Store::tree`] does, with the entries of layers whose TOC was read already.
    ///
    /// # Errors
    /// Those of [`Store::tree`].
    pub fn tree_of_listed(&self, image: &Image, listings: &Listings) -> Result<Tree, Error> {
        let mut builder = tree::Builder::new(tree::Limits::default());
        for toc_digest in &image.layers {
            let missing = || Error::NoLayer { image: image.name.clone(), toc_digest: Box::new(*toc_digest) };
            let record = self.layers.get(toc_digest)?.ok_or_else(missing)?;
            builder.start_layer();
            match listings.get(toc_digest) {
                Some(entries) => entries.iter().try_for_each(|entry| builder.add(entry))?,
                None => self.add_layer(&record, &mut builder)?,
            }
            builder.end_layer()?;
        }
        Ok(builder.finish())
    }

    /// Applies a layer to a tree while its TOC is parsed by another thread: both take about as long.
    fn add_layer(&self, record: &LayerRecord, builder: &mut tree::Builder) -> Result<(), Error> {
        let (parsed, entries) = bounded::<Vec<Entry>>(BATCHES);
        thread::scope(|scope| {
            let parser = scope.spawn(move || {
                let mut batch = Vec::with_capacity(BATCH);
                let visited = self.layers.visit_toc(record, |entry| {
                    batch.push(entry);
                    if batch.len() == BATCH {
                        // Nobody takes it once an entry was found to have no place.
                        let _ = parsed.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
                    }
                });
                let _ = parsed.send(batch);
                visited
            });
            let added = entries.iter().flatten().try_for_each(|entry| builder.add(&entry));
            drop(entries);
            parser.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            Ok(added?)
        })
    }

    /// Puts on disk what earlier processes wrote into the store at `root` and did not sync, and merges the runs of the dedup
    /// index where that makes lookups quicker. It waits for others that do this, and keeps nobody from the store; who adds to
    /// the index may wait for the merge.
    ///
    /// # Errors
    /// [`Error::NoStore`] when there is none; those of the file system.
    pub fn settle(root: &Path) -> Result<(), Error> {
        let root = find(root)?;
        let locks = root.subdirectory("locks")?;
        let _only_one = lock::exclusive(&locks, SYNC)?;
        let durability = Arc::new(Durability::new(root.clone(), BootId::current()));
        // Whoever opens the store checks first what another boot left, and must see that it did.
        if durability.is_suspect()? {
            return Ok(());
        }
        durability.settle()?;
        let (index, temporary) = (root.subdirectory("index")?, root.subdirectory("tmp")?);
        match DedupIndex::open(index, locks, temporary, Arc::clone(&durability))?.settle()? {
            true => durability.sync(),
            false => Ok(()),
        }
    }

    /// Puts all that was written on disk. Before this, a power loss may take it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn sync(&self) -> Result<(), Error> {
        self.durability.sync()
    }
}

/// Opens the directory of a store that is there.
fn find(root: &Path) -> Result<Directory, Error> {
    let missing = || Error::NoStore { path: root.to_owned() };
    match Directory::open(root) {
        Ok(directory) if directory.stat(FORMAT)?.is_some() => Ok(directory),
        Ok(_) => Err(missing()),
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Err(missing()),
        Err(error) => Err(error),
    }
}

/// Makes sure that a directory is a store of the format we know, or becomes one.
fn check_format(root: &Directory) -> Result<(), Error> {
    // Another process may be making it: the file comes first, so what is listed before it is looked for is not ours.
    let is_ours =
        |name: &String| [LOCK, RUN].contains(&name.as_str()) || name.starts_with(crate::staged::UNFINISHED);
    let may_become = root.names()?.iter().all(is_ours);
    let Some(found) = root.read(FORMAT, FORMAT_LEN_MAX)? else {
        return match may_become {
            true => root.replace(FORMAT, FORMAT_CONTENT.as_bytes()),
            false => Err(Error::NotAStore { path: root.path().to_owned() }),
        };
    };
    match found == FORMAT_CONTENT.as_bytes() {
        true => Ok(()),
        false => Err(Error::Format {
            path: root.path().to_owned(),
            found: String::from_utf8_lossy(&found).trim_end().to_owned(),
            expected: FORMAT_CONTENT.trim_ascii_end(),
        }),
    }
}
