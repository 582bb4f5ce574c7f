//! The building blocks by themselves, in memory and on one thread: `cargo bench -p morsel-benches`.
//!
//! Unfair to the whole in that every block has the caches to itself. The content is made up: half text, half noise.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use chunked::chunker;
use chunked::convert::Level;
use chunked::frame::{Decoder, Encoder};
use chunked::plan::plan;
use chunked::tar::{Event, Walk};
use chunked::{
    Abilities, BlobRange, Chunk, ChunkKind, Content, ContentDigest, Entry, EntryKind, FileRange, Limits,
    Link, Ranges, toc,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mount::erofs::{Form, Image, Options};
use store::Store;
use store::tree::Builder;

/// Bytes of a content.
const CONTENT_LEN: usize = 16 << 20;
/// Bytes of a chunk: what the chunker makes on average.
const CHUNK_LEN: usize = 64 << 10;
/// Files of a large layer.
const FILES: usize = 100_000;

fn content() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(CONTENT_LEN + 16);
    while bytes.len() < CONTENT_LEN {
        let number = next();
        match bytes.len() / CHUNK_LEN % 2 {
            0 => bytes.extend_from_slice(format!("{} word ", number % 1000).as_bytes()),
            _ => bytes.extend_from_slice(&number.to_le_bytes()),
        }
    }
    bytes.truncate(CONTENT_LEN);
    bytes
}

/// Lists the files of a large layer, a thousand in a directory, each with one chunk.
fn entries() -> Vec<Entry> {
    let file = |number: usize| {
        let digest = ContentDigest::of(&number.to_le_bytes());
        let len = 4_000;
        let range = BlobRange::saturating(number as u64 * 2_000, 1_900);
        let chunk = Chunk {
            file: FileRange::saturating(0, len),
            blob: range,
            inner_offset: 0,
            digest: Some(digest),
            kind: ChunkKind::Data,
        };
        let content = Content { digest: Some(digest), range, chunks: vec![chunk] };
        Entry {
            size: len,
            mode: 0o644,
            content: Some(content),
            ..Entry::new(EntryKind::Regular, format!("usr/share/package{}/file{number}", number / 1000))
        }
    };
    (0..FILES).map(file).collect()
}

fn chunker(criterion: &mut Criterion) {
    let content = content();
    let mut group = criterion.benchmark_group("chunker");
    group.throughput(Throughput::Bytes(CONTENT_LEN as u64));
    group.bench_function("cut", |bench| {
        bench.iter(|| {
            let mut cuts = Vec::new();
            chunker::cut(black_box(&content), &mut cuts);
            cuts.len()
        });
    });
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let content = content();
    let Some(level) = Level::new(3) else { return };
    let encode = || {
        let (mut encoder, mut frames) = (Encoder::new(level), Vec::new());
        for chunk in content.chunks(CHUNK_LEN) {
            let mut frame = Vec::new();
            // Writing to memory does not fail.
            let _ = encoder.frame(chunk, &mut frame);
            frames.push((frame, chunk.len()));
        }
        frames
    };
    let frames = encode();
    let mut group = criterion.benchmark_group("frames of 64 KiB");
    group.throughput(Throughput::Bytes(CONTENT_LEN as u64));
    group.bench_function("encode, level 3", |bench| bench.iter(encode));
    group.bench_function("decode", |bench| {
        let mut decoder = Decoder::new();
        bench.iter(|| {
            frames
                .iter()
                .map(|(frame, len)| decoder.frames(frame, *len).map_or(0, <[u8]>::len))
                .sum::<usize>()
        });
    });
    group.finish();
}

fn tables_of_contents(criterion: &mut Criterion) {
    let entries = entries();
    let write = || -> io::Result<Vec<u8>> {
        let mut writer = toc::Writer::new(Vec::new())?;
        entries.iter().try_for_each(|entry| writer.entry(entry))?;
        writer.finish(None)
    };
    let json = write().unwrap_or_default();
    let mut group = criterion.benchmark_group("TOC of 100 000 files");
    group.sample_size(20);
    group.throughput(Throughput::Elements(FILES as u64));
    group.bench_function("write", |bench| bench.iter(write));
    group.bench_function("parse", |bench| {
        bench.iter(|| {
            toc::Toc::parse(black_box(json.as_slice()), 1 << 40, &Limits::default())
                .map(|toc| toc.entries.len())
        });
    });
    group.finish();
}

fn plans(criterion: &mut Criterion) {
    let missing: Vec<_> =
        (0..38_000).step_by(10).map(|number| BlobRange::saturating(number * 7_700, 7_600)).collect();
    let link = Link::new(Duration::from_millis(20), 12.5e6);
    let ranges = Ranges::Many { count: 380, header_len: 7500 };
    let abilities = Abilities { ranges, parallelism: 8, link };
    criterion.bench_function("plan of 3800 scattered chunks", |bench| {
        bench.iter(|| {
            plan(black_box(&missing), BlobRange::saturating(0, 300_000_000), &abilities).requests.len()
        });
    });
}

fn erofs(criterion: &mut Criterion) {
    let entries = entries();
    let mut group = criterion.benchmark_group("metadata of 100 000 files");
    group.sample_size(20);
    group.throughput(Throughput::Elements(FILES as u64));
    let merge = |entries| {
        let mut builder = Builder::new(store::tree::Limits::default());
        builder.layer(entries).map(|()| builder.finish())
    };
    group.bench_function("merge into a tree", |bench| {
        bench.iter_batched(|| entries.clone(), merge, BatchSize::LargeInput)
    });
    if let Ok(tree) = merge(entries) {
        group.bench_function("write as EROFS", |bench| {
            bench.iter(|| {
                Image::plan(&tree, Options::new(Form::Trusted, [7; 16])).map(|image| image.write(io::sink()))
            });
        });
    }
    group.finish();
}

fn tars(criterion: &mut Criterion) {
    let mut tar = tar::Builder::new(Vec::new());
    for number in 0..2_000 {
        let mut header = tar::Header::new_ustar();
        header.set_size(4_000);
        // A tar in memory takes every name of this length.
        let _ = tar.append_data(&mut header, format!("usr/share/file{number}"), [7; 4_000].as_slice());
    }
    let tar = tar.into_inner().unwrap_or_default();
    let mut group = criterion.benchmark_group("tar of 2000 files");
    group.throughput(Throughput::Bytes(tar.len() as u64));
    group.bench_function("walk", |bench| {
        bench.iter(|| {
            let (mut walk, mut rest, mut members) = (Walk::new(&Limits::default()), tar.as_slice(), 0);
            while let Ok(Some(event)) = walk.step(&mut rest) {
                members += usize::from(matches!(event, Event::Member(_)));
            }
            members
        });
    });
    group.finish();
}

fn dedup_index(criterion: &mut Criterion) {
    let Ok(dir) = tempfile::tempdir() else { return };
    let Ok(store) = Store::open(dir.path()) else { return };
    let entries = entries();
    let digests: Vec<_> = entries.iter().filter_map(|entry| entry.content.as_ref()?.digest).collect();
    let range = FileRange::saturating(0, 4_000);
    let places = digests.iter().map(|digest| (*digest, store::Place { object: *digest, range }));
    if store.index().add(places).is_err() {
        return;
    }
    let (mut at, index) = (0, store.index().view());
    criterion.bench_function("dedup index of 100 000 chunks, looking one up", |bench| {
        bench.iter(|| {
            at = (at + 7919) % digests.len();
            digests.get(at).and_then(|digest| index.lookup(black_box(digest)))
        });
    });
}

criterion_group!(blocks, chunker, frames, tables_of_contents, plans, erofs, tars, dedup_index);
criterion_main!(blocks);
