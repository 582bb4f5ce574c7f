//! The layers of a store: their TOC and tar-split as they were fetched, and what is known of them.

mod record;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::str::FromStr;
use std::sync::Arc;

use chunked::digest::TarSplitDigest;
use chunked::input::Input;
use chunked::toc::{self, Toc, Trailer};
use chunked::verifying::Verifying;
use chunked::{BlobDigest, DiffId, Digest, Entry, Limits, TocDigest};
use rustix::fs::{RenameFlags, mkdirat, renameat, renameat_with};

use self::record::Stored;
pub use self::record::{LayerRecord, LayerState, Origin};
use crate::directory::Directory;
use crate::durability::Durability;
use crate::error::{Damage, Error, at_path, bad_json};
use crate::lock;
use crate::staged::{Staged, with_free_name};

const RECORD: &str = "record.json";
const TOC: &str = "toc";
const TAR_SPLIT: &str = "tar-split";
const BY_BLOB: &str = "by-blob";
const BY_DIFF_ID: &str = "by-diff-id";

/// Longest record in bytes; one has some 800.
const RECORD_LEN_MAX: u64 = 64 << 10;
/// Longest file that leads to a layer, in bytes: a SHA-512 digest and a newline.
const LINK_LEN_MAX: u64 = 136;

/// The layers of a store: `layers/<hex of the TOC digest>/`.
#[derive(Debug)]
pub struct Layers {
    directory: Directory,
    by_blob: Directory,
    by_diff_id: Directory,
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
        let by_blob = directory.subdirectory(BY_BLOB)?;
        let by_diff_id = directory.subdirectory(BY_DIFF_ID)?;
        let limits = Limits::default();
        Ok(Self { directory, by_blob, by_diff_id, locks, temporary, durability, limits })
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

    /// Finds the layer that a blob holds.
    ///
    /// # Errors
    /// [`Error::Damaged`] when its record is; those of the file system.
    pub fn find(&self, blob: &BlobDigest) -> Result<Option<LayerRecord>, Error> {
        match self.link(&self.by_blob, &blob.0)? {
            Some(toc_digest) => self.get(&toc_digest),
            None => Ok(None),
        }
    }

    /// Finds a layer with that tar, however it is compressed.
    ///
    /// # Errors
    /// [`Error::Damaged`] when its record is; those of the file system.
    pub fn find_diff_id(&self, diff_id: &DiffId) -> Result<Option<LayerRecord>, Error> {
        let Some(toc_digest) = self.link(&self.by_diff_id, &diff_id.0)? else { return Ok(None) };
        // Only the record says what was proven.
        Ok(self.get(&toc_digest)?.filter(|record| record.diff_id == Some(*diff_id)))
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

    /// Stores a layer: its record, its TOC as it was fetched, and its tar-split, compressed. What was stored with the same
    /// TOC before is replaced.
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
        let name = self.stage(&stored, toc, tar_split)?;
        self.publish(&name, &record.toc_digest.0.hex())?;
        self.link_to(record)
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
        self.link_to(record)
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
    /// [`Error::Damaged`] when it is missing or has another digest; [`Error::Toc`] when it cannot be parsed; those of the file
    /// system.
    pub fn toc(&self, record: &LayerRecord) -> Result<Toc, Error> {
        let mut entries = Vec::new();
        let trailer = self.visit_toc(record, |entry| entries.push(entry))?;
        Ok(Toc { entries, trailer })
    }

    /// Reads the TOC of a layer, verifies its digest, and gives its entries to `visitor`, in order. An error may come after
    /// entries were given out.
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

    /// Returns the tar-split of a layer as it was fetched, compressed, and verifies its digest; `None` when the layer has
    /// none.
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

    /// Removes a layer; `false` when there is none. For a moment its directory has a temporary name, so that a crash leaves
    /// all or nothing of it.
    pub(crate) fn remove(&self, toc_digest: &TocDigest) -> Result<bool, Error> {
        let name = toc_digest.0.hex();
        let rename = |temporary: &str| renameat(&self.directory, name.as_str(), &self.temporary, temporary);
        match with_free_name(rename) {
            Ok((temporary, ())) => self.temporary.remove_any(&temporary),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(at_path("remove", self.directory.path_of(&name))(error)),
        }
    }

    /// Lists the files that lead to layers other than these, and what else has no business beside them.
    pub(crate) fn stray(&self, kept: &BTreeSet<TocDigest>) -> Result<Vec<(Directory, String)>, Error> {
        let mut stray = Vec::new();
        for directory in [&self.by_blob, &self.by_diff_id] {
            for name in directory.names()? {
                let target = match digest_named(&name) {
                    Some(digest) => self.link(directory, &digest)?,
                    None => None,
                };
                if target.is_none_or(|target| !kept.contains(&target)) {
                    stray.push((directory.clone(), name));
                }
            }
        }
        for toc_digest in kept {
            if let Some(directory) = self.directory.find_subdirectory(&toc_digest.0.hex())? {
                let is_ours = |name: &String| [RECORD, TOC, TAR_SPLIT].contains(&name.as_str());
                let names = directory.names()?.into_iter().filter(|name| !is_ours(name));
                stray.extend(names.map(|name| (directory.clone(), name)));
            }
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

    /// Writes the files of a layer into a directory with a temporary name.
    fn stage(&self, stored: &Stored, toc: &[u8], tar_split: Option<&[u8]>) -> Result<String, Error> {
        let make = |name: &str| mkdirat(&self.temporary, name, rustix::fs::Mode::from_raw_mode(0o755));
        let (name, ()) =
            with_free_name(make).map_err(at_path("create a directory in", self.temporary.path()))?;
        let directory = self.temporary.subdirectory(&name)?;
        let record = stored.to_json(directory.path())?;
        let files = [(RECORD, Some(record.as_slice())), (TOC, Some(toc)), (TAR_SPLIT, tar_split)];
        for (file, bytes) in files {
            let Some(bytes) = bytes else { continue };
            let failed = || at_path("write", directory.path_of(file));
            let mut staged = Staged::new(&directory, &directory, 0o644).map_err(failed())?;
            staged.write_all(bytes).map_err(failed())?;
            staged.publish_new(&directory, file).map_err(failed())?;
        }
        Ok(name)
    }

    /// Gives a staged directory its name, in place of one that has it.
    fn publish(&self, staged: &str, name: &str) -> Result<(), Error> {
        if self.temporary.rename_new(staged, &self.directory, name)? {
            return Ok(());
        }
        let exchanged = renameat_with(&self.temporary, staged, &self.directory, name, RenameFlags::EXCHANGE);
        if exchanged.is_err() {
            // A file system that cannot exchange: for a moment there is no layer of that name.
            self.directory.remove_directory(name)?;
            self.temporary.rename_new(staged, &self.directory, name)?;
        }
        self.temporary.remove_directory(staged).map(|_| ())
    }

    /// Makes the layer be found. What leads to a layer that is not there leads nowhere, so the order does not matter.
    fn link_to(&self, record: &LayerRecord) -> Result<(), Error> {
        let content = format!("{}\n", record.toc_digest);
        let links = [
            (&self.by_blob, Some(record.blob.0)),
            (&self.by_diff_id, record.diff_id.map(|diff_id| diff_id.0)),
        ];
        for (directory, digest) in links {
            let Some(digest) = digest else { continue };
            if self.link(directory, &digest)? == Some(record.toc_digest) {
                continue;
            }
            let failed = || at_path("write", directory.path_of(&digest.hex()));
            let mut staged = Staged::new(directory, &self.temporary, 0o644).map_err(failed())?;
            staged.write_all(content.as_bytes()).map_err(failed())?;
            staged.replace(directory, &digest.hex()).map_err(failed())?;
        }
        Ok(())
    }

    /// Reads where a file leads; what it says may be anything, and then it leads nowhere.
    fn link(&self, directory: &Directory, digest: &Digest) -> Result<Option<TocDigest>, Error> {
        let bytes = match directory.read(&digest.hex(), LINK_LEN_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) | Err(Error::TooLong { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8(bytes).unwrap_or_default();
        Ok(TocDigest::from_str(text.trim_end()).ok())
    }
}

/// The right to work on a layer. Held until it is dropped.
#[derive(Debug)]
pub struct LayerLock {
    _file: File,
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
