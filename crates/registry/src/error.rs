//! What can go wrong with an image, and what a caller can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use chunked::Class;
use chunked::digest::{BlobDigest, DiffId};

use crate::archive;
use crate::client;
use crate::image;
use crate::mirror;
use crate::platform;
use crate::reference::{self, Reference};

/// A failure to find, read, write or convert an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A reference is malformed.
    #[error(transparent)]
    Reference(#[from] reference::Invalid),
    /// A platform is malformed.
    #[error(transparent)]
    Platform(#[from] platform::Invalid),
    /// A registry did not do what was asked of it.
    #[error("cannot access `{place}`")]
    Registry {
        /// Which image.
        place: Box<Reference>,
        /// The cause.
        source: Box<client::Failure>,
    },
    /// The transport can be read but not written.
    #[error("cannot write `{0}`: expected `docker://`, `oci:` or `oci-archive:`")]
    ReadOnly(Box<Reference>),
    /// The operating system refused.
    #[error("cannot {action} {}", show(path))]
    Io {
        /// What was tried.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Something else is where a file has to be.
    #[error("{} is not a regular file", show(path))]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// Something other than a file is where a file is to be written.
    #[error("cannot replace {}, expected a regular file or a name that is free", show(path))]
    Irreplaceable {
        /// Where.
        path: PathBuf,
    },
    /// A file is larger than anything it could sensibly hold.
    #[error("{} is longer than {limit} bytes", show(path))]
    FileTooLong {
        /// Which.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A directory or tar does not hold images.
    #[error("{} is not {expected}: it has no `{missing}`", show(path))]
    NotImages {
        /// The directory or tar.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// The file that each of those has.
        missing: &'static str,
    },
    /// The layout is of a version to come.
    #[error("{} is an OCI image layout of version `{version}`, expected `1.0.0`", show(path))]
    LayoutVersion {
        /// The directory or tar.
        path: PathBuf,
        /// The version it states.
        version: String,
    },
    /// A file of a layout is malformed.
    #[error("{} is malformed", show(path))]
    LayoutFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: image::Invalid,
    },
    /// A tar of images is malformed.
    #[error("{} is not a valid archive of images", show(path))]
    Archive {
        /// The tar.
        path: PathBuf,
        /// What is wrong with it.
        source: archive::Invalid,
    },
    /// A tar of images names a file that it does not hold.
    #[error("{} names `{}`, which it does not hold", show(path), shorten(name))]
    NoMember {
        /// The tar.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A blob has a name that does not fit the header that is reserved for it.
    #[error(
        "cannot put blob {digest} into the archive {}: only blobs named by SHA-256 are written there",
        show(path)
    )]
    NameTooLong {
        /// The tar.
        path: PathBuf,
        /// Digest of the blob.
        digest: Box<BlobDigest>,
    },
    /// There is no image of that name.
    #[error("there is no image `{reference}`; names there: {}", Names(present))]
    NoSuchImage {
        /// What was asked for.
        reference: Box<Reference>,
        /// Names of the images that are there.
        present: Vec<String>,
    },
    /// The reference fits several images.
    #[error("`{reference}` could be any of several images; names there: {}", Names(present))]
    SeveralImages {
        /// What was asked for.
        reference: Box<Reference>,
        /// Names of the images that are there.
        present: Vec<String>,
    },
    /// A manifest, index or configuration is not what it should be.
    #[error("document {digest} of `{place}` is not valid")]
    Document {
        /// Which image.
        place: Box<Reference>,
        /// Digest of the document.
        digest: Box<BlobDigest>,
        /// What is wrong with it.
        source: image::Invalid,
    },
    /// A blob that the image needs is not there.
    #[error("blob {digest} of `{place}` is missing")]
    NoBlob {
        /// Which image.
        place: Box<Reference>,
        /// Digest of the blob.
        digest: Box<BlobDigest>,
    },
    /// A blob has another length than its descriptor says.
    #[error("blob {digest} of `{place}` is {found} bytes long, its descriptor says {expected}")]
    BlobLen {
        /// Which image.
        place: Box<Reference>,
        /// Digest of the blob.
        digest: Box<BlobDigest>,
        /// Bytes promised.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// A blob could not be read, or is not what its descriptor promises.
    #[error("cannot read blob {digest} of `{place}`")]
    ReadBlob {
        /// Which image.
        place: Box<Reference>,
        /// Digest of the blob.
        digest: Box<BlobDigest>,
        /// The cause.
        source: io::Error,
    },
    /// Indexes are nested too deeply.
    #[error("indexes of `{place}` are nested more than {limit} deep")]
    TooDeep {
        /// Which image.
        place: Box<Reference>,
        /// The limit.
        limit: usize,
    },
    /// The indexes of an image list too much.
    #[error("`{place}` lists more than {limit} manifests")]
    TooManyDocuments {
        /// Which image.
        place: Box<Reference>,
        /// The limit.
        limit: usize,
    },
    /// The documents of an image are too large together.
    #[error("the documents that `{place}` lists have more than {limit} bytes together")]
    DocumentsTooLong {
        /// Which image.
        place: Box<Reference>,
        /// The limit in bytes.
        limit: u64,
    },
    /// An index lists nothing.
    #[error("`{place}` lists no images")]
    NoImages {
        /// Which image.
        place: Box<Reference>,
    },
    /// A platform that was asked for is not listed.
    #[error("`{place}` does not list {wanted}; it lists {}", Names(listed))]
    NoPlatform {
        /// Which image.
        place: Box<Reference>,
        /// What was asked for.
        wanted: String,
        /// The platforms that are listed.
        listed: Vec<String>,
    },
    /// What was asked for is listed, but not there: the image is sparse.
    #[error(
        "index {index} lists {}, but `{place}` does not have {} ({}; present: {})",
        Names(absent), pronoun(absent), kind(upstream.as_deref()), Names(present)
    )]
    AbsentPlatform {
        /// Which image.
        place: Box<Reference>,
        /// Digest of its index.
        index: Box<BlobDigest>,
        /// What was asked for, with the digest under which it is listed.
        absent: Vec<String>,
        /// The platforms that are there.
        present: Vec<String>,
        /// Where it was mirrored from, if that is recorded.
        upstream: Option<String>,
    },
    /// What was asked for is there, but not all of it.
    #[error(
        "index {index} lists {image}, which `{place}` has, but not its blob {blob} (damaged; present: {})",
        Names(present)
    )]
    BrokenPlatform {
        /// Which image.
        place: Box<Reference>,
        /// Digest of its index.
        index: Box<BlobDigest>,
        /// What was asked for, with the digest under which it is listed.
        image: String,
        /// Digest of the missing blob.
        blob: Box<BlobDigest>,
        /// The platforms that are there.
        present: Vec<String>,
    },
    /// A platform that was asked for is listed, but not with layers compressed as asked for.
    #[error("`{place}` lists {platform}, but not with layers as {}", Names(wanted))]
    NoEncoding {
        /// Which image.
        place: Box<Reference>,
        /// The platform.
        platform: String,
        /// How layers were to be compressed.
        wanted: Vec<String>,
    },
    /// All that an index lists was left out.
    #[error("nothing that `{place}` lists is to be mirrored; it lists {}", Names(listed))]
    NoneSelected {
        /// Which image.
        place: Box<Reference>,
        /// What is listed.
        listed: Vec<String>,
    },
    /// A registry does not take an index some of whose children are not there.
    #[error(transparent)]
    SparseRefused(Box<mirror::Refusal>),
    /// A manifest and its configuration list different numbers of layers.
    #[error("manifest {manifest} of `{place}` lists {layers} layers, its configuration {diff_ids}")]
    LayerCount {
        /// Which image.
        place: Box<Reference>,
        /// Digest of the manifest.
        manifest: Box<BlobDigest>,
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the configuration.
        diff_ids: usize,
    },
    /// A layer is not the one that the configuration promises.
    #[error(
        "layer {layer} of `{place}` holds a tar with the digest {found}, the configuration says {expected}"
    )]
    DiffId {
        /// Which image.
        place: Box<Reference>,
        /// Digest of the layer's blob.
        layer: Box<BlobDigest>,
        /// DiffID in the configuration.
        expected: Box<DiffId>,
        /// Digest of the tar.
        found: Box<DiffId>,
    },
    /// A layer could not be converted.
    #[error("cannot convert layer {layer} of `{place}`")]
    Layer {
        /// Which image.
        place: Box<Reference>,
        /// Digest of the layer's blob.
        layer: Box<BlobDigest>,
        /// The cause.
        source: Box<chunked::Error>,
    },
    /// A manifest or index that was made cannot be written.
    #[error("the new manifest or index for `{place}` is not valid")]
    NewDocument {
        /// Where it was to go.
        place: Box<Reference>,
        /// What is wrong with it.
        source: image::Invalid,
    },
    /// A blob could not be written.
    #[error("cannot write a blob of `{place}`")]
    WriteBlob {
        /// Which image.
        place: Box<Reference>,
        /// The cause.
        source: io::Error,
    },
}

impl Error {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::Reference(_) | Self::Platform(_) | Self::ReadOnly(_) => Class::Unsupported,
            Self::Registry { source, .. } => source.class(),
            Self::LayoutVersion { .. } | Self::NameTooLong { .. } => Class::Unsupported,
            Self::Irreplaceable { .. } => Class::Unsupported,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Class::Missing,
            Self::Io { source, .. } if is_bad_data(source) => Class::Corrupt,
            Self::Io { .. } => Class::Local,
            Self::WriteBlob { source, .. } => class_of_io(source),
            Self::NoMember { .. } | Self::Archive { .. } => Class::Corrupt,
            Self::NoSuchImage { .. } | Self::NoBlob { .. } | Self::NotImages { .. } => Class::Missing,
            Self::SeveralImages { .. } | Self::NoPlatform { .. } | Self::AbsentPlatform { .. } => {
                Class::Missing
            }
            Self::BrokenPlatform { .. } | Self::NoEncoding { .. } | Self::NoneSelected { .. } => {
                Class::Missing
            }
            Self::SparseRefused(_) => Class::Denied,
            Self::NoImages { .. } => Class::Missing,
            Self::TooDeep { .. } | Self::TooManyDocuments { .. } => Class::Corrupt,
            Self::DocumentsTooLong { .. } => Class::Corrupt,
            Self::LayerCount { .. } | Self::DiffId { .. } => Class::Corrupt,
            Self::NewDocument { .. } => Class::Unsupported,
            Self::Layer { source, .. } => source.class(),
            Self::NotAFile { .. } | Self::FileTooLong { .. } | Self::BlobLen { .. } => Class::Corrupt,
            Self::LayoutFile { source, .. } | Self::Document { source, .. } => source.class(),
            Self::ReadBlob { source, .. } => class_of_io(source),
        }
    }
}

/// Says what a failure to read or write a blob means: of the bytes, of a registry, or of the machine.
fn class_of_io(error: &io::Error) -> Class {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, NotFound, PermissionDenied, TimedOut, Unsupported,
    };
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return inner.class();
    }
    match error.kind() {
        _ if is_bad_data(error) => Class::Corrupt,
        // What the operating system says is about this machine's files.
        _ if error.raw_os_error().is_some() => Class::Local,
        TimedOut | ConnectionReset | ConnectionAborted => Class::Transient,
        NotFound => Class::Missing,
        PermissionDenied => Class::Denied,
        Unsupported => Class::Unsupported,
        _ => Class::Local,
    }
}

/// Makes an error one of I/O, of the kind that its class asks for.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.class() {
            Class::Missing => io::ErrorKind::NotFound,
            Class::Denied => io::ErrorKind::PermissionDenied,
            Class::Unsupported => io::ErrorKind::Unsupported,
            Class::Corrupt => io::ErrorKind::InvalidData,
            Class::Transient => io::ErrorKind::ConnectionAborted,
            Class::Local => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Tells errors about the bytes (truncated, damaged) from errors of the machine.
fn is_bad_data(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    // Decompressors say `InvalidInput` of bad bytes; the operating system says it of bad calls.
    error.raw_os_error().is_none() && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// Lists names, the first ten if there are many.
pub(crate) struct Names<'a>(pub(crate) &'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        let Some((first, rest)) = self.0.split_first() else { return f.write_str("none") };
        f.write_str(first)?;
        rest.iter().take(SHOWN - 1).try_for_each(|name| write!(f, ", {name}"))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn pronoun(names: &[String]) -> &'static str {
    if names.len() == 1 { "it" } else { "them" }
}

fn kind(upstream: Option<&str>) -> String {
    let of = |upstream| format!("sparse mirror of `{}`", shorten(upstream));
    upstream.map_or_else(|| "sparse index".to_owned(), of)
}

/// Makes an error of the operating system one that says what was tried on what.
pub(crate) fn at_path<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source: source.into() }
}

fn show(path: &Path) -> String {
    format!("`{}`", shorten(&path.to_string_lossy()))
}

/// Keeps hostile strings out of error messages: at most 100 characters, the rest cut, control characters replaced.
pub fn shorten(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
