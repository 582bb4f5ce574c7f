//! Measures the dedup index of a store: how fast it is built, how large it is, and how fast it answers.
//!
//! usage: `index DIR [ROWS [LAYERS]]`
//!
//! Makes a store in DIR, which must be missing, adds chunks in the order of their digests, as many in each of several layers,
//! and prints a CSV line for each figure, by the clock and by the CPU time of this process. A tenth of the chunks begins an object, so a run has the digest of one object
//! for ten rows.
#![expect(clippy::print_stdout, reason = "this program's output is its purpose")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use chunked::{ContentDigest, FileRange};
use rustix::time::{ClockId, Timespec, clock_gettime};
use store::{Place, Store};

/// Chunks that are looked up.
const LOOKUPS: usize = 1_000_000;
/// Chunks that are looked up at once.
const TOGETHER: usize = 1024;
/// Chunks of an object.
const CHUNKS: usize = 10;
/// Bytes of a chunk.
const CHUNK_LEN: u64 = 64 << 10;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let dir = arguments.next().context("usage: index DIR [ROWS [LAYERS]]")?;
    let rows: usize = arguments.next().as_deref().unwrap_or("10000000").parse()?;
    let layers: usize = arguments.next().as_deref().unwrap_or("1").parse()?;
    let mut random = Random(1);
    let mut digests: Vec<_> = (0..rows).map(|_| random.digest()).collect();
    for layer in digests.chunks_mut(rows.div_ceil(layers)) {
        layer.sort_unstable();
    }

    println!("figure,wall,cpu");
    println!("rows,{rows},");
    println!("layers,{layers},");
    let store = Store::open(Path::new(&dir))?;
    let (mut building, mut settling, mut merges) = ([0.0; 2], [0.0; 2], 0);
    for layer in digests.chunks(rows.div_ceil(layers)) {
        let spent = Spent::start();
        store.index().add(places(layer))?;
        building = sum(building, spent.seconds());
        // What comes after a pull, in the background.
        let spent = Spent::start();
        merges += usize::from(store.index().settle()?);
        settling = sum(settling, spent.seconds());
    }
    let [wall, cpu] = building.map(|seconds| rows as f64 / seconds);
    println!("rows built a second,{wall:.0},{cpu:.0}");
    let [wall, cpu] = settling;
    println!("seconds of merging in the background ({merges} times),{wall:.2},{cpu:.2}");
    store.sync()?;
    let shape = store.index().shape();
    ensure!(shape.rows == rows as u64, "the index has {} rows, expected {rows}", shape.rows);
    println!("runs,{},", shape.runs);
    println!("bytes a row,{:.2},", index_len(&dir)? as f64 / rows as f64);
    drop(store);

    let spent = Spent::start();
    let store = Store::open_existing(Path::new(&dir))?;
    let index = store.index().view();
    let [wall, cpu] = spent.seconds().map(|seconds| seconds * 1e3);
    println!("milliseconds to open the store,{wall:.2},{cpu:.2}");
    let known: Vec<_> = (0..LOOKUPS).map(|_| digests[random.below(rows)]).collect();
    let unknown: Vec<_> = (0..LOOKUPS).map(|_| random.digest()).collect();
    for (what, wanted, found) in [("known", &known, LOOKUPS), ("unknown", &unknown, 0)] {
        // The first time brings the pages into memory.
        for round in ["first", "warm"] {
            let spent = Spent::start();
            let count = wanted.iter().filter(|digest| black_box(index.lookup(digest)).is_some()).count();
            let [wall, cpu] = spent.seconds().map(|seconds| seconds * 1e9 / LOOKUPS as f64);
            ensure!(count == found, "{count} {what} digests were found");
            println!("nanoseconds to look up a digest ({what}; {round}),{wall:.0},{cpu:.0}");
        }
        // As pulls do.
        let spent = Spent::start();
        let places = wanted.chunks(TOGETHER).flat_map(|digests| black_box(index.lookup_each(digests)));
        let count = places.flatten().count();
        let [wall, cpu] = spent.seconds().map(|seconds| seconds * 1e9 / LOOKUPS as f64);
        ensure!(count == found, "{count} {what} digests were found");
        println!("nanoseconds to look up a digest ({what}; {TOGETHER} at once),{wall:.0},{cpu:.0}");
    }
    Ok(())
}

/// Says where each chunk is.
fn places(digests: &[ContentDigest]) -> impl Iterator<Item = (ContentDigest, Place)> + '_ {
    digests.iter().enumerate().map(|(number, digest)| {
        let object = digests[number / CHUNKS * CHUNKS];
        let range = FileRange::saturating((number % CHUNKS) as u64 * CHUNK_LEN, CHUNK_LEN);
        (*digest, Place { object, range })
    })
}

fn index_len(dir: &str) -> Result<u64> {
    let entries = fs::read_dir(Path::new(dir).join("index"))?;
    entries.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

/// Time since then, by the clock and by the processor.
struct Spent(Instant, Timespec);

impl Spent {
    fn start() -> Self {
        Self(Instant::now(), clock_gettime(ClockId::ProcessCPUTime))
    }

    fn seconds(&self) -> [f64; 2] {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = (now.tv_sec - self.1.tv_sec) as f64 + (now.tv_nsec - self.1.tv_nsec) as f64 / 1e9;
        [self.0.elapsed().as_secs_f64(), cpu]
    }
}

fn sum([wall, cpu]: [f64; 2], [more_wall, more_cpu]: [f64; 2]) -> [f64; 2] {
    [wall + more_wall, cpu + more_cpu]
}

/// Numbers that look random: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn digest(&mut self) -> ContentDigest {
        let mut digest = [0; 32];
        digest.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&self.next().to_be_bytes()));
        ContentDigest(digest)
    }
}
