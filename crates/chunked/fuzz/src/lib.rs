//! What the fuzz targets do with an input. The tests of `morsel-chunked` include this file to replay the corpora.

use std::io::{self, Read};
use std::num::NonZeroUsize;

use morsel_chunked::annotations::{self, Annotations};
use morsel_chunked::audit::{self, Rules};
use morsel_chunked::convert::{NoProgress, Options, Outcome, convert};
use morsel_chunked::footer::{self, Footer, Kind};
use morsel_chunked::index::{self, ContentSink, StagedContent};
use morsel_chunked::input::Input;
use morsel_chunked::layer::Layer;
use morsel_chunked::stats::Stats;
use morsel_chunked::tar::{self, BLOCK_LEN, Event, Member, Step, Walk};
use morsel_chunked::tar_split::{self, Reader, Record};
use morsel_chunked::toc::{self, Toc};
use morsel_chunked::verify::{Expected, Verdict, verify};
use morsel_chunked::{ContentDigest, DiffId, Entry, Limits};

/// What a target does with an input; it panics when it finds something.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 8] = [
    ("annotations", annotations),
    ("blob", blob),
    ("footer", footer),
    ("frames", frames),
    ("round_trip", round_trip),
    ("tar", tar),
    ("tar_split", tar_split),
    ("toc", toc),
];

/// Small enough to be reached by inputs of a few kilobytes.
fn limits() -> Limits {
    Limits {
        toc_blob_len: 64 << 10,
        toc_len: 256 << 10,
        tar_split_blob_len: 64 << 10,
        tar_split_len: 256 << 10,
        tar_split_record_len: 16 << 10,
        entries: 500,
        attributes: 20,
        attributes_len: 1000,
        toc_attributes: 100,
        string_len: 1000,
        tar_extension_len: 2000,
        tar_holes_len: 1 << 20,
    }
}

/// Lines of `key=value`.
pub fn annotations(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let lookup = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let Ok(Some(Annotations::ZstdChunked { toc_digest, location, .. })) = Annotations::parse(lookup) else {
        return;
    };
    if location.check(u64::MAX).is_ok() {
        let map = annotations::encode(&toc_digest, &location);
        match Annotations::parse(|key| map.get(key).map(String::as_str)) {
            Ok(Some(Annotations::ZstdChunked { toc_digest: again, location: place, .. })) => {
                assert_eq!((again, place), (toc_digest, location));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A whole blob, of any dialect.
pub fn blob(input: &[u8]) {
    let limits = limits();
    if let Ok(Layer::Chunked(layer)) = Layer::open(&input, |_| None, &limits) {
        let _stats = Stats::of(&layer);
    }
    let report = verify(input, &Expected::default(), &limits).expect("a slice can be read");
    assert_ne!(report.verdict, Verdict::Proven);
    assert_eq!(report.blob_len, input.len() as u64);
}

/// The end of a blob.
pub fn footer(input: &[u8]) {
    let _far = footer::parse(input, u64::MAX);
    if let Ok(Some(Footer::Zstd { kind: Kind::Zstd64, location })) = footer::parse(input, input.len() as u64)
    {
        assert!(input.ends_with(&footer::encode(&location)));
        assert!(location.check(input.len() as u64).is_ok());
    }
}

/// A compressed tar; what three ways of decoding say must agree.
pub fn frames(input: &[u8]) {
    let mut tar = Vec::new();
    let whole = Input::open(input, |_| ()).and_then(|input| input.take(1 << 20).read_to_end(&mut tar));
    if tar.len() == 1 << 20 {
        return;
    }
    let report = verify(input, &Expected::default(), &limits()).expect("a slice can be read");
    if whole.is_ok() {
        assert_eq!(report.diff_id, Some(DiffId::of(&tar)));
    } else {
        assert_eq!((report.verdict, report.diff_id), (Verdict::Damaged, None));
    }
}

/// A tar whose header checksums are put right, converted and verified, and indexed.
pub fn round_trip(input: &[u8]) {
    let tar = with_checksums(input);
    let options = index::Options { jobs: NonZeroUsize::MIN, memory: 0, limits: limits() };
    let indexed = index::index(tar.as_slice(), &Nowhere, &options);
    let options = Options { jobs: NonZeroUsize::MIN, memory: 0, limits: limits(), ..Options::default() };
    let mut blob = Vec::new();
    let Ok(converted) = convert(tar.as_slice(), &mut blob, &options, &NoProgress) else { return };
    let expected = Expected {
        annotations: None,
        blob_digest: Some(converted.blob_digest),
        diff_id: Some(converted.diff_id),
    };
    let report = verify(blob.as_slice(), &expected, &Limits::default()).expect("a slice can be read");
    let is_chunked = matches!(converted.outcome, Outcome::Chunked { .. });
    assert_eq!(report.dialect.is_some(), is_chunked);
    assert_eq!(report.diff_id, Some(converted.diff_id));
    assert!(indexed.as_ref().map_or(true, |indexed| indexed.diff_id == converted.diff_id));
    if is_chunked {
        assert!(indexed.is_ok_and(|indexed| indexed.tar_split.is_ok()));
        assert_eq!(report.verdict, Verdict::Proven, "{:?}", report.checks);
    }
}

/// Forgets contents.
struct Nowhere;

impl ContentSink for Nowhere {
    fn whole(&self, _: ContentDigest, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn start(&self, _: u64) -> io::Result<Box<dyn StagedContent + '_>> {
        Ok(Box::new(Self))
    }
}

impl StagedContent for Nowhere {
    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn hole(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn commit(self: Box<Self>, _: ContentDigest) -> io::Result<()> {
        Ok(())
    }
}

/// A tar, fed in pieces of different sizes; headers are put right first.
pub fn tar(input: &[u8]) {
    let tar = with_checksums(input);
    let whole = walked(&tar, usize::MAX);
    assert_eq!(walked(&tar, 100), whole);
    let Ok(members) = whole else { return };
    let rows: Result<Vec<Entry>, _> = members.iter().map(Member::to_entry).collect();
    if let Ok(rows) = rows {
        let mut paths = tar_split::Paths::new();
        let unique = rows.iter().all(|row| paths.insert(row.name.as_bytes()));
        let findings =
            audit::tar(tar.as_slice(), &rows, Rules::Exact, &limits()).expect("it was walked before");
        assert_eq!(findings.count == 0, unique, "{findings:?}");
    }
}

/// A tar-split stream, and a tar rebuilt from it with files that do not exist.
pub fn tar_split(input: &[u8]) {
    let (limits, mut out) = (limits(), Vec::new());
    let _rebuilt = tar_split::rebuild(&mut Reader::new(input, &limits), &mut out, |_| Ok(std::io::empty()));
    let _findings =
        audit::tar_split(&mut Reader::new(input, &limits), Vec::<Entry>::new(), Rules::Exact, &limits);
    if let Ok(stream) = rewritten(input, &limits) {
        assert_eq!(rewritten(&stream, &Limits::default()).expect("it was just written"), stream);
    }
}

/// The JSON of a TOC.
pub fn toc(input: &[u8]) {
    let parse = |json: &[u8]| Toc::parse(json, 1 << 40, &limits());
    let Ok(first) = parse(input) else { return };
    let Some(json) = written(&first) else { return };
    // Only the schema of containers/storage can be written.
    if first.trailer.has_end_offsets {
        let second = Toc::parse(json.as_slice(), 1 << 40, &Limits::default()).expect("it was just written");
        assert_eq!(written(&second).expect("it was written before"), json);
    }
}

fn written(toc: &Toc) -> Option<Vec<u8>> {
    let mut writer = toc::Writer::new(Vec::new()).ok()?;
    toc.entries.iter().try_for_each(|entry| writer.entry(entry)).ok()?;
    writer.finish(toc.trailer.tar_split.as_ref()).ok()
}

fn rewritten(stream: &[u8], limits: &Limits) -> Result<Vec<u8>, morsel_chunked::Error> {
    let mut reader = Reader::new(stream, limits);
    let mut writer = tar_split::Writer::new(Vec::new());
    while let Some(record) = reader.read()? {
        let result = match record {
            Record::Segment(bytes) => writer.segment(bytes),
            Record::File { name, len, crc64 } => writer.file(&name, len, crc64.unwrap_or_default()),
        };
        result.expect("memory can be written");
    }
    Ok(writer.finish())
}

fn walked(tar: &[u8], piece: usize) -> Result<Vec<Member>, tar::Invalid> {
    let (mut walk, mut members, mut len) = (Walk::new(&limits()), Vec::new(), 0);
    for mut bytes in tar.chunks(piece) {
        while let Some(event) = walk.step(&mut bytes)? {
            match event {
                Event::Member(member) => members.push(*member),
                Event::Raw(bytes) | Event::Content(bytes) => len += bytes.len(),
            }
        }
    }
    assert_eq!(len, tar.len());
    walk.finish().map(|()| members)
}

/// Puts the checksums of headers right, so that mutations get beyond them.
fn with_checksums(input: &[u8]) -> Vec<u8> {
    let (mut tar, mut member, mut header) = (input.to_vec(), 0_usize, 0_usize);
    while let Some(block) = tar.get_mut(header..).and_then(<[u8]>::first_chunk_mut::<BLOCK_LEN>) {
        if block == &[0; BLOCK_LEN] {
            break;
        }
        put_checksum(block);
        match tar::parse(&tar[member..header + BLOCK_LEN], &limits()) {
            Ok(Step::Member { member: found, .. }) => {
                let payload = usize::try_from(found.payload_len()).unwrap_or(usize::MAX);
                header = header.saturating_add(BLOCK_LEN).saturating_add(payload);
                header = header.saturating_add(found.padding_len());
                member = header;
            }
            // An extension: the next header follows its content.
            Ok(Step::NeedMore(len)) => header = member.saturating_add(len),
            Ok(Step::End) | Err(_) => break,
        }
    }
    tar
}

fn put_checksum(block: &mut [u8; BLOCK_LEN]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
