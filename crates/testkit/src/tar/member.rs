//! One member of an archive.

use super::BLOCK;
use super::header::{Header, fits_octal};
use super::sparse::{Segments, SparseFormat};

/// How a member says what a plain old header cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// No magic: what does not fit is cut off, big numbers are base-256.
    V7,
    /// POSIX ustar with the name prefix; big numbers are base-256.
    Ustar,
    /// POSIX ustar with pax records for what does not fit.
    #[default]
    Pax,
    /// GNU's magic, `L` and `K` members for long names, base-256, times of access and change in the header.
    Gnu,
}

/// One member: what its header says and what follows it.
#[derive(Debug, Clone)]
pub struct Member {
    typeflag: u8,
    name: Vec<u8>,
    link_name: Vec<u8>,
    mode: i64,
    uid: i64,
    gid: i64,
    modified: (i64, u32),
    accessed: Option<(i64, u32)>,
    changed: Option<(i64, u32)>,
    owner: (Vec<u8>, Vec<u8>),
    device: (i64, i64),
    pub(super) payload: Vec<u8>,
    claimed: Option<i64>,
    dialect: Dialect,
    base256: bool,
    pax: Vec<u8>,
    segments: Option<Segments>,
}

impl Member {
    /// Makes a member of any type flag, with mode 0644, owner 0:0 and time 0.
    pub fn new(typeflag: u8, name: impl AsRef<[u8]>) -> Self {
        Self {
            typeflag,
            name: name.as_ref().to_vec(),
            link_name: Vec::new(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            modified: (0, 0),
            accessed: None,
            changed: None,
            owner: Default::default(),
            device: (0, 0),
            payload: Vec::new(),
            claimed: None,
            dialect: Dialect::default(),
            base256: false,
            pax: Vec::new(),
            segments: None,
        }
    }

    /// Makes a regular file.
    pub fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self { payload: content.as_ref().to_vec(), ..Self::new(b'0', name) }
    }

    /// Makes a hard link to a name of the same archive.
    pub fn hardlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { link_name: target.as_ref().to_vec(), ..Self::new(b'1', name) }
    }

    /// Makes a symbolic link, 0777.
    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { link_name: target.as_ref().to_vec(), mode: 0o777, ..Self::new(b'2', name) }
    }

    /// Makes a character device.
    pub fn char_device(name: impl AsRef<[u8]>, major: i64, minor: i64) -> Self {
        Self { device: (major, minor), ..Self::new(b'3', name) }
    }

    /// Makes a block device.
    pub fn block_device(name: impl AsRef<[u8]>, major: i64, minor: i64) -> Self {
        Self { device: (major, minor), ..Self::new(b'4', name) }
    }

    /// Makes a directory, 0755.
    pub fn dir(name: impl AsRef<[u8]>) -> Self {
        Self { mode: 0o755, ..Self::new(b'5', name) }
    }

    /// Makes a named pipe.
    pub fn fifo(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'6', name)
    }

    /// Makes a pax global header of these records.
    pub fn pax_global<'a>(records: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut payload = Vec::new();
        for (key, value) in records {
            pax_record(&mut payload, key.as_bytes(), value.as_bytes());
        }
        Self { payload, ..Self::new(b'g', "pax_global_header") }
    }

    /// Makes a sparse file of `len` bytes that holds data only at the offsets given; the rest are holes.
    pub fn sparse(name: &str, format: SparseFormat, len: u64, data: &[(u64, &[u8])]) -> Self {
        super::sparse::member(name, format, len, data)
    }

    /// Sets the mode field.
    pub fn mode(self, mode: i64) -> Self {
        Self { mode, ..self }
    }

    /// Sets the numeric owner and group.
    pub fn owner(self, uid: i64, gid: i64) -> Self {
        Self { uid, gid, ..self }
    }

    /// Sets the names of the owner and the group.
    pub fn owner_names(self, user: &str, group: &str) -> Self {
        Self { owner: (user.into(), group.into()), ..self }
    }

    /// Sets the time of modification in seconds and nanoseconds.
    pub fn modified(self, seconds: i64, nanoseconds: u32) -> Self {
        Self { modified: (seconds, nanoseconds), ..self }
    }

    /// Sets the time of access.
    pub fn accessed(self, seconds: i64, nanoseconds: u32) -> Self {
        Self { accessed: Some((seconds, nanoseconds)), ..self }
    }

    /// Sets the time of status change.
    pub fn changed(self, seconds: i64, nanoseconds: u32) -> Self {
        Self { changed: Some((seconds, nanoseconds)), ..self }
    }

    /// Adds an extended attribute, as a `SCHILY.xattr.` record.
    pub fn xattr(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax([b"SCHILY.xattr.", name.as_ref()].concat(), value)
    }

    /// Adds a pax record.
    pub fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        pax_record(&mut self.pax, key.as_ref(), value.as_ref());
        self
    }

    /// Adds bytes to the pax header that need not be a record.
    pub fn pax_raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.pax.extend_from_slice(bytes.as_ref());
        self
    }

    /// Puts bytes after the header, whatever the type.
    pub fn payload(self, payload: impl AsRef<[u8]>) -> Self {
        Self { payload: payload.as_ref().to_vec(), ..self }
    }

    /// Writes this size into the header instead of the payload's length.
    pub fn claimed_len(self, len: i64) -> Self {
        Self { claimed: Some(len), ..self }
    }

    /// Sets how long names and large numbers are written.
    pub fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// Writes all numbers in base-256, even small ones.
    pub fn base256(self) -> Self {
        Self { base256: true, ..self }
    }

    /// Makes it an old GNU sparse member.
    pub(super) fn with_segments(self, segments: Segments) -> Self {
        Self { typeflag: b'S', segments: Some(segments), ..self }
    }

    /// Encodes the headers, the payload and its padding.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_header();
        bytes.extend_from_slice(&self.payload);
        pad(&mut bytes);
        bytes
    }

    /// Encodes the headers only: for payloads too large to be held, which are written after them and padded.
    pub fn encode_header(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pax = self.pax_records();
        if !pax.is_empty() {
            bytes.extend(Self { payload: pax, ..Self::new(b'x', "PaxHeaders/member") }.encode());
        }
        if self.dialect == Dialect::Gnu {
            for (typeflag, text) in [(b'K', &self.link_name), (b'L', &self.name)] {
                if text.len() > 100 {
                    let payload = [text, b"\0".as_slice()].concat();
                    bytes.extend(Self { payload, ..Self::new(typeflag, "././@LongLink") }.encode());
                }
            }
        }
        bytes.extend(self.block());
        if let Some(segments) = &self.segments {
            bytes.extend(segments.extension_blocks());
        }
        bytes
    }

    fn len(&self) -> i64 {
        self.claimed.unwrap_or(self.payload.len() as i64)
    }

    /// Collects the records asked for and those that the dialect needs.
    fn pax_records(&self) -> Vec<u8> {
        let mut records = self.pax.clone();
        if self.dialect != Dialect::Pax {
            return records;
        }
        for (key, text) in [("path", &self.name), ("linkpath", &self.link_name)] {
            if text.len() > 100 {
                pax_record(&mut records, key.as_bytes(), text);
            }
        }
        let numbers = [("uid", self.uid, 8), ("gid", self.gid, 8), ("size", self.len(), 12)];
        for (key, value, width) in numbers {
            if !self.base256 && !fits_octal(value, width) {
                pax_record(&mut records, key.as_bytes(), value.to_string().as_bytes());
            }
        }
        let modified = (self.modified.1 != 0 || !fits_octal(self.modified.0, 12)).then_some(self.modified);
        for (key, time) in [("mtime", modified), ("atime", self.accessed), ("ctime", self.changed)] {
            if let Some(time) = time {
                pax_record(&mut records, key.as_bytes(), pax_time(time).as_bytes());
            }
        }
        records
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut header = Header::new();
        let (prefix, name) = self.split_name();
        header
            .text(0, 100, name)
            .number(100, 8, self.mode, self.base256)
            .number(108, 8, self.octal_or_pax(self.uid, 8), self.base256)
            .number(116, 8, self.octal_or_pax(self.gid, 8), self.base256)
            .number(124, 12, self.octal_or_pax(self.len(), 12), self.base256)
            .number(136, 12, self.octal_or_pax(self.modified.0, 12), self.base256)
            .text(156, 1, &[self.typeflag])
            .text(157, 100, &self.link_name);
        if self.dialect == Dialect::V7 {
            return header.finish();
        }
        let magic: &[u8] = if self.dialect == Dialect::Gnu { b"ustar  \0" } else { b"ustar\x0000" };
        header
            .text(257, 8, magic)
            .text(265, 32, &self.owner.0)
            .text(297, 32, &self.owner.1)
            .number(329, 8, self.device.0, self.base256)
            .number(337, 8, self.device.1, self.base256)
            .text(345, 155, prefix);
        if self.dialect == Dialect::Gnu {
            self.gnu_fields(&mut header);
        }
        header.finish()
    }

    fn gnu_fields(&self, header: &mut Header) {
        for (at, time) in [(345, self.accessed), (357, self.changed)] {
            if let Some((seconds, _)) = time {
                header.number(at, 12, seconds, self.base256);
            }
        }
        if let Some(segments) = &self.segments {
            segments.fill_header(header);
        }
    }

    /// Splits a long name at a slash for ustar's prefix field; other dialects cut it off.
    fn split_name(&self) -> (&[u8], &[u8]) {
        let name = self.name.as_slice();
        if self.dialect != Dialect::Ustar || name.len() <= 100 {
            return (b"", name);
        }
        let slash = name.iter().enumerate().position(|(at, &byte)| byte == b'/' && name.len() - at <= 101);
        slash.map_or((b"".as_slice(), name), |at| (&name[..at], &name[at + 1..]))
    }

    /// Leaves the field 0 when a pax record carries the number.
    fn octal_or_pax(&self, value: i64, width: usize) -> i64 {
        let in_record = self.dialect == Dialect::Pax && !self.base256 && !fits_octal(value, width);
        if in_record { 0 } else { value }
    }
}

/// Appends `LEN KEY=VALUE\n`, where LEN counts its own digits.
pub(super) fn pax_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(format!("{len} ").as_bytes());
    out.extend_from_slice(&[key, b"=", value, b"\n"].concat());
}

fn pax_time((seconds, nanoseconds): (i64, u32)) -> String {
    match (seconds, nanoseconds) {
        (seconds, 0) => seconds.to_string(),
        // A time before 1970 counts its fraction away from zero: -2 s + 0.75 s is written -1.25.
        (seconds, nanos) if seconds < 0 => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos),
        (seconds, nanos) => format!("{seconds}.{nanos:09}"),
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
}
