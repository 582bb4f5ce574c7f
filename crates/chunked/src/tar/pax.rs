//! The records of a pax extended header: `LENGTH KEY=VALUE\n`, length in decimal, counting itself and the newline.

use std::collections::BTreeMap;

use super::{Invalid, sparse};
use crate::entry::Timestamp;

const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";
const SPARSE_PREFIX: &[u8] = b"GNU.sparse.";

/// The records that change what a header says. Others are skipped; of a repeated key the last counts.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<i64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) modified: Option<Timestamp>,
    pub(super) accessed: Option<Timestamp>,
    pub(super) changed: Option<Timestamp>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) sparse: Option<sparse::Records>,
}

impl Records {
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, Invalid> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            let (record, rest) = split_record(bytes).ok_or(Invalid::Pax(None))?;
            bytes = rest;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(Invalid::Pax(None))?;
            let (key, value) = record.split_at_checked(equals).ok_or(Invalid::Pax(None))?;
            records.set(key, value.get(1..).unwrap_or_default())?;
        }
        Ok(records)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Invalid> {
        match key {
            b"path" => self.path = text(value, "path")?,
            b"linkpath" => self.link_path = text(value, "linkpath")?,
            b"uname" => drop(text(value, "uname")?),
            b"gname" => drop(text(value, "gname")?),
            b"size" => self.size = number(value, "size")?,
            b"uid" => self.uid = number(value, "uid")?,
            b"gid" => self.gid = number(value, "gid")?,
            b"mtime" => self.modified = time(value, "mtime")?,
            b"atime" => self.accessed = time(value, "atime")?,
            b"ctime" => self.changed = time(value, "ctime")?,
            _ if key.is_empty() || key.contains(&0) => return Err(Invalid::Pax(None)),
            _ => {
                if let Some(key) = key.strip_prefix(SPARSE_PREFIX) {
                    self.sparse.get_or_insert_default().set(key, value);
                } else if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    self.xattrs.insert(name.to_vec(), value.to_vec());
                }
            }
        }
        Ok(())
    }
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let len = usize::try_from(decimal(bytes.get(..space)?)?).ok()?;
    let (record, rest) = bytes.split_at_checked(len)?;
    let record = record.get(space.checked_add(1)?..)?.strip_suffix(b"\n")?;
    Some((record, rest))
}

/// An empty value keeps what the header says.
fn text(value: &[u8], key: &'static str) -> Result<Option<Vec<u8>>, Invalid> {
    match value {
        b"" => Ok(None),
        _ if value.contains(&0) => Err(Invalid::Pax(Some(key))),
        _ => Ok(Some(value.to_vec())),
    }
}

fn number(value: &[u8], key: &'static str) -> Result<Option<i64>, Invalid> {
    let parsed = match value {
        b"" => return Ok(None),
        [b'-', digits @ ..] => decimal(digits).and_then(i64::checked_neg),
        digits => decimal(digits),
    };
    parsed.map(Some).ok_or(Invalid::Pax(Some(key)))
}

/// Reads `[-]SECONDS[.FRACTION]`; digits beyond nanoseconds are dropped.
fn time(value: &[u8], key: &'static str) -> Result<Option<Timestamp>, Invalid> {
    if value.is_empty() {
        return Ok(None);
    }
    timestamp(value).map(Some).ok_or(Invalid::Pax(Some(key)))
}

fn timestamp(value: &[u8]) -> Option<Timestamp> {
    let (whole, fraction) = match value.iter().position(|byte| *byte == b'.') {
        Some(dot) => (value.get(..dot)?, value.get(dot.checked_add(1)?..)?),
        None => (value, [].as_slice()),
    };
    let negative = whole.first() == Some(&b'-');
    let seconds = decimal(whole.strip_prefix(b"-").unwrap_or(whole))?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, _) => Timestamp { seconds, nanoseconds },
        (true, 0) => Timestamp { seconds: seconds.checked_neg()?, nanoseconds: 0 },
        (true, _) => Timestamp { seconds: !seconds, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

pub(super) fn decimal(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}
