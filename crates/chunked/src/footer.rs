//! The last bytes of a blob, which say where its TOC is.
//!
//! A footer carries no digest: it helps tools that have nothing but the blob. Whoever has the layer's annotations takes
//! the [`Location`] from there.

use crate::frame::SKIPPABLE_MAGIC;
use crate::location::{Located, Location, Misplaced, TOC_TYPE};
use crate::range::BlobRange;

/// Bytes of the longest footer, the header of its skippable frame included: what [`parse`] wants to see of a blob's end.
pub const MAX_LEN: usize = 72;

/// Ends the 64-byte footer.
const MAGIC: [u8; 8] = *b"GNUlInUx";
/// Ends the older ones, and that of stargz-snapshotter.
const OLD_MAGIC: [u8; 8] = *b"GnUlInUx";

/// Tells the footers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// containers/storage since 1.50: 64 bytes, with the place of the tar-split.
    Zstd64,
    /// containers/storage 1.47 to 1.49: 56 bytes, the last 16 of them zero where the tar-split should be.
    Zstd56,
    /// containers/storage up to 1.46, and stargz-snapshotter: 40 bytes.
    Zstd40,
    /// eStargz: an empty gzip member of 51 bytes.
    Estargz,
    /// stargz before eStargz: an empty gzip member of 47 bytes.
    LegacyStargz,
    /// eStargz whose TOC is in another image: an empty gzip member of 46 bytes.
    ExternalToc,
}

impl Kind {
    /// Tells which footer of zstd:chunked takes that many bytes.
    pub(crate) fn of_zstd_len(blob_len: u64) -> Option<Self> {
        [Self::Zstd64, Self::Zstd56, Self::Zstd40].into_iter().find(|kind| kind.blob_len() == blob_len)
    }

    /// Counts the bytes at the blob's end, the header of a skippable frame included.
    pub fn blob_len(self) -> u64 {
        match self {
            Self::Zstd64 => 72,
            Self::Zstd56 => 64,
            Self::Zstd40 => 48,
            Self::Estargz => 51,
            Self::LegacyStargz => 47,
            Self::ExternalToc => 46,
        }
    }
}

/// What a footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footer {
    /// One of zstd:chunked.
    Zstd {
        /// Which one.
        kind: Kind,
        /// Where the metadata is; inside the blob and before the footer.
        location: Location,
    },
    /// One of eStargz or its predecessor.
    Gzip {
        /// Which one.
        kind: Kind,
        /// The gzip members that hold the TOC as a tar member: up to the footer.
        toc: BlobRange,
    },
    /// The TOC is not in the blob.
    ExternalToc,
}

/// Says why the end of a blob looks like a footer and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The TOC is of an unknown type.
    #[error("the footer names a TOC of type {0}, expected {TOC_TYPE}")]
    Type(u64),
    /// Something is placed where it cannot be.
    #[error("the footer is wrong: {0}")]
    Misplaced(Misplaced),
}

/// Encodes the current footer, 64 bytes behind the 8-byte header of its skippable frame.
pub fn encode(location: &Location) -> [u8; MAX_LEN] {
    let numbers = |located: &Located| [located.range.start(), located.range.len(), located.len];
    let toc = numbers(&location.toc);
    let tar_split = location.tar_split.as_ref().map_or([0; 3], numbers);
    let fields = toc.into_iter().chain([TOC_TYPE]).chain(tar_split).flat_map(u64::to_le_bytes);
    let bytes = SKIPPABLE_MAGIC.into_iter().chain(64u32.to_le_bytes()).chain(fields).chain(MAGIC);
    let mut footer = [0; MAX_LEN];
    footer.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    footer
}

/// Parses the footer at the end of a blob of `blob_len` bytes; `None` when there is none.
///
/// `tail` is the end of the blob: [`MAX_LEN`] bytes, or more, or all there are.
///
/// # Errors
/// [`Invalid`] when there is a footer whose numbers cannot be.
pub fn parse(tail: &[u8], blob_len: u64) -> Result<Option<Footer>, Invalid> {
    for kind in [Kind::Zstd64, Kind::Zstd56, Kind::Zstd40] {
        if let Some(fields) = zstd_fields(tail, kind) {
            return zstd(kind, &fields, blob_len.saturating_sub(kind.blob_len())).map(Some);
        }
    }
    for kind in [Kind::Estargz, Kind::LegacyStargz] {
        if let Some(offset) = toc_offset(tail, kind) {
            return gzip(kind, offset, blob_len.saturating_sub(kind.blob_len())).map(Some);
        }
    }
    let external = gzip_extra(tail, Kind::ExternalToc) == Some(b"SG\x11\0STARGZEXTERNALTOC");
    Ok(external.then_some(Footer::ExternalToc))
}

/// Takes the little-endian numbers of a zstd footer of that kind, its magic among them.
fn zstd_fields(tail: &[u8], kind: Kind) -> Option<Vec<u64>> {
    let (header, payload) = last(tail, kind)?.split_at_checked(8)?;
    let (magic, len) = header.split_at_checked(4)?;
    if magic != SKIPPABLE_MAGIC || len != u32::try_from(payload.len()).ok()?.to_le_bytes() {
        return None;
    }
    let fields: Vec<u64> =
        payload.chunks_exact(8).filter_map(|field| field.try_into().ok()).map(u64::from_le_bytes).collect();
    let (at, magic) = if kind == Kind::Zstd64 { (7, MAGIC) } else { (4, OLD_MAGIC) };
    (fields.get(at) == Some(&u64::from_le_bytes(magic))).then_some(fields)
}

fn zstd(kind: Kind, fields: &[u64], end: u64) -> Result<Footer, Invalid> {
    let located = |at: usize| {
        let numbers = fields.get(at..)?.first_chunk()?;
        (*numbers != [0; 3]).then(|| Located::from_numbers(*numbers))
    };
    match fields.get(3) {
        Some(&TOC_TYPE) => {}
        other => return Err(Invalid::Type(other.copied().unwrap_or_default())),
    }
    let toc = located(0).unwrap_or(Located::from_numbers([0; 3]));
    let tar_split = if kind == Kind::Zstd64 { located(4) } else { None };
    let location = Location { toc, tar_split };
    location.check(end).map_err(Invalid::Misplaced)?;
    Ok(Footer::Zstd { kind, location })
}

fn gzip(kind: Kind, offset: u64, end: u64) -> Result<Footer, Invalid> {
    match BlobRange::new(offset, end).filter(|range| !range.is_empty()) {
        Some(toc) => Ok(Footer::Gzip { kind, toc }),
        None => {
            let (found, room) = (BlobRange::saturating(offset, 0), BlobRange::saturating(0, end));
            Err(Invalid::Misplaced(Misplaced { what: "TOC", found, room }))
        }
    }
}

/// Takes the offset of the TOC, 16 hexadecimal digits, from a gzip footer of that kind.
fn toc_offset(tail: &[u8], kind: Kind) -> Option<u64> {
    let extra = gzip_extra(tail, kind)?;
    let field = if kind == Kind::Estargz { extra.strip_prefix(b"SG\x16\0")? } else { extra };
    let digits = field.strip_suffix(b"STARGZ").filter(|digits| digits.len() == 16)?;
    let is_lower_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(is_lower_hex))?;
    u64::from_str_radix(text, 16).ok()
}

/// Takes the extra field of an empty gzip member with the length of that kind.
fn gzip_extra(tail: &[u8], kind: Kind) -> Option<&[u8]> {
    // An empty stored block, and the checksum and length of nothing.
    const EMPTY: &[u8] = &[1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    let (header, rest) = last(tail, kind)?.split_at_checked(10)?;
    let (len, rest) = rest.split_first_chunk()?;
    let extra = rest.strip_suffix(EMPTY)?;
    let matches =
        header.starts_with(&[0x1f, 0x8b, 8, 4]) && usize::from(u16::from_le_bytes(*len)) == extra.len();
    matches.then_some(extra)
}

fn last(tail: &[u8], kind: Kind) -> Option<&[u8]> {
    let len = usize::try_from(kind.blob_len()).ok()?;
    tail.get(tail.len().checked_sub(len)?..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::skippable_frame;

    fn numbers(toc: [u64; 3], tar_split: Option<[u64; 3]>) -> Location {
        Location { toc: Located::from_numbers(toc), tar_split: tar_split.map(Located::from_numbers) }
    }

    fn old(toc: [u64; 4], zeros: usize) -> Vec<u8> {
        let fields: Vec<u8> = toc.into_iter().flat_map(u64::to_le_bytes).collect();
        skippable_frame(&[fields.as_slice(), &OLD_MAGIC, &vec![0; zeros]].concat())
    }

    fn gzip_member(extra: &[u8]) -> Vec<u8> {
        let len = u16::try_from(extra.len()).unwrap().to_le_bytes();
        let header = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff];
        [&header, len.as_slice(), extra, &[1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]].concat()
    }

    #[test]
    fn the_current_footer_round_trips() {
        // A real one, from the documentation of the zstd-chunked crate.
        let location = numbers([107_123_052, 1_009_822, 5_525_223], Some([108_132_882, 612_322, 15_402_870]));
        let bytes = encode(&location);
        assert_eq!(bytes[..16], [0x50, 0x2a, 0x4d, 0x18, 0x40, 0, 0, 0, 0x6c, 0x91, 0x62, 0x06, 0, 0, 0, 0]);
        assert_eq!(bytes[32..40], 1u64.to_le_bytes());
        assert_eq!(&bytes[64..], b"GNUlInUx");
        let blob_len = 108_132_882 + 612_322 + 72;
        assert_eq!(parse(&bytes, blob_len), Ok(Some(Footer::Zstd { kind: Kind::Zstd64, location })));
        let alone = numbers([8, 2, 3], None);
        assert_eq!(
            parse(&encode(&alone), 82),
            Ok(Some(Footer::Zstd { kind: Kind::Zstd64, location: alone }))
        );
    }

    #[test]
    fn older_footers_are_known() {
        let location = numbers([20, 30, 40], None);
        for (bytes, kind) in
            [(old([20, 30, 40, 1], 0), Kind::Zstd40), (old([20, 30, 40, 1], 16), Kind::Zstd56)]
        {
            assert_eq!(bytes.len() as u64, kind.blob_len());
            assert_eq!(parse(&bytes, 50 + kind.blob_len()), Ok(Some(Footer::Zstd { kind, location })));
            let longer = [b"more of the blob".as_slice(), &bytes].concat();
            assert_eq!(parse(&longer, 50 + kind.blob_len()), Ok(Some(Footer::Zstd { kind, location })));
        }
    }

    #[test]
    fn gzip_footers_are_known() {
        let toc = BlobRange::new(0x1f0, 0x200).unwrap();
        for (extra, kind) in [
            (b"SG\x16\x0000000000000001f0STARGZ".as_slice(), Kind::Estargz),
            (b"00000000000001f0STARGZ".as_slice(), Kind::LegacyStargz),
        ] {
            let bytes = gzip_member(extra);
            assert_eq!(bytes.len() as u64, kind.blob_len());
            assert_eq!(parse(&bytes, 0x200 + kind.blob_len()), Ok(Some(Footer::Gzip { kind, toc })));
        }
        let external = gzip_member(b"SG\x11\0STARGZEXTERNALTOC");
        assert_eq!(external.len() as u64, Kind::ExternalToc.blob_len());
        assert_eq!(parse(&external, 1000), Ok(Some(Footer::ExternalToc)));
    }

    #[test]
    fn what_is_no_footer_is_none() {
        let footer = encode(&numbers([8, 2, 3], None));
        assert_eq!(parse(b"", 0), Ok(None));
        assert_eq!(parse(&[0; 72], 72), Ok(None));
        assert_eq!(parse(&footer[1..], 81), Ok(None));
        assert_eq!(parse(&footer[..71], 81), Ok(None));
        for at in (0..8).chain(64..72) {
            let mut damaged = footer;
            damaged[at] ^= 0x20;
            assert_eq!(parse(&damaged, 82), Ok(None), "{at}");
        }
        for extra in [b"00000000000001F0STARGZ", b"+0000000000001f0STARGZ", b"00000000000001f0STARGX"] {
            assert_eq!(parse(&gzip_member(extra), 0x400), Ok(None));
        }
    }

    #[test]
    fn impossible_numbers_are_refused() {
        let text = |bytes: &[u8], blob_len: u64| parse(bytes, blob_len).unwrap_err().to_string();
        insta::assert_snapshot!(text(&old([20, 30, 40, 2], 0), 98), @"the footer names a TOC of type 2, expected 1");
        insta::assert_snapshot!(text(&old([20, 31, 40, 1], 0), 98), @"the footer is wrong: the TOC is placed at bytes 20..51 of the blob, expected within 8..50");
        insta::assert_snapshot!(text(&old([0, 0, 0, 1], 0), 98), @"the footer is wrong: the TOC is placed at bytes 0..0 of the blob, expected within 8..50");
        insta::assert_snapshot!(text(&encode(&numbers([8, 2, 3], Some([17, 2, 3]))), 200), @"the footer is wrong: the tar-split is placed at bytes 17..19 of the blob, expected within 18..128");
        insta::assert_snapshot!(text(&gzip_member(b"00000000000001f0STARGZ"), 0x100), @"the footer is wrong: the TOC is placed at bytes 496..496 of the blob, expected within 0..209");
    }
}
