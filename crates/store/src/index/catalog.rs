//! A catalog: the files of a seed that are in the index, with what they looked like when they were hashed.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `morsels\x01` |
//! | 8 | when the files were listed: nanoseconds since 1970 |
//! | 8 | where the table starts |
//! | 4 | length of the seed's name |
//! | 4 | number of files, and of entries of the table |
//! | | the seed's name, as it is given on the command line |
//! | | for each file: 32 bytes of its digest; length, mtime, ctime and inode, 8 each; 2 for the length of its path; the path |
//! | 8 each | the table: where each file is; 0 for one that is gone |
//!
//! Numbers are little-endian. A file keeps its number as long as it stays the same, so the rows that point to it stay right.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chunked::ContentDigest;
use memmap2::Mmap;

use super::sys;
use crate::seed::Stamp;
use crate::staged::Staged;

const MAGIC: &[u8; 8] = b"morsels\x01";
const HEADER_LEN: usize = 32;
/// Longest name of a seed in bytes: that of a path, and its kind.
const NAME_LEN_MAX: usize = 8 << 10;
/// Bytes of an entry of the table.
const PLACE_LEN: usize = 8;

/// A catalog in memory as it is on disk.
#[derive(Debug)]
pub(crate) struct Catalog {
    bytes: Mmap,
    name: String,
    listed: i64,
    table: usize,
    files: u32,
}

/// A file of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed<'a> {
    pub(crate) digest: ContentDigest,
    pub(crate) stamp: Stamp,
    pub(crate) path: &'a Path,
}

impl Catalog {
    /// Maps a catalog; `None` when it is truncated, damaged, or not ours.
    pub(super) fn open(file: &File) -> Option<Self> {
        let bytes = sys::map(file).ok()?;
        let mut header = Fields(bytes.get(..HEADER_LEN)?.strip_prefix(MAGIC)?);
        let listed = header.u64()?.cast_signed();
        let table = usize::try_from(header.u64()?).ok()?;
        let name_len = usize::try_from(header.u32()?).ok().filter(|len| *len <= NAME_LEN_MAX)?;
        let files = header.u32()?;
        let name = bytes.get(HEADER_LEN..)?.get(..name_len)?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        let len = (files as usize).checked_mul(PLACE_LEN)?.checked_add(table)?;
        (len == bytes.len()).then_some(Self { bytes, name, listed, table, files })
    }

    /// Returns the name of the seed.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns when the files were listed, in nanoseconds since 1970.
    pub(crate) fn listed(&self) -> i64 {
        self.listed
    }

    /// Counts the numbers that were given to files.
    pub(crate) fn numbers(&self) -> u32 {
        self.files
    }

    /// Returns a file by its number; `None` when it is gone, or its entry is damaged.
    pub(crate) fn file(&self, number: u32) -> Option<Listed<'_>> {
        let entry = self.table.checked_add((number as usize).checked_mul(PLACE_LEN)?)?;
        let place = Fields(self.bytes.get(entry..)?).u64().filter(|place| *place > 0)?;
        let end = self.bytes.get(..self.table)?;
        Listed::decode(end.get(usize::try_from(place).ok()?..)?)
    }

    /// Lists the files with their numbers.
    pub(crate) fn files(&self) -> impl Iterator<Item = (u32, Listed<'_>)> {
        (0..self.files).filter_map(|number| Some((number, self.file(number)?)))
    }
}

impl<'a> Listed<'a> {
    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk()?;
        let mut fields = Fields(rest);
        let stamp = Stamp {
            len: fields.u64()?,
            mtime: fields.u64()?.cast_signed(),
            ctime: fields.u64()?.cast_signed(),
            inode: fields.u64()?,
        };
        let len = fields.u16()?;
        let path = Path::new(OsStr::from_bytes(fields.0.get(..usize::from(len))?));
        Some(Self { digest: ContentDigest(*digest), stamp, path })
    }

    /// Writes it; `None` when its path is longer than any that can be opened.
    fn encode(&self) -> Option<Vec<u8>> {
        let path = self.path.as_os_str().as_bytes();
        let len = u16::try_from(path.len()).ok()?;
        let Stamp { len: size, mtime, ctime, inode } = self.stamp;
        let mut bytes = self.digest.0.to_vec();
        for number in [size, mtime.cast_unsigned(), ctime.cast_unsigned(), inode] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(len.to_le_bytes());
        bytes.extend(path);
        Some(bytes)
    }
}

/// Writes a catalog.
#[derive(Debug)]
pub(crate) struct Writer {
    out: BufWriter<Staged>,
    name_len: u32,
    listed: i64,
    at: u64,
    places: Vec<u64>,
}

impl Writer {
    /// Starts the catalog of a seed whose files are listed from now on. `numbers` were given to files before.
    pub(super) fn new(staged: Staged, name: &str, listed: i64, numbers: u32) -> io::Result<Self> {
        let name_len = u32::try_from(name.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut out = BufWriter::new(staged);
        out.write_all(&[0; HEADER_LEN])?;
        out.write_all(name.as_bytes())?;
        let at = (HEADER_LEN as u64).saturating_add(u64::from(name_len));
        Ok(Self { out, name_len, listed, at, places: vec![0; numbers as usize] })
    }

    /// Adds a file that has a number.
    pub(crate) fn keep(&mut self, number: u32, file: &Listed<'_>) -> io::Result<()> {
        let Some(bytes) = file.encode() else { return Ok(()) };
        if let Some(place) = self.places.get_mut(number as usize) {
            *place = self.at;
            self.out.write_all(&bytes)?;
            self.at = self.at.saturating_add(bytes.len() as u64);
        }
        Ok(())
    }

    /// Adds a new file, and returns its number; `None` when no more fit in.
    pub(crate) fn add(&mut self, file: &Listed<'_>) -> io::Result<Option<u32>> {
        let Ok(number) = u32::try_from(self.places.len()) else { return Ok(None) };
        self.places.push(0);
        self.keep(number, file)?;
        Ok(Some(number))
    }

    /// Writes table and header, and returns the file.
    pub(super) fn finish(mut self) -> io::Result<Staged> {
        for place in &self.places {
            self.out.write_all(&place.to_le_bytes())?;
        }
        let mut head = MAGIC.to_vec();
        head.extend(self.listed.to_le_bytes());
        head.extend(self.at.to_le_bytes());
        head.extend(self.name_len.to_le_bytes());
        let files = u32::try_from(self.places.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        head.extend(files.to_le_bytes());
        let staged = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        staged.file().write_all_at(&head, 0)?;
        Ok(staged)
    }
}

/// Reads numbers one after another.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
