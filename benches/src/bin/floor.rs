//! Measures what a conversion cannot do without: each pass over a layer by itself, on one thread, in memory.
//!
//! usage: floor LAYER.tar.gz LEVEL
//!
//! Prints a CSV line for each pass, in seconds of CPU, and their sum. A converter that wastes nothing takes the sum, spread
//! over the cores. Unfair to a real converter in that data lies in memory and every pass has the caches to itself.
#![expect(clippy::print_stdout, reason = "this program's output is its purpose")]

use std::hint::black_box;
use std::io::Read;
use std::{env, fs};

use anyhow::{Context, Result};
use chunked::chunker;
use chunked::convert::{Converted, Level, NoProgress, Options, Outcome, SelfCheck, convert};
use chunked::frame::Encoder;
use chunked::tar::{Event, Walk};
use chunked::{Entry, Limits, tar_split, toc};
use crc_fast::CrcAlgorithm::Crc64GoIso;
use flate2::read::MultiGzDecoder;
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

/// Bytes handed to a decoder at a time.
const PIECE_LEN: usize = 1 << 20;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().context("usage: floor LAYER.tar.gz LEVEL")?;
    let level = arguments.next().as_deref().unwrap_or("3").parse()?;
    let level = Level::new(level).context("a level is between 1 and 22")?;
    let layer = fs::read(&path).with_context(|| format!("cannot read `{path}`"))?;
    let mut tar = Vec::new();
    MultiGzDecoder::new(layer.as_slice()).read_to_end(&mut tar)?;
    let blob = blob(&tar, level)?;

    println!("pass,cpu_seconds");
    let mut passes = Passes::default();
    passes.run("gunzip", || gunzip(&layer));
    passes.run("SHA-256 of the input", || sha256([layer.as_slice()]));
    passes.run("SHA-256 of the tar", || sha256([tar.as_slice()]));
    let parts = passes.run("tar walk", || Parts::of(&tar));
    let cuts =
        passes.run("chunk boundaries", || parts.files.iter().map(|file| cut(file)).collect::<Vec<_>>());
    passes
        .run("CRC-64 of files", || parts.files.iter().map(|file| crc_fast::checksum(Crc64GoIso, file)).max());
    let chunked = || parts.files.iter().zip(&cuts).filter(|(_, cuts)| cuts.len() > 1);
    passes.run("SHA-256 of files of several chunks", || sha256(chunked().map(|(file, _)| *file)));
    passes.run("SHA-256 of chunks", || sha256(cuts.iter().flatten().copied()));
    passes.run("zstd", || {
        compress(level, parts.headers.iter().map(Vec::as_slice).chain(cuts.iter().flatten().copied()))
    });
    passes.run("SHA-256 of the output", || sha256([blob.as_slice()]));
    passes.run("TOC and tar-split", || metadata(&parts));
    println!("sum,{:.3}", passes.sum);
    Ok(())
}

#[derive(Default)]
struct Passes {
    sum: f64,
}

impl Passes {
    /// Runs a pass three times, and counts the fastest.
    fn run<T>(&mut self, name: &str, pass: impl Fn() -> T) -> T {
        let timed = || {
            let start = cpu_seconds();
            let result = black_box(pass());
            (cpu_seconds() - start, result)
        };
        let (first, _) = timed();
        let (second, _) = timed();
        let (third, result) = timed();
        let fastest = first.min(second).min(third);
        println!("{name},{fastest:.3}");
        self.sum += fastest;
        result
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The tar taken apart: what stands between contents, and the contents.
struct Parts<'a> {
    headers: Vec<Vec<u8>>,
    files: Vec<&'a [u8]>,
    entries: Vec<Entry>,
}

impl<'a> Parts<'a> {
    fn of(tar: &'a [u8]) -> Self {
        let mut parts = Self { headers: vec![Vec::new()], files: Vec::new(), entries: Vec::new() };
        let (mut walk, mut rest) = (Walk::new(&Limits::default()), tar);
        while let Ok(Some(event)) = walk.step(&mut rest) {
            match event {
                Event::Raw(bytes) => {
                    parts.headers.last_mut().map(|last| last.extend_from_slice(bytes)).unwrap_or(())
                }
                Event::Member(member) => parts.entries.extend(member.to_entry()),
                Event::Content(bytes) => {
                    parts.files.push(bytes);
                    parts.headers.push(Vec::new());
                }
            }
        }
        parts
    }
}

fn cut(file: &[u8]) -> Vec<&[u8]> {
    let mut cuts = Vec::new();
    chunker::cut(file, &mut cuts);
    let mut start = 0;
    cuts.iter().map(|cut| &file[std::mem::replace(&mut start, cut.end as usize)..cut.end as usize]).collect()
}

fn gunzip(layer: &[u8]) -> usize {
    let mut decoder = MultiGzDecoder::new(layer);
    let (mut piece, mut len) = (vec![0; PIECE_LEN], 0);
    while let Ok(count @ 1..) = decoder.read(&mut piece) {
        len += count;
    }
    len
}

fn sha256<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> u8 {
    messages.into_iter().fold(0, |sum, message| sum ^ Sha256::digest(message)[0])
}

fn compress<'a>(level: Level, frames: impl Iterator<Item = &'a [u8]>) -> usize {
    let (mut encoder, mut out, mut len) = (Encoder::new(level), Vec::new(), 0);
    for frame in frames {
        out.clear();
        if encoder.frame(frame, &mut out).is_ok() {
            len += out.len();
        }
    }
    len
}

fn metadata(parts: &Parts<'_>) -> Option<usize> {
    let mut toc = toc::Writer::new(Vec::new()).ok()?;
    let mut tar_split = tar_split::Writer::new(Vec::new());
    for entry in &parts.entries {
        toc.entry(entry).ok()?;
        tar_split.file(entry.name.as_bytes(), entry.size, 0).ok()?;
    }
    for header in &parts.headers {
        tar_split.segment(header).ok()?;
    }
    let documents = [toc.finish(None).ok()?, tar_split.finish()];
    Some(compress(Level::new(1)?, documents.iter().map(Vec::as_slice)))
}

fn blob(tar: &[u8], level: Level) -> Result<Vec<u8>> {
    let mut blob = Vec::new();
    let options = Options { level, self_check: SelfCheck::Off, ..Options::default() };
    let Converted { outcome, .. } = convert(tar, &mut blob, &options, &NoProgress)?;
    anyhow::ensure!(matches!(outcome, Outcome::Chunked { .. }), "the layer cannot be chunked");
    Ok(blob)
}
