//! Writing a layout.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use chunked::BlobDigest;

use super::read::{check_marker, read_index};
use super::{BLOBS, INDEX, MARKER, MARKER_CONTENT, blob_name, encode_index, tags};
use crate::blob::{FileBlob, read_verified};
use crate::descriptor::Descriptor;
use crate::directory::Directory;
use crate::error::{Error, at_path};
use crate::image::Index;
use crate::media_type::MediaType;
use crate::reference::Reference;
use crate::sink::{ImageSink, StagedBlob};
use crate::staged::{BUFFER_LEN, Staged};

/// An image being written to a layout, which may hold others.
#[derive(Debug)]
pub(crate) struct LayoutWriter {
    root: Directory,
    reference: Reference,
    tag: Option<String>,
}

impl LayoutWriter {
    /// Opens the layout at `dir`, making it where there is none.
    ///
    /// # Errors
    /// [`Error::NotImages`] when the directory holds something else.
    pub(crate) fn create(dir: &Path, reference: Reference, tag: Option<&str>) -> Result<Self, Error> {
        let root = Directory::create(dir)?;
        if root.is_empty()? {
            root.replace(MARKER, MARKER_CONTENT.as_bytes())?;
        }
        check_marker(&root)?;
        root.subdirectory(BLOBS)?.subdirectory("sha256")?;
        Ok(Self { root, reference, tag: tag.map(str::to_owned) })
    }
}

impl ImageSink for LayoutWriter {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn has_blob(&self, digest: &BlobDigest, len: u64) -> Result<bool, Error> {
        let Some(file) = self.root.open_file(&blob_name(digest))? else { return Ok(false) };
        let path = self.root.path().join(blob_name(digest));
        let there = file.metadata().map_err(at_path("examine", &path))?.len();
        let descriptor = Descriptor::new(MediaType::OCI_LAYER, *digest, len);
        let intact = |blob: FileBlob| io::copy(&mut read_verified(&blob, &descriptor)?, &mut io::sink());
        Ok(there == len && intact(FileBlob::whole(file, len)).is_ok())
    }

    fn start_blob(&mut self) -> Result<Box<dyn StagedBlob + '_>, Error> {
        let file = BufWriter::with_capacity(BUFFER_LEN, self.root.stage()?);
        Ok(Box::new(LayoutBlob { layout: self, file, len: 0 }))
    }

    fn commit(self: Box<Self>, image: &Descriptor) -> Result<(), Error> {
        let _lock = self.root.lock()?;
        let mut index = read_index(&self.root)?.unwrap_or_else(|| Index::of(vec![]));
        tags::set(&mut index, image.clone(), self.tag.as_deref());
        self.root.replace(INDEX, &encode_index(&index, self.root.path())?)?;
        self.root.sync()
    }
}

/// A blob on its way into a layout.
struct LayoutBlob<'a> {
    layout: &'a LayoutWriter,
    file: BufWriter<Staged>,
    len: u64,
}

impl Write for LayoutBlob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.len = self.len.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StagedBlob for LayoutBlob<'_> {
    fn commit(self: Box<Self>, digest: BlobDigest) -> Result<u64, Error> {
        let Self { layout, file, len } = *self;
        let path = layout.root.path().join(blob_name(&digest));
        let staged = file.into_inner().map_err(|error| at_path("write", &path)(error.into_error()))?;
        // A blob of that name may be there, but it may be damaged, and these bytes are not.
        let directory = layout.root.subdirectory(BLOBS)?.subdirectory(digest.0.algorithm())?;
        staged.publish(&directory, &digest.0.hex()).map_err(at_path("write", &path))?;
        directory.sync()?;
        Ok(len)
    }
}
