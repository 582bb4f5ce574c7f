//! File content in progress, chunk by chunk. It survives the end of the process.

mod map;

use std::fs::{File, Permissions};
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chunked::digest::Hasher;
use chunked::{Chunk, ChunkKind, ContentDigest, Digest, FileRange};
use rustix::fs::Stat;

use self::map::{Layout, Map};
use crate::directory::Directory;
use crate::durability::Durability;
use crate::error::{Error, at_path};
use crate::lock;
use crate::objects::{self, Objects};

/// End of the name of a map.
pub(crate) const MAP: &str = ".map";

/// Bytes hashed at a time.
const PIECE_LEN: usize = 256 << 10;

/// The partial files of a store: `partial/<hex>`, each with its map.
#[derive(Debug)]
pub struct Partials {
    directory: Directory,
    objects: Arc<Objects>,
    durability: Arc<Durability>,
}

impl Partials {
    pub(crate) fn new(directory: Directory, objects: Arc<Objects>, durability: Arc<Durability>) -> Self {
        Self { directory, objects, durability }
    }

    /// Tells whether there are none at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.directory.names()?.is_empty())
    }

    /// Opens the partial file of some content as [`Partials::open`] does, if there is one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn find(&self, digest: &ContentDigest, chunks: &[Chunk]) -> Result<Option<Partial<'_>>, Error> {
        match self.directory.stat(&map_name(digest))? {
            Some(_) => self.open(digest, chunks),
            None => Ok(None),
        }
    }

    /// Tells which chunks of some content are said to be here; `None` when nothing of it is. Changes nothing, and does
    /// not wait for who has the file open: they may bring more at any time.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn marks(&self, digest: &ContentDigest, chunks: &[Chunk]) -> Result<Option<Vec<bool>>, Error> {
        let map_name = map_name(digest);
        let Some(file) = self.directory.open_file(&map_name)? else { return Ok(None) };
        let marks = Map::new(file).read(&Layout::of(chunks), self.durability.boot());
        let marks = marks.map_err(at_path("read", self.directory.path_of(&map_name)))?;
        Ok(marks.map(|marks| marks.here))
    }

    /// Opens the partial file of some content that consists of `chunks`, as a TOC lists them; makes it if it is not
    /// there.
    ///
    /// What was written earlier of the same chunks is kept. Another thread or process that has it open is waited for;
    /// `None` when the content is an object by then, and nothing is left to do.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(&self, digest: &ContentDigest, chunks: &[Chunk]) -> Result<Option<Partial<'_>>, Error> {
        self.open_locked(lock::exclusive(&self.directory, &map_name(digest))?, digest, chunks)
    }

    /// Does what [`Partials::open`] does if that takes no waiting. Whoever has the file open may be somebody who fetches it
    /// from a host that is slow, or hostile, and keeps it for as long as that takes.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn try_open(&self, digest: &ContentDigest, chunks: &[Chunk]) -> Result<Opened<'_>, Error> {
        match lock::try_exclusive(&self.directory, &map_name(digest))? {
            Some(map) => Ok(self.open_locked(map, digest, chunks)?.map_or(Opened::Object, Opened::Partial)),
            None => Ok(Opened::Taken),
        }
    }

    fn open_locked(
        &self,
        map: File,
        digest: &ContentDigest,
        chunks: &[Chunk],
    ) -> Result<Option<Partial<'_>>, Error> {
        let (name, map_name) = (Digest::Sha256(digest.0).hex(), map_name(digest));
        let map = Map::new(map);
        // Not before: whoever has the partial may be waiting for a sync, which waits for those who write.
        let _writing = self.durability.writing()?;
        if self.objects.len_of(digest)?.is_some() {
            self.directory.remove(&name)?;
            self.directory.remove(&map_name)?;
            return Ok(None);
        }
        let file = self.directory.open_or_create(&name)?;
        let partial = Partial {
            partials: self,
            digest: *digest,
            name,
            file,
            map,
            chunks: chunks.iter().map(|chunk| chunk.file).collect(),
            here: Vec::new(),
        };
        partial.resume(chunks).map(Some)
    }

    /// Lists the partial files by name; a map without its file is one as well. `None` for what is named by no digest.
    pub(crate) fn list(&self) -> Result<Vec<(Option<ContentDigest>, String)>, Error> {
        let names = self.directory.names()?;
        let mut names: Vec<_> =
            names.iter().map(|name| name.strip_suffix(MAP).unwrap_or(name).to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().map(|name| (format!("sha256:{name}").parse().ok(), name)).collect())
    }

    /// Examines a partial file.
    pub(crate) fn stat(&self, name: &str) -> Result<Option<Stat>, Error> {
        self.directory.stat(name)
    }

    /// Removes a partial file and its map.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        self.directory.remove_any(name)?;
        self.directory.remove_any(&format!("{name}{MAP}"))?;
        Ok(())
    }
}

/// What came of opening a partial file without waiting.
#[derive(Debug)]
pub enum Opened<'a> {
    /// It is open.
    Partial(Partial<'a>),
    /// The content is an object by now, and nothing is left to do.
    Object,
    /// Another thread or process has it open.
    Taken,
}

fn map_name(digest: &ContentDigest) -> String {
    format!("{}{MAP}", Digest::Sha256(digest.0).hex())
}

/// A file of which some chunks are here. Dropped, it stays on disk for the next run.
///
/// Only one thread of one process has it at a time, but it may be shared by reference: chunks are written by several
/// threads.
#[derive(Debug)]
pub struct Partial<'a> {
    partials: &'a Partials,
    digest: ContentDigest,
    name: String,
    file: File,
    map: Map,
    chunks: Vec<FileRange>,
    here: Vec<AtomicBool>,
}

impl Partial<'_> {
    /// Takes over what an earlier run left, as far as it can be relied on.
    fn resume(mut self, chunks: &[Chunk]) -> Result<Self, Error> {
        let failed = || at_path("read", self.partials.directory.path_of(&self.name));
        let boot = self.partials.durability.boot();
        let layout = Layout::of(chunks);
        let len = self.chunks.last().map_or(0, FileRange::end);
        let marks = self.map.read(&layout, boot).map_err(failed())?;
        let found_len = self.file.metadata().map_err(failed())?.len();
        let has_len = found_len == len;
        let mut here = match marks {
            Some(marks) if has_len && marks.is_of_this_boot => {
                self.here = marks.here.into_iter().map(AtomicBool::new).collect();
                return Ok(self);
            }
            // A power loss may have kept a mark and lost what it stands for.
            Some(marks) if has_len => self.verified(chunks, &marks.here).map_err(failed())?,
            _ => {
                // A file that was cut to nothing is written to the disk when it is closed, so that what is empty stays as it is.
                if found_len > 0 {
                    self.file.set_len(0).map_err(failed())?;
                }
                vec![false; chunks.len()]
            }
        };
        self.file.set_len(len).map_err(failed())?;
        for (here, chunk) in here.iter_mut().zip(chunks) {
            // No one writes there, so it is a hole.
            *here |= chunk.kind == ChunkKind::Zeros;
        }
        self.map.write(&layout, boot, &here).map_err(failed())?;
        self.here = here.into_iter().map(AtomicBool::new).collect();
        Ok(self)
    }

    /// Hashes the chunks that are said to be here, and tells which are.
    fn verified(&self, chunks: &[Chunk], marks: &[bool]) -> std::io::Result<Vec<bool>> {
        let whole = (chunks.len() == 1).then_some(self.digest);
        let verify = |(chunk, mark): (&Chunk, &bool)| match whole.or(chunk.digest) {
            Some(expected) if *mark => Ok(self.hash(chunk.file)? == expected),
            _ => Ok(false),
        };
        chunks.iter().zip(marks).map(verify).collect()
    }

    fn hash(&self, range: FileRange) -> std::io::Result<ContentDigest> {
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE_LEN.min(usize::try_from(range.len()).unwrap_or(PIECE_LEN))];
        let mut at = range.start();
        while at < range.end() {
            let rest = usize::try_from(range.end() - at).unwrap_or(PIECE_LEN);
            let Some(piece) = piece.get_mut(..rest.min(PIECE_LEN)) else { break };
            self.file.read_exact_at(piece, at)?;
            hasher.update(piece);
            at = at.saturating_add(piece.len() as u64);
        }
        Ok(hasher.finish_content())
    }

    /// Tells whether a chunk is here, by its index. Chunks of zeros are here from the start.
    pub fn has(&self, chunk: usize) -> bool {
        self.here.get(chunk).is_some_and(|here| here.load(Ordering::Acquire))
    }

    /// Tells whether a chunk is here and hashes to `digest`. One that does not is here no more.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn holds(&self, chunk: usize, digest: &ContentDigest) -> Result<bool, Error> {
        let Some(range) = self.chunks.get(chunk).filter(|_| self.has(chunk)) else { return Ok(false) };
        let is_right = self.hash(*range).map_err(self.failed("read"))? == *digest;
        if !is_right {
            self.forget(chunk)?;
        }
        Ok(is_right)
    }

    /// Writes bytes of a chunk to the offset `at` of the file. The piece that ends the chunk marks it as being here,
    /// so its pieces come in order, and the last only once the caller has verified the digest of all.
    ///
    /// # Errors
    /// [`Error::OutsideChunk`] when there is no such chunk, or the bytes are not within it; those of the file system.
    pub fn write(&self, chunk: usize, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let end = at.saturating_add(bytes.len() as u64);
        let range = self.chunks.get(chunk).filter(|range| range.start() <= at && end <= range.end());
        let Some(range) = range else {
            let path = self.partials.directory.path_of(&self.name);
            return Err(Error::OutsideChunk { chunk, at, len: bytes.len() as u64, path });
        };
        let _writing = self.partials.durability.writing()?;
        self.file.write_all_at(bytes, at).map_err(self.failed("write"))?;
        if end == range.end() { self.mark(chunk, true) } else { Ok(()) }
    }

    /// Writes `bytes`, which are all of some chunks in a row, and marks those as being here.
    ///
    /// # Errors
    /// [`Error::OutsideChunk`] when there are no such chunks, or they have another length; those of the file system.
    pub fn write_chunks(&self, chunks: Range<usize>, bytes: &[u8]) -> Result<(), Error> {
        let run = self.chunks.get(chunks.clone()).unwrap_or_default();
        let at = run.first().map_or(0, FileRange::start);
        let len = run.iter().map(FileRange::len).fold(0, u64::saturating_add);
        if run.is_empty() || len != bytes.len() as u64 {
            let path = self.partials.directory.path_of(&self.name);
            return Err(Error::OutsideChunk { chunk: chunks.start, at, len: bytes.len() as u64, path });
        }
        let _writing = self.partials.durability.writing()?;
        self.file.write_all_at(bytes, at).map_err(self.failed("write"))?;
        self.map.mark(chunks.clone(), true).map_err(self.failed("write"))?;
        let here = self.here.get(chunks).unwrap_or_default();
        here.iter().for_each(|here| here.store(true, Ordering::Release));
        Ok(())
    }

    /// Takes back that a chunk is here.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn forget(&self, chunk: usize) -> Result<(), Error> {
        self.mark(chunk, false)
    }

    fn mark(&self, chunk: usize, is_here: bool) -> Result<(), Error> {
        let Some(here) = self.here.get(chunk) else { return Ok(()) };
        self.map.mark(chunk..chunk.saturating_add(1), is_here).map_err(self.failed("write"))?;
        here.store(is_here, Ordering::Release);
        Ok(())
    }

    /// Returns the file, open for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the file an object. The caller has verified the digest of the whole.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn commit(self) -> Result<(), Error> {
        let directory = &self.partials.directory;
        let mode = Permissions::from_mode(objects::MODE);
        self.file.set_permissions(mode).map_err(self.failed("change the mode of"))?;
        if !self.partials.objects.adopt(directory, &self.name, &self.digest)? {
            directory.remove(&self.name)?;
        }
        directory.remove(&format!("{}{MAP}", self.name))?;
        Ok(())
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        at_path(action, self.partials.directory.path_of(&self.name))
    }
}
