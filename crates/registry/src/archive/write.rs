//! Writing a layout as a tar.

use std::collections::HashMap;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chunked::digest::{BlobDigest, Digest};
use chunked::tar::BLOCK_LEN;
use tar::{EntryType, Header};

use crate::descriptor::Descriptor;
use crate::error::{Error, at_path};
use crate::image::{Document, Index};
use crate::layout::{self, BLOBS, Beside, INDEX, MARKER, MARKER_CONTENT, blob_name};
use crate::reference::Reference;
use crate::replacement::Replacement;
use crate::sink::{ImageSink, StagedBlob, write_document};
use crate::staged::BUFFER_LEN;

/// An image being written to a tar of its own.
///
/// Blobs go straight into the tar: room is left for a blob's header, which is written when its name and length are
/// known. Members carry no time and no owner, so the same image gives the same tar.
#[derive(Debug)]
pub(crate) struct ArchiveWriter {
    tar: Replacement,
    /// Where the next header goes.
    end: u64,
    blobs: HashMap<BlobDigest, u64>,
    reference: Reference,
    tag: Option<String>,
    beside: Beside,
}

impl ArchiveWriter {
    /// Starts the tar that is to be at `path`, in place of the file there.
    pub(crate) fn create(path: &Path, reference: Reference, tag: Option<&str>) -> Result<Self, Error> {
        let mut writer = Self {
            tar: Replacement::start(path)?,
            end: 0,
            blobs: HashMap::new(),
            reference,
            tag: tag.map(str::to_owned),
            beside: Beside::default(),
        };
        writer.start().map_err(at_path("write", path))?;
        Ok(writer)
    }

    fn start(&mut self) -> io::Result<()> {
        self.append(MARKER, EntryType::Regular, MARKER_CONTENT.as_bytes())?;
        self.append(&format!("{BLOBS}/"), EntryType::Directory, b"")?;
        self.append(&format!("{BLOBS}/sha256/"), EntryType::Directory, b"")
    }

    fn append(&mut self, name: &str, kind: EntryType, content: &[u8]) -> io::Result<()> {
        let file = &mut self.tar;
        let len = content.len() as u64;
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(header(name, kind, len)?.as_bytes())?;
        file.write_all(content)?;
        file.write_all(padding(len))?;
        self.end = next_header(self.end, len);
        Ok(())
    }

    fn finish(&mut self, index: &[u8]) -> io::Result<()> {
        self.append(INDEX, EntryType::Regular, index)?;
        let file = &mut self.tar;
        file.write_all(&[0; 2 * BLOCK_LEN])?;
        // A blob that was given up may have reached further.
        let len = file.stream_position()?;
        file.file().set_len(len)
    }
}

impl ImageSink for ArchiveWriter {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn has_blob(&self, digest: &BlobDigest, len: u64) -> Result<bool, Error> {
        Ok(self.blobs.get(digest) == Some(&len))
    }

    fn start_blob(&mut self) -> Result<Box<dyn StagedBlob + '_>, Error> {
        let content = self.end.saturating_add(BLOCK_LEN as u64);
        let file = &mut self.tar;
        let path = file.path().to_owned();
        file.seek(SeekFrom::Start(content)).map_err(at_path("write", &path))?;
        Ok(Box::new(ArchiveBlob {
            file: BufWriter::with_capacity(BUFFER_LEN, file),
            len: 0,
            end: &mut self.end,
            blobs: &mut self.blobs,
            path,
        }))
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
        let mut index = Index::of(vec![]);
        layout::set_tag(&mut index, image.clone(), self.tag.as_deref());
        self.beside.list(&mut index);
        let index = layout::encode_index(&index, self.tar.path())?;
        self.finish(&index).map_err(at_path("write", self.tar.path()))?;
        self.tar.commit()
    }
}

/// A blob on its way into a tar.
struct ArchiveBlob<'a> {
    file: BufWriter<&'a mut Replacement>,
    len: u64,
    end: &'a mut u64,
    blobs: &'a mut HashMap<BlobDigest, u64>,
    path: PathBuf,
}

impl Write for ArchiveBlob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.len = self.len.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl ArchiveBlob<'_> {
    fn finish(&mut self, digest: &BlobDigest) -> io::Result<()> {
        let header = header(&blob_name(digest), EntryType::Regular, self.len)?;
        self.file.write_all(padding(self.len))?;
        self.file.seek(SeekFrom::Start(*self.end))?;
        self.file.write_all(header.as_bytes())?;
        self.file.flush()
    }
}

impl StagedBlob for ArchiveBlob<'_> {
    fn commit(mut self: Box<Self>, digest: BlobDigest) -> Result<u64, Error> {
        if self.blobs.contains_key(&digest) {
            return Ok(self.len);
        }
        if !matches!(digest.0, Digest::Sha256(_)) {
            return Err(Error::NameTooLong { path: self.path.clone(), digest: Box::new(digest) });
        }
        self.finish(&digest).map_err(at_path("write", &self.path))?;
        *self.end = next_header(*self.end, self.len);
        self.blobs.insert(digest, self.len);
        Ok(self.len)
    }
}

fn header(name: &str, kind: EntryType, len: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(len);
    header.set_cksum();
    Ok(header)
}

fn padding(len: u64) -> &'static [u8] {
    let over = (len % BLOCK_LEN as u64) as usize;
    [0; BLOCK_LEN].get(over..).filter(|_| over != 0).unwrap_or_default()
}

fn next_header(at: u64, len: u64) -> u64 {
    at.saturating_add(BLOCK_LEN as u64).saturating_add(len.next_multiple_of(BLOCK_LEN as u64))
}
