//! Writing a layout.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chunked::BlobDigest;

use super::beside::{self, Beside};
use super::read::{check_marker, read_index};
use super::{BLOBS, INDEX, blob_name, encode_index, tags};
use crate::blob::{FileBlob, read_verified};
use crate::descriptor::Descriptor;
use crate::directory::{Directory, read_limited};
use crate::error::{Error, at_path};
use crate::image::{DOCUMENT_LEN_MAX, Document, Index};
use crate::media_type::MediaType;
use crate::reference::Reference;
use crate::sink::{ImageSink, StagedBlob, write_document};
use crate::staged::{BUFFER_LEN, Staged};

/// An image being written to a layout, which may hold others.
#[derive(Debug)]
pub(crate) struct LayoutWriter {
    dir: PathBuf,
    /// Nothing is made before there is something to write: what fails before leaves nothing.
    root: Option<Directory>,
    reference: Reference,
    tag: Option<String>,
    beside: Beside,
}

impl LayoutWriter {
    /// Opens the layout at `dir`; where there is none, it is made with the first blob.
    ///
    /// # Errors
    /// [`Error::NotImages`] when the directory holds something else.
    pub(crate) fn create(dir: &Path, reference: Reference, tag: Option<&str>) -> Result<Self, Error> {
        let tag = tag.map(str::to_owned);
        let mut writer = Self { dir: dir.to_owned(), root: None, reference, tag, beside: Beside::default() };
        let there = match Directory::open(dir) {
            Ok(root) => !root.is_empty()?,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if there {
            writer.root()?;
        }
        Ok(writer)
    }

    /// Reads what is listed now; nothing is where there is no layout yet.
    fn listed(&self) -> Result<Index, Error> {
        let index = self.root.as_ref().map(read_index).transpose()?.flatten();
        Ok(index.unwrap_or_else(|| Index::of(vec![])))
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, Error> {
        let Some(root) = &self.root else { return Ok(None) };
        let Some(file) = root.open_file(&blob_name(&descriptor.digest))? else { return Ok(None) };
        let bytes = read_limited(file, &root.path().join(blob_name(&descriptor.digest)), DOCUMENT_LEN_MAX)?;
        // What is damaged is as good as not there: it will be written anew.
        Ok(Document::parse(descriptor, bytes).ok())
    }

    /// Returns the directory of the layout, which holds an empty one at least.
    fn root(&mut self) -> Result<Directory, Error> {
        if let Some(root) = &self.root {
            return Ok(root.clone());
        }
        let root = Directory::create(&self.dir)?;
        {
            // Another process may be at the same.
            let _lock = root.lock()?;
            if !root.is_empty()? {
                check_marker(&root)?;
            }
        }
        super::found(&root)?;
        self.root = Some(root.clone());
        Ok(root)
    }
}

impl ImageSink for LayoutWriter {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn has_blob(&self, digest: &BlobDigest, len: u64) -> Result<bool, Error> {
        let Some(root) = &self.root else { return Ok(false) };
        let Some(file) = root.open_file(&blob_name(digest))? else { return Ok(false) };
        let path = root.path().join(blob_name(digest));
        let there = file.metadata().map_err(at_path("examine", &path))?.len();
        let descriptor = Descriptor::new(MediaType::OCI_LAYER, *digest, len);
        let intact = |blob: FileBlob| io::copy(&mut read_verified(&blob, &descriptor)?, &mut io::sink());
        Ok(there == len && intact(FileBlob::whole(file, len)).is_ok())
    }

    fn tagged(&self, tag: Option<&str>) -> Result<Option<BlobDigest>, Error> {
        let found = tags::find(&self.listed()?, tag.or(self.tag.as_deref())).ok().map(|image| image.digest);
        Ok(found)
    }

    fn referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        let (index, read) = (self.listed()?, |listed: &Descriptor| self.document(listed));
        beside::of_subject(&index, &beside::referrers(&index, read)?, subject, read)
    }

    fn start_blob(&mut self) -> Result<Box<dyn StagedBlob + '_>, Error> {
        let root = self.root()?;
        let file = BufWriter::with_capacity(BUFFER_LEN, root.stage()?);
        Ok(Box::new(LayoutBlob { root, file, len: 0 }))
    }

    fn put_document(&mut self, document: &Document) -> Result<(), Error> {
        write_document(self, document)?;
        self.beside.add(document);
        Ok(())
    }

    fn put_tagged(&mut self, tag: &str, document: &Document) -> Result<(), Error> {
        self.put_document(document)?;
        self.beside.tag(tag, document);
        Ok(())
    }

    fn commit(mut self: Box<Self>, image: &Descriptor) -> Result<(), Error> {
        let root = self.root()?;
        let _lock = root.lock()?;
        let mut index = self.listed()?;
        tags::set(&mut index, image.clone(), self.tag.as_deref());
        self.beside.list(&mut index);
        root.replace(INDEX, &encode_index(&index, root.path())?)?;
        root.sync()
    }
}

/// A blob on its way into a layout.
struct LayoutBlob {
    root: Directory,
    file: BufWriter<Staged>,
    len: u64,
}

impl Write for LayoutBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.len = self.len.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StagedBlob for LayoutBlob {
    fn commit(self: Box<Self>, digest: BlobDigest) -> Result<u64, Error> {
        let Self { root, file, len } = *self;
        let path = root.path().join(blob_name(&digest));
        let staged = file.into_inner().map_err(|error| at_path("write", &path)(error.into_error()))?;
        // A blob of that name may be there, but it may be damaged, and these bytes are not.
        let directory = root.subdirectory(BLOBS)?.subdirectory(digest.0.algorithm())?;
        staged.publish(&directory, &digest.0.hex()).map_err(at_path("write", &path))?;
        directory.sync()?;
        Ok(len)
    }
}
