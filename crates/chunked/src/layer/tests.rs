mod golden;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::error::Class;
use crate::location::Located;
use crate::source::{Abilities, Ranges};
use crate::testing::{skippable_frame, zstd_frame};

/// A layer as a registry has it.
#[derive(Debug, Clone)]
struct Built {
    blob: Vec<u8>,
    annotations: BTreeMap<String, String>,
}

const PAYLOAD: &[u8] = b"the frames of a tar, which nobody looks at here";
const TAR_SPLIT: &[u8] = b"{\"type\":2,\"payload\":\"\",\"position\":0}\n";

impl Built {
    fn open(&self) -> Result<Layer, Error> {
        Layer::open(
            &self.blob.as_slice(),
            |key| self.annotations.get(key).map(String::as_str),
            &Limits::default(),
        )
    }

    fn chunked(&self) -> ChunkedLayer {
        match self.open().unwrap() {
            Layer::Chunked(layer) => *layer,
            plain => panic!("{plain:?}"),
        }
    }

    fn bare(&self) -> Self {
        Self { annotations: BTreeMap::new(), ..self.clone() }
    }

    fn with(&self, key: &str, value: impl ToString) -> Self {
        let mut built = self.clone();
        built.annotations.insert(key.into(), value.to_string());
        built
    }

    fn why_plain(&self) -> String {
        match self.open().unwrap() {
            Layer::Plain { why } => why.to_string(),
            chunked => panic!("{chunked:?}"),
        }
    }

    fn failure(&self) -> String {
        let error = self.open().unwrap_err();
        assert_eq!(error.class(), Class::Corrupt, "{error:?}");
        error.to_string()
    }
}

/// The JSON of a TOC with one file in the payload.
fn json(end_offset: &str, tar_split: Option<&[u8]>) -> Vec<u8> {
    let file = format!(r#"{{"type":"reg","name":"f","size":9,"offset":3{end_offset}}}"#);
    let digest =
        tar_split.map(|blob| format!(r#","tarSplitDigest":"{}""#, Digest::of(blob))).unwrap_or_default();
    format!(r#"{{"version":1,"entries":[{{"type":"dir","name":"d"}},{file}]{digest}}}"#).into_bytes()
}

/// A blob with TOC and tar-split, without footer, and where they are.
fn body(json: &[u8], tar_split: Option<&[u8]>) -> (Vec<u8>, Location) {
    let mut blob = PAYLOAD.to_vec();
    let mut append = |frame: &[u8], len: usize| {
        let range = BlobRange::saturating(blob.len() as u64 + 8, frame.len() as u64);
        blob.extend_from_slice(&skippable_frame(frame));
        Located { range, len: len as u64 }
    };
    let toc = append(&zstd_frame(json), json.len());
    let tar_split = tar_split.map(|frame| append(frame, TAR_SPLIT.len()));
    (blob, Location { toc, tar_split })
}

fn old_footer(location: &Location, zeros: usize) -> Vec<u8> {
    let toc = location.toc;
    let numbers = [toc.range.start(), toc.range.len(), toc.len, 1].map(u64::to_le_bytes).concat();
    skippable_frame(&[numbers.as_slice(), b"GnUlInUx", &vec![0; zeros]].concat())
}

fn toc_digest(blob: &[u8], location: &Location) -> TocDigest {
    let range = location.toc.range;
    TocDigest::of(&blob[range.start() as usize..range.end() as usize])
}

fn current() -> Built {
    let tar_split = zstd_frame(TAR_SPLIT);
    let (mut blob, location) = body(&json(r#","endOffset":20"#, Some(&tar_split)), Some(&tar_split));
    let annotations = annotations::encode(&toc_digest(&blob, &location), &location);
    blob.extend_from_slice(&footer::encode(&location));
    Built { blob, annotations }
}

fn unverified_tar_split() -> Built {
    let tar_split = zstd_frame(TAR_SPLIT);
    let (mut blob, location) = body(&json(r#","endOffset":20"#, None), Some(&tar_split));
    let annotations = annotations::encode(&toc_digest(&blob, &location), &location);
    blob.extend_from_slice(&footer::encode(&location));
    Built { blob, annotations }
        .with("io.github.containers.zstd-chunked.tarsplit-checksum", Digest::of(&tar_split))
}

fn short_footer() -> Built {
    let tar_split = zstd_frame(TAR_SPLIT);
    let (mut blob, location) = body(&json(r#","endOffset":20"#, None), Some(&tar_split));
    let annotations = annotations::encode(&toc_digest(&blob, &location), &location);
    blob.extend_from_slice(&old_footer(&location, 16));
    Built { blob, annotations }
}

/// The oldest dialect, with the old keys and all the fields that were not left out then; and, with another TOC, stargz.
fn with_old_keys(json: &[u8]) -> Built {
    let (mut blob, location) = body(json, None);
    let Located { range, len } = location.toc;
    let digest = toc_digest(&blob, &location);
    blob.extend_from_slice(&old_footer(&location, 0));
    Built { blob, annotations: BTreeMap::new() }
        .with("io.containers.zstd-chunked.manifest-checksum", digest)
        .with(
            "io.containers.zstd-chunked.manifest-position",
            format!("{}:{}:{len}:1", range.start(), range.len()),
        )
}

fn without_tar_split() -> Built {
    with_old_keys(&json(r#","endOffset":20"#, None))
}

fn stargz_zstd() -> Built {
    let json = json("", None);
    with_old_keys(&json).with("containerd.io/snapshot/stargz/toc.digest", Digest::of(&json))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn tar_member(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let padding = vec![0; content.len().next_multiple_of(512) - content.len() + 1024];
    [header.as_slice(), content, &padding].concat()
}

fn gzip_footer(extra: &[u8]) -> Vec<u8> {
    let header = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, extra.len() as u8, 0];
    [header.as_slice(), extra, &[1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]].concat()
}

fn estargz() -> Built {
    let json = json("", None);
    let (toc, offset) = (gzip(&tar_member("stargz.index.json", &json)), PAYLOAD.len());
    let footer = gzip_footer(format!("SG\x16\0{offset:016x}STARGZ").as_bytes());
    let blob = [PAYLOAD, &toc, &footer].concat();
    Built { blob, annotations: BTreeMap::new() }
        .with("containerd.io/snapshot/stargz/toc.digest", Digest::of(&json))
        .with("io.containers.estargz.uncompressed-size", 4096)
}

fn legacy_stargz() -> Built {
    let (toc, offset) = (gzip(&tar_member("stargz.index.json", &json("", None))), PAYLOAD.len());
    let footer = gzip_footer(format!("{offset:016x}STARGZ").as_bytes());
    Built { blob: [PAYLOAD, &toc, &footer].concat(), annotations: BTreeMap::new() }
}

fn every_dialect() -> [(Built, Dialect); 7] {
    [
        (current(), Dialect::Current),
        (unverified_tar_split(), Dialect::UnverifiedTarSplit),
        (short_footer(), Dialect::ShortFooter),
        (without_tar_split(), Dialect::WithoutTarSplit),
        (stargz_zstd(), Dialect::StargzZstd),
        (estargz(), Dialect::Estargz),
        (legacy_stargz(), Dialect::LegacyStargz),
    ]
}

#[test]
fn every_dialect_opens_from_annotations() {
    for (built, dialect) in every_dialect() {
        let layer = built.chunked();
        assert_eq!(layer.dialect, dialect);
        assert_eq!(layer.annotations.is_some(), dialect != Dialect::LegacyStargz, "{dialect}");
        assert_eq!(layer.payload_len, PAYLOAD.len() as u64, "{dialect}");
        assert_eq!(layer.toc.entries.len(), 2, "{dialect}");
        let verified = layer.tar_split.as_ref().map(|tar_split| tar_split.is_verified);
        let expected = match dialect {
            Dialect::Current => Some(true),
            Dialect::UnverifiedTarSplit | Dialect::ShortFooter => Some(false),
            _ => None,
        };
        assert_eq!(verified, expected, "{dialect}");
    }
}

#[test]
fn every_dialect_opens_from_its_footer() {
    for (built, dialect) in every_dialect() {
        let (layer, annotated) = (built.bare().chunked(), built.chunked());
        assert_eq!(layer.annotations, None);
        assert_eq!((layer.dialect, layer.toc), (dialect, annotated.toc));
        assert_eq!(layer.location.toc, annotated.location.toc);
        // The short footer lost the place of the tar-split.
        assert_eq!(
            layer.tar_split.is_some(),
            annotated.tar_split.is_some() && dialect != Dialect::ShortFooter
        );
        assert_eq!(layer.toc_digest, annotated.toc_digest, "{dialect}");
    }
}

#[test]
fn blobs_without_toc_are_plain() {
    let plain = |blob: &[u8]| Built { blob: blob.to_vec(), annotations: BTreeMap::new() };
    insta::assert_snapshot!(plain(b"").why_plain(), @"neither annotations nor a footer tell of a TOC");
    insta::assert_snapshot!(plain(PAYLOAD).with("containerd.io/snapshot/stargz/toc.digest", Digest::of(b"")).why_plain(), @"the annotations tell of an eStargz TOC, but the blob has no footer");
    insta::assert_snapshot!(plain(&gzip_footer(b"SG\x11\0STARGZEXTERNALTOC")).why_plain(), @"the TOC is in another image, as eStargz with an external TOC has it");
    insta::assert_snapshot!(plain(&gzip_footer(b"ffff000000000000STARGZ")).why_plain(), @"the footer is wrong: the TOC is placed at bytes 18446462598732840960..18446462598732840960 of the blob, expected within 0..0");
}

#[test]
fn annotations_that_cannot_be_relied_on_make_a_layer_plain() {
    let position = "io.github.containers.zstd-chunked.manifest-position";
    let toc_digest = "containerd.io/snapshot/stargz/toc.digest";
    insta::assert_snapshot!(current().with(position, "1:2:3:1x").why_plain(), @"annotation `io.github.containers.zstd-chunked.manifest-position` is `1:2:3:1x`, expected `offset:length:uncompressed length:type`");
    insta::assert_snapshot!(current().with(toc_digest, Digest::of(b"")).why_plain(), @"annotations `io.github.containers.zstd-chunked.manifest-checksum` and `containerd.io/snapshot/stargz/toc.digest` exclude each other");
    let mut lost = current();
    lost.annotations.remove("io.github.containers.zstd-chunked.tarsplit-position");
    insta::assert_snapshot!(lost.why_plain(), @"the TOC names a tar-split, but nothing says where it is");
}

#[test]
fn newer_versions_and_large_metadata_make_a_layer_plain() {
    let newer = with_old_keys(br#"{"version":2,"entries":[]}"#);
    insta::assert_snapshot!(newer.why_plain(), @"the TOC has version 2, expected 1");
    let why = |limits: Limits| {
        let built = current();
        match Layer::open(
            &built.blob.as_slice(),
            |key| built.annotations.get(key).map(String::as_str),
            &limits,
        ) {
            Ok(Layer::Plain { why }) => why.to_string(),
            other => panic!("{other:?}"),
        }
    };
    insta::assert_snapshot!(why(Limits { toc_blob_len: 20, ..Limits::default() }), @"the TOC takes 163 bytes, the limit is 20");
    insta::assert_snapshot!(why(Limits { toc_len: 20, ..Limits::default() }), @"the TOC takes 203 bytes, the limit is 20");
    insta::assert_snapshot!(why(Limits { tar_split_blob_len: 20, ..Limits::default() }), @"the tar-split takes 46 bytes, the limit is 20");
    insta::assert_snapshot!(why(Limits { tar_split_len: 20, ..Limits::default() }), @"the tar-split takes 37 bytes, the limit is 20");
    insta::assert_snapshot!(why(Limits { entries: 1, ..Limits::default() }), @"the TOC has more than 1 rows");
}

/// A blob of 20 GiB that nobody may read.
struct Untouched;

impl RangeSource for Untouched {
    fn blob_len(&self) -> u64 {
        20 << 30
    }

    fn read_range(&self, _: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        panic!("the blob is read")
    }
}

#[test]
fn a_toc_that_claims_ten_gibibytes_is_not_even_read() {
    let open = |position: &'static str| {
        let digest = Digest::of(b"").to_string().leak();
        let lookup = |key: &str| match key {
            "io.github.containers.zstd-chunked.manifest-checksum" => Some(&*digest),
            "io.github.containers.zstd-chunked.manifest-position" => Some(position),
            _ => None,
        };
        match Layer::open(&Untouched, lookup, &Limits::default()) {
            Ok(Layer::Plain { why }) => why.to_string(),
            other => panic!("{other:?}"),
        }
    };
    insta::assert_snapshot!(open("1000:10737418240:1000:1"), @"the TOC takes 10737418240 bytes, the limit is 157286400");
    insta::assert_snapshot!(open("1000:1000:10737418240:1"), @"the TOC takes 10737418240 bytes, the limit is 1073741824");
}

/// A blob that remembers what was asked of it, in one request each.
struct Asked {
    blob: Vec<u8>,
    ranges: Ranges,
    requests: Mutex<Vec<Vec<BlobRange>>>,
}

impl RangeSource for Asked {
    fn blob_len(&self) -> u64 {
        self.blob.blob_len()
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        self.read_ranges(&[range])
    }

    fn read_ranges(&self, ranges: &[BlobRange]) -> io::Result<Box<dyn Read + Send + '_>> {
        self.requests.lock().unwrap().push(ranges.to_vec());
        let parts = ranges.iter().map(|range| &self.blob[range.start() as usize..range.end() as usize]);
        Ok(Box::new(io::Cursor::new(parts.collect::<Vec<_>>().concat())))
    }

    fn abilities(&self) -> Abilities {
        Abilities { ranges: self.ranges, ..Abilities::LOCAL }
    }
}

#[test]
fn toc_and_tar_split_are_one_request_where_that_can_be() {
    let tar_split = zstd_frame(TAR_SPLIT);
    let json = json(r#","endOffset":20"#, Some(&tar_split));
    let many = Ranges::Many { count: 2, header_len: 1000 };
    for (distance, ranges, expected) in
        [(0, Ranges::One, [1].as_slice()), (5000, Ranges::One, &[1, 1]), (5000, many, &[2])]
    {
        let (mut blob, mut location) = body(&json, None);
        blob.resize(blob.len() + distance, 0);
        let range = BlobRange::saturating(blob.len() as u64 + 8, tar_split.len() as u64);
        blob.extend_from_slice(&skippable_frame(&tar_split));
        location.tar_split = Some(Located { range, len: TAR_SPLIT.len() as u64 });
        let annotations = annotations::encode(&toc_digest(&blob, &location), &location);
        blob.resize(blob.len() + 64, 0);
        let source = Asked { blob, ranges, requests: Mutex::default() };
        let layer = Layer::open(&source, |key| annotations.get(key).map(String::as_str), &Limits::default());
        let Ok(Layer::Chunked(layer)) = layer else { panic!("{layer:?}") };
        assert_eq!(layer.tar_split.unwrap().blob, tar_split);
        let requests = source.requests.into_inner().unwrap();
        assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{distance} {ranges:?}");
    }
}

/// A blob that cannot be read from the middle.
struct Whole(Vec<u8>);

impl RangeSource for Whole {
    fn blob_len(&self) -> u64 {
        self.0.blob_len()
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        match range.start() {
            0 => self.0.read_range(range),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "`host` serves blobs only as a whole")),
        }
    }
}

#[test]
fn a_source_that_serves_no_ranges_makes_a_layer_plain() {
    let Built { blob, annotations } = current();
    let source = Whole(blob);
    for bare in [false, true] {
        let lookup = |key: &str| annotations.get(key).map(String::as_str).filter(|_| !bare);
        let Layer::Plain { why } = Layer::open(&source, lookup, &Limits::default()).unwrap() else {
            panic!("it was read from the middle");
        };
        assert_eq!(why.to_string(), "`host` serves blobs only as a whole");
    }
}

#[test]
fn broken_integrity_is_an_error() {
    let damaged = |built: Built, back: usize| {
        let mut built = built;
        let at = built.blob.len() - back;
        built.blob[at] ^= 1;
        built
    };
    let tar_split_len = zstd_frame(TAR_SPLIT).len();
    insta::assert_snapshot!(damaged(current(), 72 + tar_split_len + 8 + 2).failure(), @"digest of the TOC is sha256:2ca946323451d59d962068b62677dd5340c009bd25f3003e01a800fc46c04fef, expected sha256:07a868b600001701a6deae955ccfa2d6a171407bec0619557ab839fc63a290b5");
    insta::assert_snapshot!(damaged(current(), 72 + 2).failure(), @"digest of the tar-split is sha256:83778f1e3d4f0ea7a080dac667123f7bca5a7128e9a77d529affe47f9d570174, expected sha256:a79e0a2d87a45b7966a67cf50b71eed1bf361c825f770f071f64135bf4fe14d5");
    insta::assert_snapshot!(damaged(unverified_tar_split(), 72 + 2).failure(), @"digest of the tar-split is sha256:83778f1e3d4f0ea7a080dac667123f7bca5a7128e9a77d529affe47f9d570174, expected sha256:a79e0a2d87a45b7966a67cf50b71eed1bf361c825f770f071f64135bf4fe14d5");
    let other = Digest::of(b"another TOC");
    let (json_key, old_key) =
        ("containerd.io/snapshot/stargz/toc.digest", "io.containers.zstd-chunked.manifest-checksum");
    insta::assert_snapshot!(stargz_zstd().with(json_key, other).failure(), @"digest of the TOC is sha256:9895b76044d4b0b5f54ad816c281ac3fc615facf6656c272632e25a0cf4f52fa, expected sha256:cc96864b2255db2c9baef03aaa183c419139a7e54624bfcab55d53116abaa70e");
    insta::assert_snapshot!(stargz_zstd().with(old_key, other).failure(), @"digest of the TOC is sha256:e32cb389783844deddc17cfe6e547111daba29c2e0a8186a5e1edf84822c06d8, expected sha256:cc96864b2255db2c9baef03aaa183c419139a7e54624bfcab55d53116abaa70e");
    insta::assert_snapshot!(estargz().with(json_key, other).failure(), @"digest of the TOC is sha256:9895b76044d4b0b5f54ad816c281ac3fc615facf6656c272632e25a0cf4f52fa, expected sha256:cc96864b2255db2c9baef03aaa183c419139a7e54624bfcab55d53116abaa70e");
    let mut truncated = current();
    truncated.blob.truncate(100);
    insta::assert_snapshot!(truncated.failure(), @"the annotations are wrong: the TOC is placed at bytes 55..218 of the blob, expected within 8..100");
}

#[test]
fn a_wrong_digest_comes_before_what_else_is_wrong() {
    let newer = br#"{"version":2,"entries":[]}"#;
    let (toc, offset) = (gzip(&tar_member("stargz.index.json", newer)), PAYLOAD.len());
    let footer = gzip_footer(format!("SG\x16\0{offset:016x}STARGZ").as_bytes());
    let built = Built { blob: [PAYLOAD, &toc, &footer].concat(), ..estargz() };
    insta::assert_snapshot!(built.failure(), @"digest of the TOC is sha256:bc4ee2f38173d15cb93d14b860f399a8cd38da2288050d0d522c1dca5de25317, expected sha256:9895b76044d4b0b5f54ad816c281ac3fc615facf6656c272632e25a0cf4f52fa");
}

#[test]
fn a_toc_of_another_length_than_announced_is_an_error() {
    let position = "io.github.containers.zstd-chunked.manifest-position";
    let toc = current().chunked().location.toc;
    let claim =
        |len: u64| current().with(position, format!("{}:{}:{len}:1", toc.range.start(), toc.range.len()));
    insta::assert_snapshot!(claim(toc.len + 1).failure(), @"the TOC is 203 bytes long, expected 204");
    insta::assert_snapshot!(claim(toc.len - 1).failure(), @"the TOC is longer than 202 bytes");
}

#[test]
fn a_footer_that_leads_to_another_member_is_an_error() {
    let (toc, offset) = (gzip(&tar_member("other.json", b"{}")), PAYLOAD.len());
    let footer = gzip_footer(format!("SG\x16\0{offset:016x}STARGZ").as_bytes());
    let built = Built { blob: [PAYLOAD, &toc, &footer].concat(), annotations: BTreeMap::new() };
    insta::assert_snapshot!(built.failure(), @"the tar has no member `stargz.index.json` where the footer says");
}

proptest! {
    #[test]
    fn damage_never_panics(dialect in 0..7usize, bare: bool, at: prop::sample::Index, byte: u8, cut: bool) {
        let (mut built, _) = every_dialect()[dialect].clone();
        let at = at.index(built.blob.len());
        built.blob[at] = byte;
        if cut {
            built.blob.truncate(at);
        }
        let _ = if bare { built.bare().open() } else { built.open() };
    }
}
