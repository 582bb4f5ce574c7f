//! Tar members, read from bytes: one header with its extensions at a time.
//!
//! What a header means follows Go's `archive/tar`, because that is the reader that wrote and checks every TOC in the
//! field: pax records override the header, a GNU long name overrides both, a typeflag of NUL is a regular file or, with
//! a trailing slash, a directory.

mod header;
mod member;
mod path;
mod pax;
mod sparse;
mod walk;

pub use header::BLOCK_LEN;
pub use member::{Member, Unfaithful};
pub use path::clean;
pub use sparse::{Map, Sparse};
pub use walk::{Event, Walk};

use crate::limits::Limits;
use header::Header;

/// Says why bytes are not a tar header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The header's checksum does not match its bytes.
    #[error("tar header has checksum {found}, its bytes sum to {expected}")]
    Checksum {
        /// Sum of the header's bytes.
        expected: u64,
        /// Sum the header claims.
        found: u64,
    },
    /// A number is neither octal nor base-256, or does not fit.
    #[error("tar header has no valid number in its field `{0}`")]
    Number(&'static str),
    /// A pax record is malformed.
    #[error("pax header has a malformed record{}", .0.map(|key| format!(" `{key}`")).unwrap_or_default())]
    Pax(Option<&'static str>),
    /// A pax header or GNU long name is larger than the limit, by itself or with those before it.
    #[error("tar extension header of {len} bytes goes beyond the limit of {limit} for a member")]
    ExtensionTooLong {
        /// Bytes claimed.
        len: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// More extension headers come before one member than any writer needs.
    #[error("tar has more than {MOST_EXTENSIONS} extension headers before one member")]
    TooManyExtensions,
    /// The bytes end inside a header or inside a payload.
    #[error("tar ends {missing} bytes early")]
    Truncated {
        /// Bytes that should have followed, as far as is known.
        missing: u64,
    },
    /// Extension headers are followed by the end of the tar.
    #[error("tar extension header is followed by no member")]
    NoMember,
    /// One block of zeros is followed by something else: neither an end nor a header.
    #[error("tar has a single zero block that is not at its end")]
    LoneZeroBlock,
}

/// Extension headers before one member: writers need a pax header, a long name and a long link. The bound keeps a member's
/// header small and its parsing quick.
const MOST_EXTENSIONS: usize = 8;

/// What the bytes at a member boundary are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The answer needs at least this many bytes from the boundary, more than were given.
    NeedMore(usize),
    /// A member whose headers, extensions included, take `header_len` bytes; its payload follows.
    Member {
        /// Bytes from the boundary to the payload, a multiple of 512.
        header_len: usize,
        /// What the headers say.
        member: Box<Member>,
    },
    /// The two zero blocks that end a tar.
    End,
}

/// Reads the member that starts at the first byte of `bytes`.
///
/// # Errors
/// [`Invalid`] when the bytes cannot be a header, whatever follows them.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Step, Invalid> {
    let mut extensions = Extensions::default();
    let mut at = 0usize;
    loop {
        let Some(block) = block_at(bytes, at) else {
            return Ok(Step::NeedMore(at.saturating_add(BLOCK_LEN)));
        };
        if block == &[0; BLOCK_LEN] {
            return if extensions.count == 0 { end(bytes, at) } else { Err(Invalid::NoMember) };
        }
        let header = Header::parse(block)?;
        at = at.saturating_add(BLOCK_LEN);
        if !matches!(header.typeflag, b'x' | b'L' | b'K') {
            let after = bytes.get(at..).unwrap_or_default();
            return member(header, block, after, at, extensions, limits);
        }
        let len = extension_len(&header, at, limits)?;
        extensions.count = extensions.count.saturating_add(1);
        if extensions.count > MOST_EXTENSIONS {
            return Err(Invalid::TooManyExtensions);
        }
        let padded = len.next_multiple_of(BLOCK_LEN);
        let Some(payload) = at.checked_add(len).and_then(|end| bytes.get(at..end)) else {
            return Ok(Step::NeedMore(at.saturating_add(padded)));
        };
        extensions.add(header.typeflag, payload)?;
        at = at.saturating_add(padded);
    }
}

/// Ends the headers of a member, the last of which is `block`, with the `after` bytes that follow it at `at`.
fn member(
    header: Header,
    block: &[u8; BLOCK_LEN],
    after: &[u8],
    at: usize,
    extensions: Extensions,
    limits: &Limits,
) -> Result<Step, Invalid> {
    let mut member = Box::new(Member::new(header, extensions)?);
    if member.typeflag != b'S' {
        return Ok(Step::Member { header_len: at, member });
    }
    let Some(blocks) = sparse::extension_blocks(block, after) else {
        let whole = after.len().saturating_sub(after.len() % BLOCK_LEN);
        let len = at.saturating_add(whole).saturating_add(BLOCK_LEN);
        let limit = limits.tar_extension_len;
        if len as u64 > limit {
            return Err(Invalid::ExtensionTooLong { len: len as u64, limit });
        }
        return Ok(Step::NeedMore(len));
    };
    let len = blocks.saturating_mul(BLOCK_LEN);
    member.sparse = Some(sparse::gnu(block, after.get(..len).unwrap_or_default(), member.size));
    Ok(Step::Member { header_len: at.saturating_add(len), member })
}

/// What pax headers and GNU long names say about the member that follows them.
#[derive(Debug, Default)]
struct Extensions {
    pax: pax::Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    count: usize,
}

impl Extensions {
    fn add(&mut self, typeflag: u8, payload: &[u8]) -> Result<(), Invalid> {
        let text = || payload.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match typeflag {
            b'L' => self.long_name = Some(text()),
            b'K' => self.long_link = Some(text()),
            _ => self.pax = pax::Records::parse(payload)?,
        }
        Ok(())
    }
}

/// Returns the length of an extension after `before` bytes of headers; all of them together must stay within the limit.
fn extension_len(header: &Header, before: usize, limits: &Limits) -> Result<usize, Invalid> {
    let len = u64::try_from(header.size).map_err(|_| Invalid::Number("size"))?;
    let limit = limits.tar_extension_len;
    match usize::try_from(len) {
        Ok(fits) if len.saturating_add(before as u64) <= limit => Ok(fits),
        _ => Err(Invalid::ExtensionTooLong { len, limit }),
    }
}

fn end(bytes: &[u8], at: usize) -> Result<Step, Invalid> {
    let second = at.saturating_add(BLOCK_LEN);
    match block_at(bytes, second) {
        None => Ok(Step::NeedMore(second.saturating_add(BLOCK_LEN))),
        Some(block) if block == &[0; BLOCK_LEN] => Ok(Step::End),
        Some(_) => Err(Invalid::LoneZeroBlock),
    }
}

fn block_at(bytes: &[u8], at: usize) -> Option<&[u8; BLOCK_LEN]> {
    bytes.get(at..)?.first_chunk()
}

#[cfg(test)]
pub(crate) mod tests;
