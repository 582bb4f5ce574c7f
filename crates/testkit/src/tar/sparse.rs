//! Sparse files as tars write them: only the data, and a map of where it belongs.

use super::BLOCK;
use super::header::Header;
use super::member::{Dialect, Member, pax_record};

/// How the map of a sparse file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SparseFormat {
    /// Type flag `S`, four segments in the header, the rest in extension blocks.
    Gnu,
    /// Pax records `GNU.sparse.offset` and `GNU.sparse.numbytes`, repeated for each segment.
    Pax00,
    /// One pax record `GNU.sparse.map`.
    Pax01,
    /// The map comes before the data, in decimal lines padded to a block.
    Pax10,
}

/// The map of an old GNU sparse member.
#[derive(Debug, Clone)]
pub(super) struct Segments {
    /// Offset and length of each piece of data.
    pieces: Vec<(u64, u64)>,
    len: u64,
}

impl Segments {
    /// Writes the first four segments, the flag for more, and the file's real length.
    pub(super) fn fill_header(&self, header: &mut Header) {
        for (index, piece) in self.pieces.iter().take(4).enumerate() {
            segment(header, 386 + index * 24, *piece);
        }
        let more = u8::from(self.pieces.len() > 4);
        header.text(482, 1, &[more]).number(483, 12, self.len as i64, false);
    }

    /// Encodes the blocks of 21 segments each that follow the header.
    pub(super) fn extension_blocks(&self) -> Vec<u8> {
        let rest = self.pieces.get(4..).unwrap_or_default();
        let blocks = rest.chunks(21).enumerate().map(|(index, pieces)| {
            let mut block = Header::new();
            for (at, piece) in pieces.iter().enumerate() {
                segment(&mut block, at * 24, *piece);
            }
            let more = u8::from((index + 1) * 21 < rest.len());
            block.text(504, 1, &[more]).unsummed()
        });
        blocks.flatten().collect()
    }
}

fn segment(block: &mut Header, at: usize, (offset, len): (u64, u64)) {
    block.number(at, 12, offset as i64, false).number(at + 12, 12, len as i64, false);
}

/// Makes the member [`Member::sparse`] promises.
pub(super) fn member(name: &str, format: SparseFormat, len: u64, data: &[(u64, &[u8])]) -> Member {
    let pieces: Vec<(u64, u64)> = data.iter().map(|(at, bytes)| (*at, bytes.len() as u64)).collect();
    let payload: Vec<u8> = data.iter().flat_map(|(_, bytes)| *bytes).copied().collect();
    let plain = Member::file(name, payload);
    match format {
        SparseFormat::Gnu => plain.dialect(Dialect::Gnu).with_segments(Segments { pieces, len }),
        SparseFormat::Pax00 => pax_0(plain, len, &pieces).pax_raw(offsets_and_lengths(&pieces)),
        SparseFormat::Pax01 => pax_0(plain, len, &pieces).pax("GNU.sparse.map", numbers(&pieces).join(",")),
        SparseFormat::Pax10 => pax_1(plain, name, len, &pieces),
    }
}

fn pax_0(plain: Member, len: u64, pieces: &[(u64, u64)]) -> Member {
    plain.pax("GNU.sparse.size", len.to_string()).pax("GNU.sparse.numblocks", pieces.len().to_string())
}

fn offsets_and_lengths(pieces: &[(u64, u64)]) -> Vec<u8> {
    let mut records = Vec::new();
    for (offset, len) in pieces {
        pax_record(&mut records, b"GNU.sparse.offset", offset.to_string().as_bytes());
        pax_record(&mut records, b"GNU.sparse.numbytes", len.to_string().as_bytes());
    }
    records
}

fn pax_1(plain: Member, name: &str, len: u64, pieces: &[(u64, u64)]) -> Member {
    let mut map = format!("{}\n{}\n", pieces.len(), numbers(pieces).join("\n")).into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    let payload = [map, plain.payload.clone()].concat();
    plain
        .payload(payload)
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.name", name)
        .pax("GNU.sparse.realsize", len.to_string())
}

fn numbers(pieces: &[(u64, u64)]) -> Vec<String> {
    pieces.iter().flat_map(|(offset, len)| [offset.to_string(), len.to_string()]).collect()
}
