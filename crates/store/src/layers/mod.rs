//! The layers of a store: their TOC and tar-split as they were fetched, and what is known of them.

mod links;
mod record;
mod write;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use chunked::digest::TarSplitDigest;
use chunked::input::Input;
use chunked::toc::{self, Toc, Trailer};
use chunked::verifying::Verifying;
use chunked::{BlobDigest, Class, DiffId, Digest, Entry, Limits, TocDigest};

use self::links::Links;
use self::record::Stored;
pub use self::record::{LayerRecord, LayerState, Origin};
use crate::directory::Directory;
use crate::durability::Durability;
use crate::error::{Damage, Error, bad_json};
use crate::lock;

const RECORD: &str = "record.json";
const TOC: &str = "toc";
const TAR_SPLIT: &str = "tar-split";

/// Longest record in bytes; one has some 800.
const RECORD_LEN_MAX: u64 = 64 << 10;

/// The layers of a store: `layers/<hex of the TOC digest>/`.
#[derive(Debug)]
pub struct Layers {
    directory: Directory,
    links: Links,
    locks: Directory,
    temporary: Directory,
    durability: Arc<Durability>,
    limits: Limits,
}

impl Layers {
    pub(crate) fn open(
        directory: Directory,
        locks: Directory,
        temporary: Directory,
        durability: Arc<Durability>,
    ) -> Result<Self, Error> {
        let links = Links::open(&directory, temporary.clone())?;
        Ok(Self { directory, links, locks, temporary, durability, limits: Limits::default() })
    }

    /// Waits until no one else works on the layer in that blob, in this process or another.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn lock(&self, blob: &BlobDigest) -> Result<LayerLock, Error> {
        lock::exclusive(&self.locks, &blob.0.hex()).map(|file| LayerLock { _file: file })
    }

    /// Does what [`Layers::lock`] does if that takes no waiting; `None` otherwise.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn try_lock(&self, blob: &BlobDigest) -> Result<Option<LayerLock>, Error> {
        let file = lock::try_exclusive(&self.locks, &blob.0.hex())?;
        Ok(file.map(|file| LayerLock { _file: file }))
    }

    /// Finds the layer that was last said to be in a blob. That vouches for nothing: who pulls a part of a blob does
    /// not hash all of it, so a registry can claim anything to be part of anyone's blob.
    ///
    /// # Errors
    /// [`Error::Damaged`] when its record is; those of the file system.
    pub fn find(&self, blob: &BlobDigest) -> Result<Option<LayerRecord>, Error> {
        match self.links.of_blob(blob)? {
            Some(toc_digest) => self.get(&toc_digest),
            None => Ok(None),
        }
    }

    /// Finds a layer that is proven to have that tar, however it is compressed.
    ///
    /// # Errors
    /// [`Error::Damaged`] when its record is; those of the file system.
    pub fn find_diff_id(&self, diff_id: &DiffId) -> Result<Option<LayerRecord>, Error> {
        let Some(toc_digest) = self.links.of_diff_id(diff_id)? else { return Ok(None) };
        let is_proven =
            |record: &LayerRecord| record.state == LayerState::Proven && record.diff_id == Some(*diff_id);
        Ok(self.get(&toc_digest)?.filter(is_proven))
    }

    /// Returns the layer with that TOC.
    ///
    /// # Errors
    /// [`Error::Damaged`] when its record is; those of the file system.
    pub fn get(&self, toc_digest: &TocDigest) -> Result<Option<LayerRecord>, Error> {
        let Some(directory) = self.directory.find_subdirectory(&toc_digest.0.hex())? else {
            return Ok(None);
        };
        Ok(self.stored(&directory, toc_digest)?.map(|stored| stored.layer))
    }

    /// Lists the TOC digests of all layers, in order.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn list(&self) -> Result<Vec<TocDigest>, Error> {
        let mut digests: Vec<_> =
            self.directory.names()?.iter().filter_map(|name| digest_named(name)).map(TocDigest).collect();
        digests.sort_unstable();
        Ok(digests)
    }

    /// Stores a layer: its record, its TOC as it was fetched, and its tar-split, compressed. What was stored with the
    /// same TOC before is replaced.
    ///
    /// # Errors
    /// [`Error::WrongDigest`] when `toc` does not have the digest in the record; those of the file system.
    pub fn save(&self, record: &LayerRecord, toc: &[u8], tar_split: Option<&[u8]>) -> Result<(), Error> {
        if !has_digest(toc, &record.toc_digest.0) {
            let expected = record.toc_digest.to_string();
            return Err(Error::WrongDigest { what: "TOC", expected });
        }
        let stored = Stored::new(record.clone(), tar_split.map(TarSplitDigest::of));
        let _writing = self.durability.writing()?;
        let json = stored.to_json(&self.directory.path_of(RECORD))?;
        let mut files = vec![(RECORD, json.as_slice()), (TOC, toc)];
        files.extend(tar_split.map(|tar_split| (TAR_SPLIT, tar_split)));
        let staged = write::stage(&self.temporary, &files)?;
        write::publish(&self.temporary, &staged, &self.directory, &record.toc_digest.0.hex())?;
        self.links.set(record)
    }

    /// Writes a record anew: its state, or what was learned about the layer. Its TOC and tar-split stay.
    ///
    /// # Errors
    /// [`Error::Damaged`] when there is no such layer; those of the file system.
    pub fn update(&self, record: &LayerRecord) -> Result<(), Error> {
        let name = record.toc_digest.0.hex();
        let lacks = || Error::Damaged {
            path: self.directory.path_of(&name),
            reason: Damage::Lacks("record of the layer"),
        };
        let directory = self.directory.find_subdirectory(&name)?.ok_or_else(lacks)?;
        let stored = self.stored(&directory, &record.toc_digest)?.ok_or_else(lacks)?;
        directory.replace(RECORD, &Stored { layer: record.clone(), ..stored }.to_json(directory.path())?)?;
        self.links.set(record)
    }

    /// Writes down that a layer has reached a state. Content must be synced before it is called complete:
    /// [`Store::sync`](crate::Store::sync).
    ///
    /// # Errors
    /// Those of [`Layers::update`].
    pub fn set_state(&self, record: &LayerRecord, state: LayerState) -> Result<LayerRecord, Error> {
        let record = LayerRecord { state, ..record.clone() };
        self.update(&record)?;
        Ok(record)
    }

    /// Reads the TOC of a layer, and verifies its digest.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is missing or has another digest; [`Error::Toc`] when it cannot be parsed; those of
    /// the file system.
    pub fn toc(&self, record: &LayerRecord) -> Result<Toc, Error> {
        let mut entries = Vec::new();
        let trailer = self.visit_toc(record, |entry| entries.push(entry))?;
        Ok(Toc { entries, trailer })
    }

    /// Reads the TOC of a layer, verifies its digest, and gives its entries to `visitor`, in order. An error may come
    /// after entries were given out.
    ///
    /// # Errors
    /// Those of [`Layers::toc`].
    pub fn visit_toc(&self, record: &LayerRecord, visitor: impl FnMut(Entry)) -> Result<Trailer, Error> {
        let bytes = self.toc_bytes(record)?;
        let failed =
            |source| Error::Toc { toc_digest: Box::new(record.toc_digest), source: Box::new(source) };
        let read = |source| failed(chunked::Error::Read { what: "the TOC", source });
        let json = Input::open(bytes.as_slice(), |_| {}).map_err(read)?;
        let visited = match record.origin {
            Origin::Chunked => toc::visit(json, record.payload_len, &self.limits, visitor),
            Origin::IndexedPlain => toc::visit_unplaced(json, &self.limits, visitor),
        };
        visited.map_err(failed)
    }

    /// Returns the TOC of a layer as it was fetched, and verifies its digest.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is missing or has another digest; those of the file system.
    pub fn toc_bytes(&self, record: &LayerRecord) -> Result<Vec<u8>, Error> {
        let directory = self.directory_of(record)?;
        self.document(&directory, TOC, &record.toc_digest.0, self.limits.toc_blob_len)
    }

    /// Returns the tar-split of a layer as it was fetched, compressed, and verifies its digest; `None` when the layer
    /// has none.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is missing or has another digest; those of the file system.
    pub fn tar_split(&self, record: &LayerRecord) -> Result<Option<Vec<u8>>, Error> {
        let directory = self.directory_of(record)?;
        let stored = self.stored(&directory, &record.toc_digest)?;
        let Some(digest) = stored.and_then(|stored| stored.tar_split) else { return Ok(None) };
        self.document(&directory, TAR_SPLIT, &digest.0, self.limits.tar_split_blob_len).map(Some)
    }

    /// Tells whether there is a layer of that name, without reading it.
    pub(crate) fn has(&self, toc_digest: &TocDigest) -> Result<bool, Error> {
        Ok(self.directory.find_subdirectory(&toc_digest.0.hex())?.is_some())
    }

    /// Returns when the record of a layer was written, in seconds since 1970; `None` when it has none.
    pub(crate) fn changed(&self, toc_digest: &TocDigest) -> Result<Option<i64>, Error> {
        let Some(directory) = self.directory.find_subdirectory(&toc_digest.0.hex())? else {
            return Ok(None);
        };
        Ok(directory.stat(RECORD)?.map(|stat| stat.st_ctime))
    }

    /// Counts the bytes of a layer's own files.
    pub(crate) fn metadata_len(&self, toc_digest: &TocDigest) -> Result<u64, Error> {
        let Some(directory) = self.directory.find_subdirectory(&toc_digest.0.hex())? else { return Ok(0) };
        let mut sum = 0_u64;
        for name in [RECORD, TOC, TAR_SPLIT] {
            let len = directory.stat(name)?.and_then(|stat| u64::try_from(stat.st_size).ok());
            sum = sum.saturating_add(len.unwrap_or(0));
        }
        Ok(sum)
    }

    /// Removes a layer, all of it or nothing; `false` when there is none.
    pub(crate) fn remove(&self, toc_digest: &TocDigest) -> Result<bool, Error> {
        write::remove(&self.temporary, &self.directory, &toc_digest.0.hex())
    }

    /// Lists the files that lead to layers other than these, or nowhere.
    pub(crate) fn stray_links(&self, kept: &BTreeSet<TocDigest>) -> Result<Vec<(Directory, String)>, Error> {
        self.links.stray(kept)
    }

    /// Lists what has no business in the directories of these layers.
    pub(crate) fn stray_files(&self, kept: &BTreeSet<TocDigest>) -> Result<Vec<(Directory, String)>, Error> {
        let mut stray = Vec::new();
        for toc_digest in kept {
            let Some(directory) = self.directory.find_subdirectory(&toc_digest.0.hex())? else { continue };
            let is_ours = |name: &String| [RECORD, TOC, TAR_SPLIT].contains(&name.as_str());
            let names = directory.names()?.into_iter().filter(|name| !is_ours(name));
            stray.extend(names.map(|name| (directory.clone(), name)));
        }
        Ok(stray)
    }

    /// Lists the files that layers are locked by.
    pub(crate) fn lock_files(&self) -> Result<Vec<(Directory, String)>, Error> {
        let names = self.locks.names()?.into_iter().filter(|name| digest_named(name).is_some());
        Ok(names.map(|name| (self.locks.clone(), name)).collect())
    }

    fn document(
        &self,
        directory: &Directory,
        name: &'static str,
        digest: &Digest,
        limit: u64,
    ) -> Result<Vec<u8>, Error> {
        let damaged = |reason| Error::Damaged { path: directory.path_of(name), reason };
        let bytes = directory.read(name, limit)?.ok_or_else(|| damaged(Damage::Lacks("content")))?;
        if has_digest(&bytes, digest) { Ok(bytes) } else { Err(damaged(Damage::Digest)) }
    }

    fn directory_of(&self, record: &LayerRecord) -> Result<Directory, Error> {
        let name = record.toc_digest.0.hex();
        let lacks =
            || Error::Damaged { path: self.directory.path_of(&name), reason: Damage::Lacks("directory") };
        self.directory.find_subdirectory(&name)?.ok_or_else(lacks)
    }

    fn stored(&self, directory: &Directory, toc_digest: &TocDigest) -> Result<Option<Stored>, Error> {
        let Some(json) = directory.read(RECORD, RECORD_LEN_MAX)? else { return Ok(None) };
        let path = directory.path_of(RECORD);
        let stored: Stored = serde_json::from_slice(&json).map_err(bad_json(&path))?;
        match stored.layer.toc_digest == *toc_digest {
            true => Ok(Some(stored)),
            false => Err(Error::Damaged { path, reason: Damage::Misnamed }),
        }
    }
}

/// The right to work on a layer. Held until it is dropped.
#[derive(Debug)]
pub struct LayerLock {
    _file: File,
}

/// Takes a layer that is damaged for none: it can be fetched again.
pub(crate) fn if_sound(found: Result<Option<LayerRecord>, Error>) -> Result<Option<LayerRecord>, Error> {
    match found {
        Err(error) if error.class() == Class::Corrupt => Ok(None),
        found => found,
    }
}

/// Reads the digest that a directory is named by.
fn digest_named(name: &str) -> Option<Digest> {
    let algorithm = if name.len() == 64 { "sha256" } else { "sha512" };
    format!("{algorithm}:{name}").parse().ok()
}

pub(crate) fn has_digest(bytes: &[u8], digest: &Digest) -> bool {
    let mut verifying = Verifying::new(bytes, *digest, bytes.len() as u64);
    io::copy(&mut verifying.by_ref(), &mut io::sink()).is_ok()
}
