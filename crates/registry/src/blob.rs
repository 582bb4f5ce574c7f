//! Blobs that lie in a file: in one of their own, or in a stretch of an archive.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use chunked::verifying::Verifying;
use chunked::{BlobRange, RangeSource};

use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::reference::Reference;

/// A blob of an image, readable from any offset and from several threads.
pub trait Blob: RangeSource + Send + Sync {}

impl<T: RangeSource + Send + Sync> Blob for T {}

/// Reads the whole of `blob`, and refuses to end when it is not what `descriptor` promises.
///
/// # Errors
/// Those of the blob; a body that differs ends in one of kind `InvalidData`.
pub fn read_verified<'a>(
    blob: &'a dyn Blob,
    descriptor: &Descriptor,
) -> io::Result<Verifying<Box<dyn Read + Send + 'a>>> {
    let whole = BlobRange::with_len(0, blob.blob_len()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Verifying::new(blob.read_range(whole)?, descriptor.digest.0, descriptor.len))
}

/// A file, or a stretch of one.
#[derive(Debug, Clone)]
pub struct FileBlob {
    file: Arc<File>,
    start: u64,
    len: u64,
}

impl FileBlob {
    /// Takes the whole of `file`, which is `len` bytes long.
    pub fn whole(file: File, len: u64) -> Self {
        Self { file: Arc::new(file), start: 0, len }
    }

    /// Takes what is left of `file` from its position on.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn rest(mut file: File) -> io::Result<Self> {
        let start = file.stream_position()?;
        let len = file.metadata()?.len().saturating_sub(start);
        Ok(Self { file: Arc::new(file), start, len })
    }

    /// Takes `len` bytes of `file` from `start`; the caller knows that the end fits in 64 bits.
    pub(crate) fn part(file: Arc<File>, start: u64, len: u64) -> Self {
        Self { file, start, len }
    }

    /// Reads the first bytes, `len` or all there are.
    pub(crate) fn read_start(&self, len: u64) -> io::Result<Vec<u8>> {
        let range = BlobRange::with_len(0, len.min(self.len)).ok_or(io::ErrorKind::InvalidInput)?;
        let mut bytes = Vec::new();
        self.read_range(range)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads all of it; the caller bounded its length.
    pub(crate) fn read_all(&self) -> io::Result<Vec<u8>> {
        self.read_start(self.len)
    }

    /// Checks the length against the one that `descriptor` promises for a blob of the image `place`.
    pub(crate) fn check_len(&self, place: &Reference, descriptor: &Descriptor) -> Result<(), Error> {
        if self.len == descriptor.len {
            return Ok(());
        }
        Err(Error::BlobLen {
            place: Box::new(place.clone()),
            digest: Box::new(descriptor.digest),
            expected: descriptor.len,
            found: self.len,
        })
    }
}

impl RangeSource for FileBlob {
    fn blob_len(&self) -> u64 {
        self.len
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        if range.end() > self.len {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("bytes {range} reach beyond the blob of {} bytes", self.len),
            ));
        }
        let at = self.start.saturating_add(range.start());
        Ok(Box::new(Stretch { file: &self.file, at, left: range.len() }))
    }
}

/// Reads a stretch of a file without moving the file's own position.
struct Stretch<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let count = self.file.read_at(buffer, self.at)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends before the blob does"));
        }
        self.at = self.at.saturating_add(count as u64);
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn stretches_are_read_exactly() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let blob = FileBlob::part(Arc::new(file), 2, 5);
        let read = |start, end| {
            let mut out = String::new();
            let range = BlobRange::new(start, end).unwrap();
            blob.read_range(range)?.read_to_string(&mut out).map(|_| out)
        };
        assert_eq!(read(0, 5).unwrap(), "23456");
        assert_eq!(read(1, 3).unwrap(), "34");
        assert_eq!(read(5, 5).unwrap(), "");
        assert_eq!(read(4, 6).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_that_shrank_is_an_error_and_not_a_short_blob() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"01").unwrap();
        let blob = FileBlob::whole(file, 5);
        let mut out = Vec::new();
        let error =
            blob.read_range(BlobRange::new(0, 5).unwrap()).unwrap().read_to_end(&mut out).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
