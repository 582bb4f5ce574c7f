//! The layers that podman, CRI-O, buildah and skopeo keep: a graph root of containers-storage with the overlay driver, be
//! it the primary store or an additional image store.
//!
//! A layer that was pulled in parts has its TOC beside it, which tells where each content and each chunk is. The files of
//! other layers are found by the path that they have in the image.
//!
//! Only files are read, and no lock is taken: the lists are replaced as a whole, by renaming, and whatever else changes
//! meanwhile is a miss.

pub mod cache;
mod contents;
mod layer;
mod paths;
pub mod records;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use chunked::ContentDigest;

use self::contents::Contents;
use self::layer::Layer;
use self::paths::Paths;
use super::{Abilities, Candidate, Regular, Root, Seed, SeedName, VERSIONS_MAX, Visit, host};
use crate::error::{Error, at_path, bad_json};

/// How the names of such seeds begin.
pub(super) const KIND: &str = "containers-storage";

/// The lists of layers: those of images, and those of containers that are gone after a reboot.
const LISTS: [&str; 2] = ["overlay-layers/layers.json", "overlay-layers/volatile-layers.json"];
/// Longest list that is read. A layer takes about 500 bytes.
const LIST_LEN_MAX: u64 = 64 << 20;

/// A graph root of containers-storage.
#[derive(Debug)]
pub struct ContainersStorage {
    name: SeedName,
    root: Root,
    /// Those that were made last come first: they hold what is most like the next image.
    layers: Vec<Layer>,
    contents: OnceLock<Contents>,
    paths: OnceLock<Paths>,
}

impl ContainersStorage {
    /// Opens the graph root at `path`, and reads which layers it has. What they hold is read when first asked for.
    ///
    /// # Errors
    /// [`Error::NotASeed`] for a directory that is none, [`Error::Damaged`] for a list that cannot be read, and those of
    /// the file system.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = path.canonicalize().map_err(at_path("open", path))?;
        let root = Root::open(&path)?;
        let layers = layers(&root)?;
        let name = SeedName::new(KIND, path);
        Ok(Self { name, root, layers, contents: OnceLock::new(), paths: OnceLock::new() })
    }

    fn contents(&self) -> &Contents {
        self.contents.get_or_init(|| Contents::load(&self.root, &self.layers))
    }

    fn paths(&self) -> &Paths {
        self.paths.get_or_init(|| Paths::load(&self.root, &self.layers, &self.contents().plain))
    }

    /// Opens the directory with the files of a layer. Links in it lead to where they would if it were the whole machine.
    fn files(&self, layer: usize) -> Option<Root> {
        self.root.subdirectory(&self.layers.get(layer)?.files())
    }
}

impl Seed for ContainersStorage {
    fn name(&self) -> &SeedName {
        &self.name
    }

    fn abilities(&self) -> Abilities {
        Abilities { digests: true, paths: true, chunks: true }
    }

    fn file(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        let (place, name) = self.contents().find(digest)?;
        let file = self.files(place.layer)?.find(name).filter(|file| file.stamp().len == len)?;
        file.open().map(Candidate::File)
    }

    fn at(&self, path: &str) -> Vec<Regular> {
        let Some(path) = host::relative(path) else { return Vec::new() };
        let layers = self.paths().find(&path);
        layers.filter_map(|layer| self.files(layer)?.find(&path)).take(VERSIONS_MAX).collect()
    }

    fn chunk(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        let (place, name) = self.contents().find(digest).filter(|(place, _)| place.range.len() == len)?;
        let file = self.files(place.layer)?.find(name)?.open()?;
        Some(Candidate::Part(Arc::new(file), place.range.start()))
    }

    fn walk(&self, visit: Visit<'_>) -> Result<(), Error> {
        for layer in self.contents().plain.iter().filter_map(|number| self.layers.get(*number)) {
            let (files, mut stopped) = (layer.files(), false);
            let Some(directory) = self.root.subdirectory(&files) else { continue };
            // A layer that is gone meanwhile has nothing.
            let _ = directory.walk(&|_, _| false, &mut |path, stamp| {
                let flow = visit(&files.join(path), stamp);
                stopped = flow.is_break();
                flow
            });
            if stopped {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, path: &Path) -> Option<Regular> {
        let (files, path) = layer::split(path)?;
        self.root.subdirectory(&files)?.find(path)
    }
}

/// Tells whether there is a graph root.
pub(super) fn is_at(path: &Path) -> bool {
    LISTS.first().is_some_and(|list| path.join(list).is_file())
}

/// Reads which layers there are.
fn layers(root: &Root) -> Result<Vec<Layer>, Error> {
    let mut layers = Vec::new();
    for (number, list) in LISTS.iter().enumerate() {
        match root.read(Path::new(list), LIST_LEN_MAX) {
            Some(json) => {
                layers.extend(records::parse(&json).map_err(bad_json(&root.path().join(list)))?);
            }
            None if number == 0 => {
                let expected = "a graph root with `overlay-layers/layers.json`";
                return Err(Error::NotASeed { path: root.path().to_owned(), expected });
            }
            None => {}
        }
    }
    Ok(layers.into_iter().rev().map(Layer::new).collect())
}
