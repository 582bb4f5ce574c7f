//! Seeds: places that may hold content which a pull would otherwise fetch.
//!
//! A seed is never trusted. It says where a content may be, and what is there is hashed in the same pass in which it is
//! copied. A file that is gone, unreadable, being changed or plainly wrong is a miss: the content comes from somewhere
//! else, and the pull goes on.
//!
//! Some seeds find a file by its digest, as their names or lists tell; a directory of the host only has paths, so the path
//! that the file has in the image is tried below it. For both, the dedup index can hold the digests of all files and of
//! the chunks within them: it is built of what [`Seed::walk`] lists.

pub mod containers_storage;
mod hash;
mod host;
mod indexed;
mod kind;
mod known;
mod name;
mod oci_layout;
pub mod ostree;
mod own_store;
mod root;
mod set;
mod side_by_side;
mod stamp;
pub(crate) mod table;
pub(crate) mod take;
mod update;

use std::fmt::Debug;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use chunked::{BlobRange, ContentDigest};

pub use containers_storage::ContainersStorage;
pub use host::HostRoot;
pub use indexed::with_index;
pub use kind::open;
pub use known::{KnownSeed, forget, known};
pub use name::SeedName;
pub use oci_layout::OciLayout;
pub use ostree::OstreeRepo;
pub use own_store::OwnStore;
pub use root::{Regular, Root};
pub use set::Seeds;
pub use stamp::Stamp;
pub use update::{Updated, update};

use crate::error::Error;

/// Most files that a seed finds at a path.
const VERSIONS_MAX: usize = 3;

/// A place that may hold content.
///
/// Nothing it returns is relied on. What cannot be had is `None`, whatever the reason: a pull does not fail because of a
/// seed. Every method may be called from several threads at once, and must neither wait for others nor open anything
/// but regular files.
pub trait Seed: Debug + Send + Sync {
    /// Returns what people call it.
    fn name(&self) -> &SeedName;

    /// Says by what it finds content without the dedup index.
    fn abilities(&self) -> Abilities;

    /// Opens what may be the whole of the content with that digest and length.
    fn file(&self, digest: &ContentDigest, len: u64) -> Option<Candidate>;

    /// Finds the files at a path that a content has in the image, as the layer writes it: perhaps with `./` or `/` at its
    /// start, and hostile. One may be that content, or another version of it; there are a few at most.
    fn at(&self, path: &str) -> Vec<Regular>;

    /// Tells whether it may have files below a directory of the image. That [`Seed::at`] need not be called for all of them
    /// makes a seed cheap that has nothing of an image.
    fn has_directory(&self, _path: &str) -> bool {
        true
    }

    /// Opens what may be a chunk of that digest and length.
    fn chunk(&self, digest: &ContentDigest, len: u64) -> Option<Candidate>;

    /// Lists the regular files that are worth hashing for the index, in any order, each with a path that
    /// [`Seed::open`] takes. Ends early when `visit` breaks. A seed that finds everything by itself lists none.
    ///
    /// # Errors
    /// When the seed as a whole cannot be read. Single files and directories that cannot are left out.
    fn walk(&self, visit: Visit<'_>) -> Result<(), Error>;

    /// Opens a file that [`Seed::walk`] listed, perhaps long ago.
    fn open(&self, path: &Path) -> Option<Regular>;
}

/// Is told of a file that was listed, by its path and what it looks like; breaks to hear of no more.
pub type Visit<'a> = &'a mut dyn FnMut(&Path, Stamp) -> ControlFlow<()>;

/// By what a seed finds content without the dedup index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Abilities {
    /// It finds files by digest: [`Seed::file`] is worth a call.
    pub digests: bool,
    /// It finds files by path: [`Seed::at`] is worth a call for each path of a content.
    pub paths: bool,
    /// It finds chunks: [`Seed::chunk`] is worth a call.
    pub chunks: bool,
}

/// Where a content may be. It has the length that was asked for; that is checked again when it is read.
#[derive(Debug)]
pub enum Candidate {
    /// It is a whole file, and shares its bytes where the file system can.
    File(File),
    /// It is a stretch of a file that starts there.
    Part(Arc<File>, u64),
    /// It is what these bytes of a file decompress to: one or several zstd frames.
    Frames(Arc<File>, BlobRange),
}
