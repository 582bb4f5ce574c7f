//! Requests and answers of the FUSE protocol as bytes, as far as a read-only directory needs them.
//!
//! Source: `include/uapi/linux/fuse.h` of Linux, version 7.44. Numbers are in the byte order of the machine.

use rustix::io::Errno;

/// The version of the protocol that is spoken.
const MAJOR: u32 = 7;
const MINOR: u32 = 44;

/// Bytes of the header of a request.
pub const IN_HEADER_LEN: usize = 40;
/// Bytes of the header of an answer.
pub const OUT_HEADER_LEN: usize = 16;

/// Set in the number of a request that the kernel sends again (`FUSE_UNIQUE_RESEND`).
pub const RESENT: u64 = 1 << 63;

/// The node of the root directory (`FUSE_ROOT_ID`).
pub const ROOT: u64 = 1;

/// A time that never comes, in seconds; the kernel takes it for the longest it can count.
const FOR_EVER: u64 = 1 << 40;

/// Flags of `INIT` that are of use here.
mod flag {
    pub(super) const ASYNC_READ: u64 = 1 << 0;
    pub(super) const NO_OPEN_SUPPORT: u64 = 1 << 17;
    pub(super) const PARALLEL_DIROPS: u64 = 1 << 18;
    pub(super) const MAX_PAGES: u64 = 1 << 22;
    pub(super) const NO_OPENDIR_SUPPORT: u64 = 1 << 24;
    pub(super) const INIT_EXT: u64 = 1 << 30;
    pub(super) const HAS_RESEND: u64 = 1 << 39;
    pub(super) const WANTED: u64 = ASYNC_READ
        | NO_OPEN_SUPPORT
        | PARALLEL_DIROPS
        | MAX_PAGES
        | NO_OPENDIR_SUPPORT
        | INIT_EXT
        | HAS_RESEND;
}

/// A request of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its number, which the answer bears.
    pub unique: u64,
    /// The file or directory it is about.
    pub node: u64,
    /// What is asked for.
    pub operation: Operation<'a>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// To agree on how to speak.
    Init(Init),
    /// The node of a name in a directory.
    Lookup(&'a [u8]),
    /// Nothing: the kernel forgets nodes.
    Forget,
    /// The attributes of a node.
    GetAttributes,
    /// To open a file or a directory, which nobody needs to.
    Open,
    /// Bytes of a file.
    Read {
        /// The first.
        offset: u64,
        /// How many.
        len: u32,
    },
    /// The names in a directory.
    ReadDirectory,
    /// How large the file system is.
    StatFs,
    /// To give up another request.
    Interrupt {
        /// The number of that one.
        unique: u64,
    },
    /// Nothing: the file system goes away.
    Destroy,
    /// Anything else.
    Other(u32),
}

/// How the kernel can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Init {
    /// The version it speaks.
    pub major: u32,
    /// The version within that one.
    pub minor: u32,
    /// Most bytes it reads ahead.
    pub readahead: u32,
    /// What else it can.
    pub flags: u64,
}

/// Says that bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// There are fewer bytes than a header has, or another number than the header says.
    #[error("the request has {found} bytes, expected {expected}")]
    Len {
        /// Bytes that came.
        found: usize,
        /// Bytes that should have come.
        expected: usize,
    },
    /// The operation needs more bytes than there are.
    #[error("the request with the operation {operation} ends early")]
    Short {
        /// The operation's number.
        operation: u32,
    },
}

impl<'a> Request<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Invalid`] when it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Invalid> {
        let short = Invalid::Len { found: bytes.len(), expected: IN_HEADER_LEN };
        let (header, body) = bytes.split_at_checked(IN_HEADER_LEN).ok_or(short)?;
        let mut header = Fields(header);
        let (len, operation) = (header.u32(), header.u32());
        let (unique, node) = (header.u64(), header.u64());
        let len = usize::try_from(len.unwrap_or(0)).unwrap_or(usize::MAX);
        if len != bytes.len() {
            return Err(Invalid::Len { found: bytes.len(), expected: len });
        }
        let operation = operation.unwrap_or(0);
        let parsed = Operation::parse(operation, Fields(body)).ok_or(Invalid::Short { operation })?;
        Ok(Self { unique: unique.unwrap_or(0), node: node.unwrap_or(0), operation: parsed })
    }
}

impl<'a> Operation<'a> {
    fn parse(number: u32, mut body: Fields<'a>) -> Option<Self> {
        Some(match number {
            1 => Self::Lookup(body.name()?),
            2 | 42 => Self::Forget,
            3 => Self::GetAttributes,
            14 | 27 => Self::Open,
            15 => {
                let _handle = body.u64()?;
                Self::Read { offset: body.u64()?, len: body.u32()? }
            }
            17 => Self::StatFs,
            26 => Self::Init(Init::parse(body)?),
            28 | 44 => Self::ReadDirectory,
            36 => Self::Interrupt { unique: body.u64()? },
            38 => Self::Destroy,
            other => Self::Other(other),
        })
    }
}

impl Init {
    fn parse(mut body: Fields<'_>) -> Option<Self> {
        let (major, minor, readahead) = (body.u32()?, body.u32()?, body.u32()?);
        let low = u64::from(body.u32()?);
        let high = if low & flag::INIT_EXT != 0 { u64::from(body.u32()?) } else { 0 };
        Some(Self { major, minor, readahead, flags: low | high << 32 })
    }

    /// Tells whether the kernel speaks a version that is understood.
    pub fn is_understood(&self) -> bool {
        self.major == MAJOR && self.minor >= 31
    }

    /// Tells whether the kernel sends requests again when it is asked to.
    pub fn can_resend(&self) -> bool {
        self.flags & flag::HAS_RESEND != 0
    }

    /// Writes the answer: what both can, reads of up to `max_len` bytes, `background` of them at once.
    pub fn answer(&self, max_len: u32, background: u16) -> Vec<u8> {
        let flags = self.flags & flag::WANTED;
        let halves = (flags as u32, (flags >> 32) as u32);
        let mut out = Vec::with_capacity(64);
        for number in [MAJOR, self.minor.min(MINOR), self.readahead, halves.0] {
            out.extend(number.to_ne_bytes());
        }
        out.extend(background.to_ne_bytes());
        out.extend((background - background / 4).to_ne_bytes());
        // Nothing is written, but the kernel wants room for a page.
        out.extend(4096_u32.to_ne_bytes());
        out.extend(1_u32.to_ne_bytes());
        let pages = u16::try_from(max_len / 4096).unwrap_or(u16::MAX);
        out.extend(pages.to_ne_bytes());
        out.extend(0_u16.to_ne_bytes());
        out.extend(halves.1.to_ne_bytes());
        out.resize(64, 0);
        out
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file of so many bytes.
    File(u64),
}

/// Writes the answer to a lookup.
pub fn entry(node: u64, kind: Kind) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    for number in [node, 0, FOR_EVER, FOR_EVER, 0] {
        out.extend(number.to_ne_bytes());
    }
    put_attributes(node, kind, &mut out);
    out
}

/// Writes the answer to a question for attributes.
pub fn attributes(node: u64, kind: Kind) -> Vec<u8> {
    let mut out = Vec::with_capacity(104);
    out.extend(FOR_EVER.to_ne_bytes());
    out.extend(0_u64.to_ne_bytes());
    put_attributes(node, kind, &mut out);
    out
}

fn put_attributes(node: u64, kind: Kind, out: &mut Vec<u8>) {
    let (len, mode, links): (u64, u32, u32) = match kind {
        Kind::Directory => (0, 0o040_555, 2),
        Kind::File(len) => (len, 0o100_444, 1),
    };
    for number in [node, len, len.div_ceil(512), 0, 0, 0] {
        out.extend(number.to_ne_bytes());
    }
    for number in [0, 0, 0, mode, links, 0, 0, 0, 4096, 0] {
        out.extend(number.to_ne_bytes());
    }
}

/// Writes the answer to a question for the size of the file system: there is no saying.
pub fn stat_fs() -> Vec<u8> {
    let mut out = vec![0; 40];
    for number in [4096_u32, 255, 4096] {
        out.extend(number.to_ne_bytes());
    }
    out.resize(80, 0);
    out
}

/// Writes the header of an answer of `len` further bytes.
pub fn header(unique: u64, len: usize) -> [u8; OUT_HEADER_LEN] {
    out_header(unique, 0, len)
}

/// Writes an answer that is an error.
pub fn error(unique: u64, errno: Errno) -> [u8; OUT_HEADER_LEN] {
    out_header(unique, errno.raw_os_error().saturating_neg(), 0)
}

/// Writes the message that asks for all requests that were not answered (`FUSE_NOTIFY_RESEND`).
pub fn resend() -> [u8; OUT_HEADER_LEN] {
    const NOTIFY_RESEND: i32 = 7;
    out_header(0, NOTIFY_RESEND, 0)
}

fn out_header(unique: u64, error: i32, len: usize) -> [u8; OUT_HEADER_LEN] {
    let total = u32::try_from(OUT_HEADER_LEN.saturating_add(len)).unwrap_or(u32::MAX);
    let mut out = [0; OUT_HEADER_LEN];
    out[..4].copy_from_slice(&total.to_ne_bytes());
    out[4..8].copy_from_slice(&error.to_ne_bytes());
    out[8..].copy_from_slice(&unique.to_ne_bytes());
    out
}

/// Fields of a request, one after another.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    /// Takes a name, which ends with a zero.
    fn name(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        self.0.get(..end)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(operation: u32, body: &[u8]) -> Vec<u8> {
        let len = (IN_HEADER_LEN + body.len()) as u32;
        let mut bytes = [len.to_ne_bytes(), operation.to_ne_bytes()].concat();
        bytes.extend(7_u64.to_ne_bytes());
        bytes.extend(9_u64.to_ne_bytes());
        bytes.resize(IN_HEADER_LEN, 0);
        bytes.extend(body);
        bytes
    }

    fn operation(number: u32, body: &[u8]) -> Result<Operation<'static>, Invalid> {
        let bytes = request(number, body).leak();
        let Request { unique: 7, node: 9, operation } = Request::parse(bytes)? else { panic!("the header") };
        Ok(operation)
    }

    #[test]
    fn requests_are_read() {
        assert_eq!(operation(1, b"aa\0"), Ok(Operation::Lookup(b"aa")));
        assert_eq!(operation(42, b"whatever"), Ok(Operation::Forget));
        let read = [1_u64.to_ne_bytes(), 4096_u64.to_ne_bytes(), 512_u64.to_ne_bytes()].concat();
        let len = u32::from_ne_bytes(read[16..20].try_into().unwrap());
        assert_eq!(operation(15, &read), Ok(Operation::Read { offset: 4096, len }));
        assert_eq!(operation(36, &8_u64.to_ne_bytes()), Ok(Operation::Interrupt { unique: 8 }));
        assert_eq!(operation(4711, b""), Ok(Operation::Other(4711)));
    }

    #[test]
    fn what_is_too_short_is_none() {
        for (number, body) in [(1, b"aa".as_slice()), (15, &[0; 19]), (26, &[0; 15]), (36, &[0; 7])] {
            assert_eq!(operation(number, body), Err(Invalid::Short { operation: number }));
        }
        let whole = request(3, b"");
        for len in 0..whole.len() {
            assert!(Request::parse(&whole[..len]).is_err());
        }
        assert!(Request::parse(&[whole, vec![0]].concat()).is_err());
    }

    #[test]
    fn the_handshake_takes_what_both_can() {
        let flags = (flag::INIT_EXT | flag::ASYNC_READ | 1 << 5) as u32;
        let body = [7, 40, 131_072, flags, (flag::HAS_RESEND >> 32) as u32 | 1].map(u32::to_ne_bytes);
        let Ok(Operation::Init(init)) = operation(26, body.as_flattened()) else { panic!("no INIT") };
        assert!(init.is_understood() && init.can_resend());
        let answer = init.answer(1 << 20, 64);
        let numbers: Vec<_> = answer.as_chunks().0.iter().map(|bytes| u32::from_ne_bytes(*bytes)).collect();
        assert_eq!(numbers[..4], [7, 40, 131_072, (flag::INIT_EXT | flag::ASYNC_READ) as u32]);
        assert_eq!((numbers[7] & 0xffff, numbers[8]), (256, (flag::HAS_RESEND >> 32) as u32));
        assert_eq!(answer.len(), 64);
    }

    #[test]
    fn answers_have_the_lengths_of_the_protocol() {
        assert_eq!(entry(2, Kind::Directory).len(), 128);
        assert_eq!(attributes(2, Kind::File(1)).len(), 104);
        assert_eq!(stat_fs().len(), 80);
        assert_eq!(error(3, Errno::IO)[4..8], (-5_i32).to_ne_bytes());
    }
}
