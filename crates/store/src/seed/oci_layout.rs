//! OCI layouts whose layers are zstd:chunked.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use chunked::{BlobRange, ChunkKind, ContentDigest, Entry, Layer, Limits, RangeSource};

use super::side_by_side::side_by_side;
use super::table::Table;
use super::{Abilities, Candidate, Regular, Root, Seed, SeedName, Visit};
use crate::error::{Error, at_path};

/// How the names of such seeds begin.
pub(super) const KIND: &str = "oci";

/// Most blobs that are looked at.
const BLOBS_MAX: usize = 100_000;
/// Most rows in memory: 96 MB.
const ROWS_MAX: usize = 2_000_000;

/// An OCI layout. Each blob that has a TOC tells which of its frames hold which content; manifests are of no interest.
#[derive(Debug)]
pub struct OciLayout {
    name: SeedName,
    root: Root,
    blobs: OnceLock<Blobs>,
}

/// What the blobs of a layout hold.
#[derive(Debug)]
struct Blobs {
    /// Their paths below the layout.
    paths: Vec<PathBuf>,
    table: Table<Place>,
}

/// Where some content is.
#[derive(Debug, Clone, Copy)]
struct Place {
    blob: usize,
    len: u64,
    frames: BlobRange,
}

impl OciLayout {
    /// Opens the layout at `path`. What its blobs hold is read when first asked for.
    ///
    /// # Errors
    /// [`Error::NotASeed`] for a directory that is none, and those of the file system.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = path.canonicalize().map_err(at_path("open", path))?;
        let root = Root::open(&path)?;
        if root.find(Path::new("oci-layout")).is_none() {
            let expected = "an OCI image layout, with a file `oci-layout`";
            return Err(Error::NotASeed { path, expected });
        }
        Ok(Self { name: SeedName::new(KIND, path), root, blobs: OnceLock::new() })
    }

    fn find(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        let blobs = self.blobs.get_or_init(|| Blobs::load(&self.root));
        let place = blobs.table.get(digest).filter(|place| place.len == len)?;
        let file = self.root.find(blobs.paths.get(place.blob)?)?.open()?;
        Some(Candidate::Frames(Arc::new(file), place.frames))
    }
}

impl Seed for OciLayout {
    fn name(&self) -> &SeedName {
        &self.name
    }

    fn abilities(&self) -> Abilities {
        Abilities { digests: true, paths: false, chunks: true }
    }

    fn file(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        self.find(digest, len)
    }

    fn at(&self, _path: &str) -> Vec<Regular> {
        Vec::new()
    }

    fn chunk(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        self.find(digest, len)
    }

    fn walk(&self, _visit: Visit<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn open(&self, _path: &Path) -> Option<Regular> {
        None
    }
}

/// Tells whether there is a layout.
pub(super) fn is_at(path: &Path) -> bool {
    path.join("oci-layout").is_file()
}

impl Blobs {
    /// Opens every blob as if it were a layer.
    fn load(root: &Root) -> Self {
        let paths = blobs(root);
        let count = AtomicUsize::new(0);
        let rows = side_by_side(&paths, |blob, path| {
            let has_room = count.load(Ordering::Relaxed) < ROWS_MAX;
            let rows = has_room.then(|| contents(root, path, blob)).flatten().unwrap_or_default();
            count.fetch_add(rows.len(), Ordering::Relaxed);
            rows
        });
        Self { paths, table: Table::new(rows.into_iter().flat_map(|(_, rows)| rows)) }
    }
}

/// Lists the blobs of a layout. What cannot be listed is not used.
fn blobs(root: &Root) -> Vec<PathBuf> {
    let directory = Path::new("blobs");
    let mut paths = Vec::new();
    if let Some(blobs) = root.subdirectory(directory) {
        let _ = blobs.walk(&|_, _| false, &mut |path, _| {
            paths.push(directory.join(path));
            if paths.len() < BLOBS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
    paths
}

/// Lists what a blob holds; `None` when it has no TOC, or one that cannot be relied on.
fn contents(root: &Root, path: &Path, blob: usize) -> Option<Vec<(ContentDigest, Place)>> {
    let file = root.find(path)?;
    let source = FileBlob { len: file.stamp().len, file: file.open()? };
    let mut rows = Vec::new();
    let place = |len, frames| Place { blob, len, frames };
    let layer = Layer::visit(
        &source,
        |_| None,
        &Limits::default(),
        |entry: Entry| {
            let Some(content) = entry.content else { return };
            if let Some(digest) = content.digest {
                rows.push((digest, place(entry.size, content.range)));
            }
            let data = content.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Data);
            let chunks = data.filter_map(|chunk| Some((chunk.digest?, place(chunk.file.len(), chunk.blob))));
            rows.extend(chunks);
        },
    );
    let Ok(Layer::Chunked(layer)) = layer else { return None };
    (!layer.dialect.is_gzip()).then_some(rows)
}

/// A blob that is a file.
#[derive(Debug)]
struct FileBlob {
    file: File,
    len: u64,
}

impl RangeSource for FileBlob {
    fn blob_len(&self) -> u64 {
        self.len
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(FileRangeReader { file: &self.file, range }))
    }
}

/// Reads a range of a file.
#[derive(Debug)]
struct FileRangeReader<'a> {
    file: &'a File,
    range: BlobRange,
}

impl Read for FileRangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.range.len()).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..len).unwrap_or_default(), self.range.start())?;
        if count == 0 && len > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.range =
            BlobRange::saturating(self.range.start() + count as u64, self.range.len() - count as u64);
        Ok(count)
    }
}
