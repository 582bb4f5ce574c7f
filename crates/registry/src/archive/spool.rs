//! Copies a tar that cannot be read in place, as it is compressed or comes through a pipe, to a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use chunked::Limits;
use chunked::input::Input;
use chunked::tar::{self, BLOCK_LEN, Step};

use super::{HEADERS_LEN_MAX, Invalid};
use crate::directory::Directory;
use crate::error::{Error, at_path};

/// Bytes that any archive may have, before they are weighed against what was read.
const FREE_LEN: u64 = 1 << 30;
/// Most bytes that a byte read may become on average; images become ten at most.
const RATIO_MAX: u64 = 100;
/// Bytes read after the end of the tar, for those who write it: they pad it, and do not like to be cut off.
const TRAILER_LEN: u64 = 1 << 20;
/// Bytes copied at a time.
const COPY_LEN: usize = 256 << 10;

/// Copies the tar that `reader` holds, compressed or not, into a nameless file in `scratch`, up to its end and no further.
/// Where the tar breaks off or goes wrong, the file does as well.
///
/// # Errors
/// [`Error::Archive`] when it decompresses to far more than it should, and those of reading and writing.
pub(super) fn spool(reader: impl Read, path: &Path, scratch: &Path) -> Result<File, Error> {
    spool_within(reader, path, scratch, FREE_LEN)
}

fn spool_within(reader: impl Read, path: &Path, scratch: &Path, free_len: u64) -> Result<File, Error> {
    let read = AtomicU64::new(0);
    let count = |bytes: &[u8]| {
        read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    };
    let file = Directory::open(scratch)?.stage()?.into_nameless().map_err(at_path("write", scratch))?;
    let tar = Input::open(reader, count).map_err(at_path("decompress", path))?;
    let mut spool = Spool { tar, file, read: &read, written: 0, free_len, path, scratch };
    while spool.member()? {}
    let Spool { tar, file, .. } = spool;
    io::copy(&mut tar.take(TRAILER_LEN), &mut io::sink()).map_err(at_path("decompress", path))?;
    Ok(file)
}

struct Spool<'a, R> {
    tar: R,
    file: File,
    /// Bytes of the source so far.
    read: &'a AtomicU64,
    /// Bytes of the tar so far.
    written: u64,
    /// Bytes it may have, whatever was read.
    free_len: u64,
    path: &'a Path,
    scratch: &'a Path,
}

impl<R: Read> Spool<'_, R> {
    /// Copies one member; `false` when none can follow.
    fn member(&mut self) -> Result<bool, Error> {
        let mut header = Vec::new();
        let mut wanted = BLOCK_LEN;
        let payload_len = loop {
            let missing = wanted.saturating_sub(header.len()) as u64;
            let count = self.tar.by_ref().take(missing).read_to_end(&mut header);
            count.map_err(at_path("decompress", self.path))?;
            match tar::parse(&header, &Limits::default()) {
                Ok(Step::NeedMore(len)) if header.len() == wanted && len <= HEADERS_LEN_MAX => wanted = len,
                // Never more than asked for was read, so the payload starts here.
                Ok(Step::Member { member, .. }) => {
                    break Some(member.payload_len().saturating_add(member.padding_len() as u64));
                }
                // Whoever reads the file finds what is wrong, if anything is.
                Ok(Step::NeedMore(_) | Step::End) | Err(_) => break None,
            }
        };
        self.write(&header)?;
        match payload_len {
            Some(len) => self.copy(len),
            None => Ok(false),
        }
    }

    /// Copies content; `false` when it ends too early.
    fn copy(&mut self, len: u64) -> Result<bool, Error> {
        let mut left = len;
        let mut buffer = vec![0; COPY_LEN];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = match self.tar.read(buffer.get_mut(..wanted).unwrap_or_default()) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(at_path("decompress", self.path)(error)),
            };
            self.write(buffer.get(..count).unwrap_or_default())?;
            left = left.saturating_sub(count as u64);
        }
        Ok(true)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written = self.written.saturating_add(bytes.len() as u64);
        let limit = self.read.load(Ordering::Relaxed).saturating_mul(RATIO_MAX).saturating_add(self.free_len);
        if self.written > limit {
            let source = Invalid::Bomb { limit };
            return Err(Error::Archive { path: self.path.to_owned(), source });
        }
        self.file.write_all(bytes).map_err(at_path("write a temporary file in", self.scratch))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use testkit::oci::gzip;
    use testkit::tar::Tar;

    use super::*;

    fn spooled(source: &[u8]) -> Result<File, Error> {
        let dir = tempfile::tempdir().unwrap();
        spool(source, Path::new("a.tar"), dir.path())
    }

    fn len(source: &[u8]) -> u64 {
        spooled(source).unwrap().metadata().unwrap().len()
    }

    #[test]
    fn a_tar_is_copied_up_to_its_end() {
        let whole = Tar::new().file("a", [1; 600]).file("long".repeat(60), "x").finish();
        let long = [whole.clone(), vec![0; 10 << 20]].concat();
        for source in [whole.clone(), gzip(&whole), long.clone(), gzip(&long)] {
            let file = spooled(&source).unwrap();
            let mut copied = vec![0; file.metadata().unwrap().len() as usize];
            file.read_exact_at(&mut copied, 0).unwrap();
            assert!(copied == whole);
        }
        assert_eq!(len(&vec![0; 10 << 20]), 1024);
        assert_eq!(len(&whole[..1000]), 1000);
        assert_eq!(len(&[7; 5000]), 512);
    }

    #[test]
    fn bombs_are_stopped() {
        let bomb = gzip(&Tar::new().file("zeros", vec![0; 24 << 20]).finish());
        let dir = tempfile::tempdir().unwrap();
        let error = spool_within(&bomb[..], Path::new("a.tar"), dir.path(), 1 << 20).unwrap_err();
        let Error::Archive { source, .. } = error else { panic!("{error}") };
        assert!(matches!(source, Invalid::Bomb { .. }), "{source}");
        assert!(spooled(&bomb).is_ok());
    }
}
