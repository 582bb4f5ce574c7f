use std::fmt;
use std::io::{self, BufReader, Read};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Invalid;
use super::fold::{Folder, Placement};
use super::guard::Guard;
use super::row::{RowSeed, Text};
use crate::digest::TarSplitDigest;
use crate::entry::Entry;
use crate::error::Error;
use crate::json::{KeyReader, Keys};
use crate::limits::Limits;

/// Bytes of JSON that are read at once.
const BUFFER_LEN: usize = 64 << 10;

/// Longest JSON that is parsed in memory, which takes half the time: the TOC of some 120,000 files.
const IN_MEMORY_LEN_MAX: u64 = 32 << 20;

/// What a TOC says beside its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// The digest of the compressed tar-split, which makes the tar-split as trustworthy as the TOC.
    pub tar_split: Option<TarSplitDigest>,
    /// Whether every file says where its data ends, as containers/storage writes it and eStargz does not.
    pub has_end_offsets: bool,
    /// Bytes of the JSON.
    pub len: u64,
}

/// Reads the JSON of a TOC and gives its entries to `visitor`, in order.
///
/// `payload_len` is the length of the blob's part before the TOC, which must hold all data. The chunks of a file are one
/// entry; every chunk knows its bytes of the blob. Memory is bounded by the largest entry and, where files have no
/// `endOffset`, by the longest run of entries without data. An error may come after entries were given out.
///
/// # Errors
/// [`Error::Toc`] when the TOC is malformed, contradicts itself or the blob, or goes beyond `limits`; [`Error::Read`]
/// when `reader` fails.
pub fn visit<R: Read>(
    reader: R,
    payload_len: u64,
    limits: &Limits,
    visitor: impl FnMut(Entry),
) -> Result<Trailer, Error> {
    read(reader, Placement::Blob { payload_len }, limits, visitor)
}

/// Reads the JSON of a TOC whose data is in no blob, as [`index`](mod@crate::index) writes it: no row may have an offset, and
/// the chunks it gives to `visitor` have the empty range of the blob at 0. Otherwise as [`visit`].
///
/// # Errors
/// Those of [`visit`].
pub fn visit_unplaced<R: Read>(
    reader: R,
    limits: &Limits,
    visitor: impl FnMut(Entry),
) -> Result<Trailer, Error> {
    read(reader, Placement::None, limits, visitor)
}

fn read<R: Read>(
    reader: R,
    placement: Placement,
    limits: &Limits,
    visitor: impl FnMut(Entry),
) -> Result<Trailer, Error> {
    let mut guard = Guard::new(reader, limits);
    let mut document = Document {
        folder: Folder::new(placement, limits, visitor),
        invalid: None,
        version: None,
        has_entries: false,
        tar_split: None,
    };
    let mut start = Vec::new();
    let parsed = match (&mut guard).take(IN_MEMORY_LEN_MAX).read_to_end(&mut start) {
        Ok(len) if (len as u64) < IN_MEMORY_LEN_MAX => {
            document.parse(serde_json::Deserializer::from_slice(&start))
        }
        Ok(_) => {
            let reader = BufReader::with_capacity(BUFFER_LEN, start.chain(&mut guard));
            document.parse(serde_json::Deserializer::from_reader(reader))
        }
        Err(source) => return Err(unread(source)),
    };
    if let Some(invalid) = document.invalid {
        return Err(invalid.into());
    }
    parsed.map_err(failure)?;
    document.check()?;
    let (tar_split, has_end_offsets) = (document.tar_split, document.folder.finish()?);
    Ok(Trailer { tar_split, has_end_offsets, len: guard.len() })
}

/// A whole TOC in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toc {
    /// The entries, in the order of the tar.
    pub entries: Vec<Entry>,
    /// What it says beside them.
    pub trailer: Trailer,
}

impl Toc {
    /// Reads the JSON of a TOC; see [`visit`].
    ///
    /// # Errors
    /// Those of [`visit`].
    pub fn parse<R: Read>(reader: R, payload_len: u64, limits: &Limits) -> Result<Self, Error> {
        let mut entries = Vec::new();
        let trailer = visit(reader, payload_len, limits, |entry| entries.push(entry))?;
        Ok(Self { entries, trailer })
    }

    /// Reads the JSON of a TOC whose data is in no blob; see [`visit_unplaced`].
    ///
    /// # Errors
    /// Those of [`visit_unplaced`].
    pub fn parse_unplaced<R: Read>(reader: R, limits: &Limits) -> Result<Self, Error> {
        let mut entries = Vec::new();
        let trailer = visit_unplaced(reader, limits, |entry| entries.push(entry))?;
        Ok(Self { entries, trailer })
    }
}

/// The object that a TOC is, being read.
struct Document<F> {
    folder: Folder<F>,
    /// Why the folder refused a row; the parser itself can only pass on text.
    invalid: Option<Invalid>,
    version: Option<u64>,
    has_entries: bool,
    tar_split: Option<TarSplitDigest>,
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Version,
    Entries,
    TarSplitDigest,
}

impl Keys for Field {
    const ALL: &'static [(&'static str, Self)] =
        &[("version", Self::Version), ("entries", Self::Entries), ("tarSplitDigest", Self::TarSplitDigest)];
}

impl<F: FnMut(Entry)> Document<F> {
    fn parse<'de, R: serde_json::de::Read<'de>>(
        &mut self,
        mut deserializer: serde_json::Deserializer<R>,
    ) -> serde_json::Result<()> {
        deserializer.deserialize_map(self)?;
        deserializer.end()
    }

    fn check(&self) -> Result<(), Invalid> {
        match self.version {
            None => Err(Invalid::Missing("version")),
            Some(1) if self.has_entries => Ok(()),
            Some(1) => Err(Invalid::Missing("entries")),
            Some(other) => Err(Invalid::Version(other)),
        }
    }
}

impl<'de, F: FnMut(Entry)> Visitor<'de> for &mut Document<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a TOC")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = KeyReader::new();
        while let Some(field) = keys.next(&mut map)? {
            match field {
                Field::Version => self.version = Some(map.next_value()?),
                Field::Entries => {
                    self.has_entries = true;
                    map.next_value_seed(Rows(self))?;
                }
                Field::TarSplitDigest => {
                    self.tar_split = map.next_value_seed(Text(|text: &str| text.parse().map(Some)))?;
                }
            }
        }
        Ok(())
    }
}

/// The array of rows, being read.
struct Rows<'a, F>(&'a mut Document<F>);

impl<'de, F: FnMut(Entry)> DeserializeSeed<'de> for Rows<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Entry)> Visitor<'de> for Rows<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rows of a TOC")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let limits = self.0.folder.limits();
        while let Some(row) = rows.next_element_seed(RowSeed(&limits))? {
            if let Err(invalid) = self.0.folder.row(row) {
                let error = de::Error::custom(&invalid);
                self.0.invalid = Some(invalid);
                return Err(error);
            }
        }
        Ok(())
    }

    // Go writes an array that was never filled as `null`.
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

fn failure(error: serde_json::Error) -> Error {
    if !error.is_io() {
        return Invalid::Malformed(error.to_string().chars().take(200).collect()).into();
    }
    unread(error.into())
}

fn unread(source: io::Error) -> Error {
    match source.get_ref().and_then(|inner| inner.downcast_ref::<Invalid>()) {
        Some(invalid) => invalid.clone().into(),
        None => Error::Read { what: "the TOC", source },
    }
}
