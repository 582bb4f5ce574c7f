//! Makes layers and their parts for tests, here and in other crates.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::digest::ContentDigest;
use crate::entry::{Chunk, ChunkKind, Content, Entry, EntryKind, Timestamp};
use crate::range::{BlobRange, FileRange};

/// Compresses `content` into one zstd frame.
///
/// # Panics
/// When zstd fails, which takes a machine without memory.
pub fn zstd_frame(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; zstd_safe::compress_bound(content.len())];
    let len = zstd_safe::compress(frame.as_mut_slice(), content, 3)
        .expect("the buffer is as large as it has to be");
    frame.truncate(len);
    frame
}

/// Puts `payload` into a skippable frame as zstd:chunked has them.
pub fn skippable_frame(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&[0x50, 0x2a, 0x4d, 0x18], len.to_le_bytes().as_slice(), payload].concat()
}

/// Draws the entries of a TOC that [`toc::Writer`](crate::toc::Writer) writes without loss, and the length of the part
/// of a blob that their data fits in. The names need not be unique.
pub fn entries() -> impl Strategy<Value = (Vec<Entry>, u64)> {
    (vec(entry(), 0..20), 1..100u64).prop_map(|(mut entries, gap)| {
        let mut at = gap;
        for entry in &mut entries {
            entry.content.iter_mut().for_each(|content| at = place(content, at).saturating_add(gap));
        }
        (entries, at)
    })
}

/// Moves content to the byte `at` of a blob; returns where it ends.
fn place(content: &mut Content, at: u64) -> u64 {
    let mut end = at;
    for chunk in &mut content.chunks {
        chunk.blob = BlobRange::saturating(end, chunk.blob.len());
        end = chunk.blob.end();
    }
    content.range = BlobRange::saturating(at, end.saturating_sub(at));
    end
}

fn entry() -> impl Strategy<Value = Entry> {
    let file = (1..5usize).prop_flat_map(|chunks| vec(chunk(), chunks)).prop_map(Some);
    let kinds = prop_oneof![
        Just(EntryKind::Regular),
        Just(EntryKind::Hardlink),
        Just(EntryKind::Symlink),
        Just(EntryKind::CharDevice),
        Just(EntryKind::BlockDevice),
        Just(EntryKind::Directory),
        Just(EntryKind::Fifo),
    ];
    let kind = prop_oneof![(Just(EntryKind::Regular), file), (kinds, Just(None))];
    let numbers = any::<(i64, i64, i64, i64, i64)>();
    let times = (option::of(timestamp()), option::of(timestamp()), option::of(timestamp()));
    let xattrs = btree_map(text().prop_map(|name| format!("user.{name}")), vec(any::<u8>(), 0..20), 0..3);
    (kind, text(), text(), numbers, times, xattrs, option::of(digest())).prop_map(
        |((kind, chunks), name, link_name, (mode, uid, gid, dev_major, dev_minor), times, xattrs, digest)| {
            let content = chunks.map(|chunks| content(chunks, digest));
            let size =
                content.as_ref().and_then(|content| content.chunks.last()).map_or(0, |last| last.file.end());
            let (modified, accessed, changed) = times;
            let metadata =
                Entry { link_name, mode, size, uid, gid, dev_major, dev_minor, ..Entry::new(kind, name) };
            Entry { modified, accessed, changed, xattrs, content, ..metadata }
        },
    )
}

fn content(mut chunks: Vec<Chunk>, digest: Option<ContentDigest>) -> Content {
    let mut start = 0;
    for chunk in &mut chunks {
        chunk.file = FileRange::saturating(start, chunk.file.len());
        start = chunk.file.end();
    }
    // A TOC does not say more of a file in one piece than of the file.
    if let [only] = chunks.as_mut_slice() {
        (only.digest, only.kind) = (None, ChunkKind::Data);
    }
    Content { digest, range: BlobRange::saturating(0, 0), chunks }
}

fn chunk() -> impl Strategy<Value = Chunk> {
    let kind = prop_oneof![Just(ChunkKind::Data), Just(ChunkKind::Zeros)];
    (1..1_000_000u64, 1..1_000_000u64, option::of(digest()), kind).prop_map(
        |(len, blob_len, digest, kind)| {
            let (file, blob) = (FileRange::saturating(0, len), BlobRange::saturating(0, blob_len));
            Chunk { file, blob, inner_offset: 0, digest, kind }
        },
    )
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![r"(\./)?[a-z<>&]{1,8}(/[a-z.]{1,8}){0,3}/?", r"[^\x00]{0,12}"]
}

fn digest() -> impl Strategy<Value = ContentDigest> {
    any::<[u8; 32]>().prop_map(ContentDigest)
}

/// Draws a time that RFC 3339 can write and that is not the one Go takes for unset.
fn timestamp() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![Just(0), -62_135_596_799..253_402_300_800i64];
    let nanoseconds = prop_oneof![Just(0), 0..1_000_000_000u32];
    (seconds, nanoseconds).prop_map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds })
}
