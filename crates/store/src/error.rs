//! What can go wrong with a store, and what a caller can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use chunked::{BlobDigest, Class, TocDigest};

use crate::fetch::Failure;

/// A failure of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system failed.
    #[error("cannot {action} {}", show(path))]
    File {
        /// What was tried: `create`, `read`, `rename` ...
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// There is no store.
    #[error("there is no store at {}", show(path))]
    NoStore {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// A directory that is not empty holds something else.
    #[error("{} is not a store, expected one, or an empty directory", show(path))]
    NotAStore {
        /// Which directory.
        path: PathBuf,
    },
    /// A place is not the seed that it was said to be.
    #[error("{} is no such seed, expected {expected}", show(path))]
    NotASeed {
        /// Which place.
        path: PathBuf,
        /// What a seed of that kind is.
        expected: &'static str,
    },
    /// The store was made by a later version of this program.
    #[error("the store at {} has the format `{}`, expected `{expected}`", show(path), shorten(found))]
    Format {
        /// Where the store is.
        path: PathBuf,
        /// What its format file says.
        found: String,
        /// What this program writes.
        expected: &'static str,
    },
    /// Other processes use the store, and it was asked not to wait for them.
    #[error("the store at {} is in use by another process", show(path))]
    InUse {
        /// Where the store is.
        path: PathBuf,
    },
    /// Something else is where a file has to be.
    #[error("{} is not a regular file", show(path))]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// A file is larger than anything it could sensibly hold.
    #[error("{} is longer than {limit} bytes", show(path))]
    TooLong {
        /// Which.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file of the store does not hold what it should.
    #[error("{} is damaged: {reason}", show(path))]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Damage,
    },
    /// What was given to be stored under a digest has another one.
    #[error("what was to be stored as the {what} {expected} has another digest")]
    WrongDigest {
        /// What it is.
        what: &'static str,
        /// The digest it was given with.
        expected: String,
    },
    /// The table of contents of a layer in the store cannot be read.
    #[error("cannot read the TOC {toc_digest} of the store")]
    Toc {
        /// Which.
        toc_digest: Box<TocDigest>,
        /// What is wrong with it.
        source: Box<chunked::Error>,
    },
    /// Bytes were written to a place in a file where no chunk of it is.
    #[error("{len} bytes at {at} are not within chunk {chunk} of {}", show(path))]
    OutsideChunk {
        /// Index of the chunk.
        chunk: usize,
        /// Offset in the file.
        at: u64,
        /// Bytes to be written.
        len: u64,
        /// The file.
        path: PathBuf,
    },
    /// A layer could not be brought in.
    #[error("cannot bring in layer {blob}")]
    Layer {
        /// Its blob.
        blob: Box<BlobDigest>,
        /// Why.
        source: Box<Failure>,
    },
    /// There is no such seed.
    #[error("there is nothing at {}", show(path))]
    NoSeed {
        /// Where it was to be.
        path: PathBuf,
    },
    /// A seed cannot be remembered.
    #[error("the path {} is not UTF-8, so the seed cannot be indexed", show(path))]
    Unnamable {
        /// Where the seed is.
        path: PathBuf,
    },
    /// There is no image of that name or digest.
    #[error("there is no image `{}` in the store", shorten(name))]
    NoSuchImage {
        /// What was asked for.
        name: String,
    },
    /// Several images have a digest that begins like this.
    #[error("`{}` could be any of several images: {}", shorten(name), Names(candidates))]
    SeveralImages {
        /// What was asked for.
        name: String,
        /// Their names.
        candidates: Vec<String>,
    },
    /// A layer of an image is not there.
    #[error(
        "the image `{}` is not complete: its layer with the TOC {toc_digest} is not in the store",
        shorten(image)
    )]
    NoLayer {
        /// Which image.
        image: String,
        /// Which layer.
        toc_digest: Box<TocDigest>,
    },
    /// Layers do not make a tree.
    #[error(transparent)]
    Tree(#[from] crate::tree::Invalid),
    /// A tree cannot be unpacked as asked.
    #[error(transparent)]
    Refused(#[from] crate::unpack::Refused),
    /// A thread ended without a result; only a defect of this program does that.
    #[error("a worker ended without a result")]
    WorkerLost,
}

/// What is wrong with a file of the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It is not what its name or its record says.
    #[error("its digest is wrong")]
    Digest,
    /// It is not the JSON that it should be.
    #[error("{0}")]
    Json(String),
    /// It speaks of something else than its name says.
    #[error("it is about something else than its name says")]
    Misnamed,
    /// A part of it is missing.
    #[error("it has no {0}")]
    Lacks(&'static str),
    /// What it says of an image cannot be read.
    #[error("what it says of `{}` cannot be read", shorten(_0))]
    Image(String),
}

impl Error {
    pub(crate) fn of_layer(blob: &BlobDigest, failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error,
            failure => Self::Layer { blob: Box::new(*blob), source: Box::new(failure) },
        }
    }

    /// Tells whether writing is not allowed here.
    pub(crate) fn is_read_only(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        matches!(self, Self::File { source, .. } if matches!(source.kind(), ReadOnlyFilesystem | PermissionDenied))
    }

    /// Tells whether this only follows from another failure of the same pull.
    pub(crate) fn is_consequence(&self) -> bool {
        matches!(self, Self::Layer { source, .. } if source.is_consequence())
    }

    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::File { .. }
            | Self::NotAStore { .. }
            | Self::NotASeed { .. }
            | Self::OutsideChunk { .. } => Class::Local,
            Self::Unnamable { .. } => Class::Unsupported,
            Self::NoStore { .. } | Self::NoSuchImage { .. } | Self::SeveralImages { .. } => Class::Missing,
            Self::NoSeed { .. } => Class::Missing,
            Self::NoLayer { .. } => Class::Missing,
            Self::Format { .. } => Class::Unsupported,
            Self::InUse { .. } => Class::Transient,
            Self::NotAFile { .. } | Self::TooLong { .. } | Self::Damaged { .. } => Class::Corrupt,
            Self::WrongDigest { .. } => Class::Corrupt,
            Self::Toc { source, .. } => source.class(),
            Self::Layer { source, .. } => source.class(),
            Self::WorkerLost => Class::Local,
            Self::Tree(invalid) => invalid.class(),
            Self::Refused(refused) => refused.class(),
        }
    }
}

/// Makes an error of the operating system one that says what was tried on what.
pub(crate) fn at_path<E: Into<io::Error>>(
    action: &'static str,
    path: impl AsRef<Path>,
) -> impl FnOnce(E) -> Error {
    move |source| Error::File { action, path: path.as_ref().to_owned(), source: source.into() }
}

/// Makes an error of the JSON parser one that names the file.
pub(crate) fn bad_json(path: &Path) -> impl FnOnce(serde_json::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::Damaged { path, reason: Damage::Json(shorten(&error.to_string())) }
}

/// Lists names, the first ten if there are many.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        for (index, name) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{}`", shorten(name))?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Writes a path for messages, shortened and without control characters.
pub(crate) fn show(path: &Path) -> String {
    format!("`{}`", shorten(&path.to_string_lossy()))
}

/// Keeps hostile strings out of error messages: at most 200 characters, the rest cut, control characters replaced.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
