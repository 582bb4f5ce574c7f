//! Where the bytes of a blob come from.

use std::io::{self, Read};

use crate::range::BlobRange;

/// A blob that can be read from any offset: a slice, a file, a blob of an OCI layout, a registry's blob.
pub trait RangeSource {
    /// Returns the length of the whole blob in bytes.
    fn blob_len(&self) -> u64;

    /// Reads the bytes of `range`, and no others, in order.
    ///
    /// A range that reaches beyond the blob is an error of kind `UnexpectedEof`, now or while reading.
    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>>;
}

impl RangeSource for [u8] {
    fn blob_len(&self) -> u64 {
        self.len() as u64
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        let bounds = usize::try_from(range.start()).ok().zip(usize::try_from(range.end()).ok());
        match bounds.and_then(|(start, end)| self.get(start..end)) {
            Some(bytes) => Ok(Box::new(bytes)),
            None => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("bytes {range} reach beyond the blob of {} bytes", self.len()),
            )),
        }
    }
}

impl<S: RangeSource + ?Sized> RangeSource for &S {
    fn blob_len(&self) -> u64 {
        (**self).blob_len()
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        (**self).read_range(range)
    }
}
