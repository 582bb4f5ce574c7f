//! The images of a store: their manifests, indexes and configs as they were received, in an OCI image layout.
//!
//! Other programs may read the layout. It has no layer blobs, as content is in objects. What only we know of an image
//! is in annotations of its descriptor in `index.json`.

mod claims;
mod descriptor;
mod find;

use std::io::Write;

use chunked::{BlobDigest, TocDigest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::directory::Directory;
use crate::error::{Damage, Error, at_path, bad_json};
use crate::lock;
use crate::staged::Staged;

/// Name of the file that marks a layout.
const MARKER: &str = "oci-layout";
/// What that file says.
const MARKER_CONTENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// Name of the file that lists the images.
const INDEX: &str = "index.json";
/// Longest list of images in bytes: some 2000 images of 30 layers.
const INDEX_LEN_MAX: u64 = 16 << 20;
/// Longest manifest, index or config in bytes. Registries must take manifests of 4 MiB (OCI distribution-spec); configs
/// are as long as their history.
const DOCUMENT_LEN_MAX: u64 = 16 << 20;
/// Name of the lock on the list.
const LOCK: &str = "images";

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its name, as the user has it.
    pub name: String,
    /// What the name stands for: an index, or the manifest itself.
    pub root: Document,
    /// The manifest that was chosen.
    pub manifest: BlobDigest,
    /// The config that the manifest names, whose digest is the image ID.
    pub config: BlobDigest,
    /// What the image runs on, `os/arch[/variant]`.
    pub platform: String,
    /// Its layers by the digests of their TOCs, the lowest first.
    pub layers: Vec<TocDigest>,
}

/// Says what a document is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its type.
    pub media_type: String,
    /// Its digest.
    pub digest: BlobDigest,
    /// Bytes of it.
    pub len: u64,
}

/// The images of a store: the OCI image layout `oci/`.
#[derive(Debug)]
pub struct Images {
    layout: Directory,
    locks: Directory,
    temporary: Directory,
}

impl Images {
    pub(crate) fn open(layout: Directory, locks: Directory, temporary: Directory) -> Result<Self, Error> {
        let images = Self { layout, locks, temporary };
        if images.layout.stat(MARKER)?.is_none() {
            images.layout.replace(MARKER, MARKER_CONTENT.as_bytes())?;
        }
        Ok(images)
    }

    /// Stores an image under its name, which any other image loses, with the documents it consists of: the index if
    /// there is one, the manifest, the config, as they were received.
    ///
    /// # Errors
    /// [`Error::WrongDigest`] when a document has another digest; [`Error::Damaged`] when the list of images is; those
    /// of the file system.
    pub fn put(&self, image: &Image, documents: &[(BlobDigest, &[u8])]) -> Result<(), Error> {
        for (digest, bytes) in documents {
            self.put_document(digest, bytes)?;
        }
        self.change(|list| {
            let place = list.iter().position(|other| descriptor::name(other) == Some(&image.name));
            list.retain(|other| descriptor::name(other) != Some(&image.name));
            list.insert(place.unwrap_or(list.len()).min(list.len()), descriptor::encode(image));
            true
        })
        .map(|_| ())
    }

    /// Lists the images in the order they came. What other programs put into the layout is left out.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the list is; those of the file system.
    pub fn list(&self) -> Result<Vec<Image>, Error> {
        Ok(self.read()?.manifests.iter().filter_map(descriptor::decode).collect())
    }

    /// Finds an image by its name, or by how the hexadecimal digits of its ID, its manifest's or its index's digest
    /// begin.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::SeveralImages`]; [`Error::Damaged`] when the list is; those of the file system.
    pub fn find(&self, name: &str) -> Result<Image, Error> {
        let missing = || Error::NoSuchImage { name: name.to_owned() };
        self.find_names(name)?.pop().ok_or_else(missing)
    }

    /// Finds an image as [`Images::find`] does, under each name that fits: a digest may have several.
    ///
    /// # Errors
    /// Those of [`Images::find`].
    pub fn find_names(&self, name: &str) -> Result<Vec<Image>, Error> {
        find::names(self.list()?, name)
    }

    /// Removes the image of that name; `false` when there is none. What only it needed is removed by
    /// [`gc`](crate::gc).
    ///
    /// # Errors
    /// [`Error::Damaged`] when the list is; those of the file system.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        self.change(|list| {
            let before = list.len();
            list.retain(|image| descriptor::name(image) != Some(name));
            list.len() < before
        })
    }

    /// Reads a manifest, index or config, and verifies its digest; `None` when it is not here.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it has another digest; those of the file system.
    pub fn document(&self, digest: &BlobDigest) -> Result<Option<Vec<u8>>, Error> {
        let Some(directory) = self.blobs(digest)? else { return Ok(None) };
        let name = digest.0.hex();
        let Some(bytes) = directory.read(&name, DOCUMENT_LEN_MAX)? else { return Ok(None) };
        match crate::layers::has_digest(&bytes, &digest.0) {
            true => Ok(Some(bytes)),
            false => Err(Error::Damaged { path: directory.path_of(&name), reason: Damage::Digest }),
        }
    }

    /// Returns what the list says of every image, ours or not.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the list is, or one of ours in it.
    pub(crate) fn listed(&self) -> Result<Vec<Listed>, Error> {
        let damaged = |descriptor: &Value| Error::Damaged {
            path: self.layout.path_of(INDEX),
            reason: Damage::Image(descriptor::name(descriptor).unwrap_or_default().to_owned()),
        };
        let listed = |descriptor: &Value| match descriptor::decode(descriptor) {
            Some(image) => Ok(Listed::Image(Box::new(image))),
            None if descriptor::is_ours(descriptor) => Err(damaged(descriptor)),
            None => Ok(Listed::Other(descriptor::digests(descriptor))),
        };
        self.read()?.manifests.iter().map(listed).collect()
    }

    /// Lists the documents and other blobs that are here, and what else is beside them.
    pub(crate) fn blobs_here(&self) -> Result<Vec<Blob>, Error> {
        let mut here = Vec::new();
        let Some(blobs) = self.layout.find_subdirectory("blobs")? else { return Ok(here) };
        for algorithm in ["sha256", "sha512"] {
            let Some(directory) = blobs.find_subdirectory(algorithm)? else { continue };
            for name in directory.names()? {
                let digest = format!("{algorithm}:{name}").parse().ok();
                here.push(Blob { digest, directory: directory.clone(), name });
            }
        }
        Ok(here)
    }

    /// Lists the digests that a document names; none when it is missing, damaged, or no JSON.
    pub(crate) fn named_by(&self, digest: &BlobDigest) -> Vec<BlobDigest> {
        let bytes = self.document(digest).ok().flatten().unwrap_or_default();
        serde_json::from_slice(&bytes).map(|value| descriptor::digests(&value)).unwrap_or_default()
    }

    /// Returns the directory of the layout.
    pub(crate) fn layout(&self) -> &Directory {
        &self.layout
    }

    fn blobs(&self, digest: &BlobDigest) -> Result<Option<Directory>, Error> {
        match self.layout.find_subdirectory("blobs")? {
            Some(blobs) => blobs.find_subdirectory(digest.0.algorithm()),
            None => Ok(None),
        }
    }

    fn put_document(&self, digest: &BlobDigest, bytes: &[u8]) -> Result<(), Error> {
        if !crate::layers::has_digest(bytes, &digest.0) {
            return Err(Error::WrongDigest { what: "document", expected: digest.to_string() });
        }
        // One that is damaged is written anew.
        if matches!(self.document(digest), Ok(Some(_))) {
            return Ok(());
        }
        let blobs = self.layout.subdirectory("blobs")?;
        let directory = blobs.subdirectory(digest.0.algorithm())?;
        blobs.sync()?;
        let name = digest.0.hex();
        let failed = || at_path("write", directory.path_of(&name));
        let mut staged = Staged::new(&directory, &self.temporary, 0o644).map_err(failed())?;
        staged.write_all(bytes).map_err(failed())?;
        staged.file().sync_data().map_err(failed())?;
        staged.replace(&directory, &name).map_err(failed())?;
        directory.sync()
    }

    /// Changes the list under its lock; nothing is written when `change` returns `false`.
    fn change(&self, change: impl FnOnce(&mut Vec<Value>) -> bool) -> Result<bool, Error> {
        let _lock = lock::exclusive(&self.locks, LOCK)?;
        let mut list = self.read()?;
        if !change(&mut list.manifests) {
            return Ok(false);
        }
        let path = self.layout.path_of(INDEX);
        let bytes = serde_json::to_vec(&list).map_err(bad_json(&path))?;
        if bytes.len() as u64 > INDEX_LEN_MAX {
            return Err(Error::TooLong { path, limit: INDEX_LEN_MAX });
        }
        self.layout.replace(INDEX, &bytes)?;
        Ok(true)
    }

    fn read(&self) -> Result<List, Error> {
        match self.layout.read(INDEX, INDEX_LEN_MAX)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(bad_json(&self.layout.path_of(INDEX))),
            None => Ok(List::empty()),
        }
    }
}

/// An entry of the list of images.
#[derive(Debug)]
pub(crate) enum Listed {
    /// One of ours.
    Image(Box<Image>),
    /// One that another program put there, by the digests it names.
    Other(Vec<BlobDigest>),
}

/// A blob of the layout.
#[derive(Debug)]
pub(crate) struct Blob {
    /// Its digest; `None` when its name is none.
    pub(crate) digest: Option<BlobDigest>,
    pub(crate) directory: Directory,
    pub(crate) name: String,
}

/// The list of images, with all that others may have put there.
#[derive(Debug, Serialize, Deserialize)]
struct List {
    #[serde(default)]
    manifests: Vec<Value>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl List {
    fn empty() -> Self {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let other =
            [("schemaVersion".to_owned(), Value::from(2)), ("mediaType".to_owned(), Value::from(media_type))];
        Self { manifests: Vec::new(), other: other.into_iter().collect() }
    }
}
