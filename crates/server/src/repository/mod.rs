//! One repository: an OCI image layout, whose list is kept in mind as long as nobody changes it.

mod contents;
mod delete;
mod listing;
mod push;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chunked::BlobDigest;
use registry::directory::Directory;
use registry::image::DOCUMENT_LEN_MAX;
use registry::layout::{self, INDEX, blob_name};
use registry::staged::Staged;
use registry::{Descriptor, Document, Index};

use crate::error::{Error, at_path};
use crate::verified::{Stamp, Verified};

pub(crate) use contents::{Absent, CHILDREN_MAX, Contents, Summary};
pub(crate) use delete::BlobDeletion;
pub(crate) use push::{Missing, Part, Push, blobs, children};

/// What was read of a layout last; all that open it share it.
pub(crate) type Cache = Mutex<Option<(Stamp, Arc<Contents>)>>;

/// A layout that is served.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    directory: Directory,
    cache: Arc<Cache>,
    verified: Arc<Verified>,
}

/// A blob that was found to be what its name says.
#[derive(Debug)]
pub(crate) struct StoredBlob {
    /// Its bytes.
    pub(crate) file: File,
    /// How many there are.
    pub(crate) len: u64,
}

impl Repository {
    /// Takes the layout in `directory`.
    pub(crate) fn new(directory: Directory, cache: Arc<Cache>, verified: Arc<Verified>) -> Self {
        Self { directory, cache, verified }
    }

    /// Returns the layout.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Lists the blobs by the names of their files, in no order.
    pub(crate) fn stored(&self) -> Result<Vec<BlobDigest>, Error> {
        let mut digests = Vec::new();
        let Some(blobs) = self.directory.find_subdirectory(layout::BLOBS)? else { return Ok(digests) };
        for algorithm in blobs.names()? {
            if let Some(directory) = blobs.find_subdirectory(&algorithm)? {
                let names = directory.names()?.into_iter();
                digests
                    .extend(names.filter_map(|hex| format!("{algorithm}:{hex}").parse::<BlobDigest>().ok()));
            }
        }
        Ok(digests)
    }

    /// Opens the file of a blob, whatever is in it, and says where it is; `None` when there is none.
    pub(crate) fn open(&self, digest: &BlobDigest) -> Result<Option<(File, PathBuf)>, Error> {
        let file = self.directory.open_file(&blob_name(digest))?;
        Ok(file.map(|file| (file, self.path_of(digest))))
    }

    /// Removes a blob for good.
    pub(crate) fn remove(&self, digest: &BlobDigest) -> Result<(), Error> {
        let directory = self.directory_of(digest)?;
        directory.remove(&digest.0.hex())?;
        Ok(directory.sync()?)
    }

    /// Opens a blob; `None` when it is not there, or not what its name says.
    pub(crate) fn blob(&self, digest: &BlobDigest) -> Result<Option<StoredBlob>, Error> {
        let Some((file, path)) = self.open(digest)? else { return Ok(None) };
        if !self.verified.check(&file, digest).map_err(at_path("read", &path))? {
            return Ok(None);
        }
        let len = file.metadata().map_err(at_path("examine", &path))?.len();
        Ok(Some(StoredBlob { file, len }))
    }

    /// Tells whether there is a blob of that digest and length, without reading it.
    fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let Some((file, path)) = self.open(&descriptor.digest)? else { return Ok(false) };
        Ok(file.metadata().map_err(at_path("examine", &path))?.len() == descriptor.len)
    }

    /// Gives a blob its name, once it is safe from a power loss. The caller has verified its digest.
    pub(crate) fn publish(&self, staged: Staged, digest: &BlobDigest) -> Result<(), Error> {
        let path = self.path_of(digest);
        let file = staged.file().try_clone().map_err(at_path("write", &path))?;
        let directory = self.directory_of(digest)?;
        staged.publish(&directory, &digest.0.hex()).map_err(at_path("write", &path))?;
        directory.sync()?;
        self.verified.remember(&file, digest).map_err(at_path("examine", &path))
    }

    /// Takes a blob of another repository, without copying it; `false` when there is none.
    pub(crate) fn mount(&self, other: &Self, digest: &BlobDigest) -> Result<bool, Error> {
        if other.blob(digest)?.is_none() {
            return Ok(false);
        }
        let (from, to) = (other.directory_of(digest)?, self.directory_of(digest)?);
        if self.blob(digest)?.is_none() {
            // What has the name is damaged.
            to.remove(&digest.0.hex())?;
        }
        match from.link(&digest.0.hex(), &to) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            // A file can have so many names only, or one: then the client sends the bytes.
            Err(registry::Error::Io { source, .. }) if is_refused_link(&source) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        to.sync()?;
        if let Some(file) = to.open_file(&digest.0.hex())? {
            // The link changed nothing but the count of names.
            self.verified.remember(&file, digest).map_err(at_path("examine", &self.path_of(digest)))?;
        }
        Ok(true)
    }

    /// Returns what the repository holds now.
    pub(crate) fn contents(&self) -> Result<Arc<Contents>, Error> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp()?;
        match &*cache {
            Some((of, contents)) if *of == stamp => Ok(Arc::clone(contents)),
            known => {
                let index = layout::index_of(&self.directory)?.unwrap_or_else(|| Index::of(vec![]));
                let known = known.as_ref().map(|(_, contents)| &**contents);
                let contents = Arc::new(self.load(index, known)?);
                *cache = Some((stamp, Arc::clone(&contents)));
                Ok(contents)
            }
        }
    }

    /// Reads a manifest or index; `None` when it is not there, or not what its digest says.
    pub(crate) fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, Error> {
        let Some((file, path)) = self.open(&descriptor.digest)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let limit = DOCUMENT_LEN_MAX.saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).map_err(at_path("read", &path))?;
        Ok(Document::parse(descriptor, bytes).ok())
    }

    /// Follows a list; what is known already is not read again.
    fn load(&self, index: Index, known: Option<&Contents>) -> Result<Contents, Error> {
        let read = |descriptor: &Descriptor| {
            let summary = known.and_then(|known| known.node(&descriptor.digest)?.summary.clone());
            match summary {
                Some(summary) => Ok(Some(summary)),
                None => Ok(self.document(descriptor)?.map(|document| Arc::new(Summary::of(&document)))),
            }
        };
        let too_many = |limit| Error::TooManyManifests { path: self.directory.path().to_owned(), limit };
        Contents::load(index, read, too_many)
    }

    /// Writes the list, if it is another one than before. The caller holds the lock.
    fn write_index(&self, index: &Index, before: &Contents) -> Result<(), Error> {
        if *index != before.index {
            let bytes = layout::encode_index(index, self.directory.path())?;
            self.directory.replace(INDEX, &bytes)?;
            self.directory.sync()?;
        }
        Ok(())
    }

    /// Remembers what the list leads to now; what is known already is not read again. The caller holds the lock.
    fn remember(&self, index: Index, known: Option<&Contents>) -> Result<(), Error> {
        self.keep(self.load(index, known)?)
    }

    fn keep(&self, contents: Contents) -> Result<(), Error> {
        let contents = Arc::new(contents);
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.stamp()?, contents));
        Ok(())
    }

    /// Tells the list as it is now from every other.
    fn stamp(&self) -> Result<Stamp, Error> {
        let path = || self.directory.path().join(INDEX);
        let file = self.directory.open_file(INDEX)?;
        let file = file.ok_or_else(|| at_path("open", &path())(io::Error::from(io::ErrorKind::NotFound)))?;
        Stamp::of(&file).map_err(at_path("examine", &path()))
    }

    fn directory_of(&self, digest: &BlobDigest) -> Result<Directory, Error> {
        let blobs = self.directory.subdirectory(layout::BLOBS)?;
        Ok(blobs.subdirectory(digest.0.algorithm())?)
    }

    fn path_of(&self, digest: &BlobDigest) -> PathBuf {
        self.directory.path().join(blob_name(digest))
    }
}

fn is_refused_link(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
}
