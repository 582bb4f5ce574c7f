//! Reading a layout.

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use chunked::BlobDigest;
use serde::Deserialize;

use super::beside::{self, Referrer};
use super::tags::{self, NotFound};
use super::{INDEX, INDEX_LEN_MAX, MARKER, blob_name};
use crate::blob::{Blob, FileBlob};
use crate::descriptor::Descriptor;
use crate::directory::{Directory, read_limited};
use crate::error::{Error, at_path, shorten};
use crate::image::{Document, Index, parse_json};
use crate::reference::Reference;
use crate::source::ImageSource;

/// Longest `oci-layout` in bytes; the one in use has 30.
const MARKER_LEN_MAX: u64 = 4096;

/// The named files of a layout: a directory's, or a tar's.
pub(crate) trait Files: Send + Sync + fmt::Debug {
    /// Returns where the layout is, for messages.
    fn path(&self) -> &Path;

    /// Opens a file as a blob; `None` when there is none of that name.
    fn open(&self, name: &str) -> Result<Option<FileBlob>, Error>;

    /// Reads a file of at most `limit` bytes; `None` when there is none of that name.
    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error>;
}

impl Files for Directory {
    fn path(&self) -> &Path {
        self.path()
    }

    fn open(&self, name: &str) -> Result<Option<FileBlob>, Error> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let path = self.path().join(name);
        let len = file.metadata().map_err(at_path("examine", &path))?.len();
        Ok(Some(FileBlob::whole(file, len)))
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        read_limited(file, &self.path().join(name), limit).map(Some)
    }
}

/// An image of a layout.
#[derive(Debug)]
pub(crate) struct Layout<F> {
    files: F,
    reference: Reference,
    root: Descriptor,
    index: Index,
    /// Once it was asked for.
    referrers: OnceLock<Vec<Referrer>>,
}

impl<F: Files> Layout<F> {
    /// Opens the image named `tag`, or without one the only image.
    pub(crate) fn open(files: F, reference: Reference, tag: Option<&str>) -> Result<Self, Error> {
        check_marker(&files)?;
        let index = read_index(&files)?.ok_or_else(|| not_a_layout(&files, INDEX))?;
        let root = tags::find(&index, tag).cloned().map_err(|why| not_found(&reference, &index, why))?;
        Ok(Self { files, reference, root, index, referrers: OnceLock::new() })
    }
}

impl<F: Files> ImageSource for Layout<F> {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn root(&self) -> &Descriptor {
        &self.root
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, Error> {
        let Some(bytes) = self.small_blob(descriptor)? else { return Ok(None) };
        Document::parse(descriptor, bytes)
            .map(Some)
            .map_err(|invalid| self.document_error(descriptor, invalid))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Blob + '_>>, Error> {
        let Some(blob) = self.files.open(&blob_name(&descriptor.digest))? else { return Ok(None) };
        blob.check_len(&self.reference, descriptor)?;
        Ok(Some(Box::new(blob)))
    }

    fn referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        let read = |listed: &Descriptor| self.document(listed);
        let found = match self.referrers.get() {
            Some(found) => found,
            None => {
                let found = beside::referrers(&self.index, read)?;
                self.referrers.get_or_init(|| found)
            }
        };
        beside::of_subject(&self.index, found, subject, read)
    }

    fn tagged(&self, tag: &str) -> Result<Option<Descriptor>, Error> {
        Ok(tags::find(&self.index, Some(tag)).ok().map(Descriptor::bare))
    }
}

/// Checks that there is a layout of the version we know.
pub(super) fn check_marker(files: &impl Files) -> Result<(), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let bytes = files.read(MARKER, MARKER_LEN_MAX)?.ok_or_else(|| not_a_layout(files, MARKER))?;
    let marker: Marker =
        parse_json(&bytes, MARKER_LEN_MAX).map_err(|source| invalid(files, MARKER, source))?;
    match marker.image_layout_version.as_str() {
        "1.0.0" => Ok(()),
        other => Err(Error::LayoutVersion { path: files.path().to_owned(), version: shorten(other) }),
    }
}

/// Reads `index.json`; `None` when there is none.
pub(super) fn read_index(files: &impl Files) -> Result<Option<Index>, Error> {
    let Some(bytes) = files.read(INDEX, INDEX_LEN_MAX)? else { return Ok(None) };
    parse_json(&bytes, INDEX_LEN_MAX).map(Some).map_err(|source| invalid(files, INDEX, source))
}

fn not_a_layout(files: &impl Files, missing: &'static str) -> Error {
    Error::NotImages { path: files.path().to_owned(), expected: "an OCI image layout", missing }
}

fn invalid(files: &impl Files, name: &str, source: crate::image::Invalid) -> Error {
    Error::LayoutFile { path: files.path().join(name), source }
}

fn not_found(reference: &Reference, index: &Index, why: NotFound) -> Error {
    let present = tags::names(index).map(shorten).collect();
    match why {
        NotFound::Tag => Error::NoSuchImage { reference: Box::new(reference.clone()), present },
        NotFound::Ambiguous => Error::SeveralImages { reference: Box::new(reference.clone()), present },
    }
}
