//! What a converted layer looks like, and what goes wrong with inputs that are no layer.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression as Gzip;
use flate2::write::GzEncoder;
use morsel_chunked::convert::{Converted, Level, NoProgress, Options, Outcome, SelfCheck, convert};
use morsel_chunked::input::Input;
use morsel_chunked::{BlobRange, Class, ContentDigest, DiffId, Error, Limits, toc};
use testkit::tar::Tar;
use testkit::tar::sample::{rich, rich_tar};
use testkit::{data, toc as rows};

/// Options for a test: small memory, as many jobs as given.
pub(crate) fn options(jobs: usize) -> Options {
    Options { jobs: jobs.try_into().unwrap(), memory: 0, ..Options::default() }
}

pub(crate) fn converted(input: &[u8], options: &Options) -> (Vec<u8>, Converted) {
    let mut blob = Vec::new();
    let report = convert(input, &mut blob, options, &NoProgress).unwrap();
    (blob, report)
}

/// Returns the tar in a blob, as any decoder sees it.
pub(crate) fn tar_of(blob: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    Input::open(blob, |_| ()).unwrap().read_to_end(&mut tar).unwrap();
    tar
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Gzip::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bytes(blob: &[u8], range: BlobRange) -> &[u8] {
    &blob[range.start() as usize..range.end() as usize]
}

#[test]
fn a_rich_layer_is_chunked_and_every_chunk_decodes_alone() {
    let tar = rich_tar();
    let (blob, report) = converted(&tar, &options(2));
    assert_eq!(tar_of(&blob), tar);
    assert_eq!(report.diff_id, DiffId::of(&tar));
    assert_eq!((report.tar_len, report.blob_len), (tar.len() as u64, blob.len() as u64));
    let Outcome::Chunked { location, .. } = &report.outcome else { panic!("{:?}", report.outcome) };

    let toc = tar_of(bytes(&blob, location.toc.range));
    assert_eq!(toc.len() as u64, location.toc.len);
    let toc = toc::Toc::parse(toc.as_slice(), location.payload_len(), &Limits::default()).unwrap();
    assert_eq!(toc.entries.len() as u64, report.counts.entries);
    let mut chunks = 0;
    for content in toc.entries.iter().filter_map(|entry| entry.content.as_ref()) {
        let file = tar_of(bytes(&blob, content.range));
        assert_eq!(content.digest, Some(ContentDigest::of(&file)));
        for chunk in &content.chunks {
            let decoded = tar_of(bytes(&blob, chunk.blob));
            assert_eq!(decoded, file[chunk.file.start() as usize..chunk.file.end() as usize]);
            assert!(chunk.digest.is_none_or(|digest| digest == ContentDigest::of(&decoded)));
            chunks += 1;
        }
    }
    assert_eq!(chunks, report.counts.chunks);
}

#[test]
fn rows_equal_those_of_skopeo_for_the_same_tar() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let layer = fs::read(testdata.join("sample/layer.tar.gz")).unwrap();
    let (blob, report) = converted(&layer, &options(1));
    let ours = serde_json::json!({ "annotations": report.annotations() });
    for tool in ["skopeo-1.18.0", "skopeo-1.22.0"] {
        let theirs = fs::read(testdata.join(tool).join("blob")).unwrap();
        let descriptor = fs::read(testdata.join(tool).join("descriptor.json")).unwrap();
        let descriptor = serde_json::from_slice(&descriptor).unwrap();
        rows::assert_same_rows(rows::rows(&blob, &ours), rows::rows(&theirs, &descriptor));
    }
}

#[test]
fn the_report_counts_what_the_blob_holds() {
    let members = [data::stream(0, 300_000), vec![0; 2048], [data::text(1, 100), vec![0; 4096]].concat()];
    let tar = members
        .iter()
        .enumerate()
        .fold(Tar::new().dir("d/"), |tar, (n, content)| tar.file(format!("d/{n}"), content));
    let (_, report) = converted(&gzip(&tar.finish()), &options(1));
    let json = serde_json::to_value(&report).unwrap();
    let counts = serde_json::json!({
        "entries": 4, "files": 3, "chunks": 8 + 1 + 2, "holes": 2, "frames": 11 + 4,
        "metadata_blob_len": report.counts.metadata_blob_len,
    });
    assert_eq!(json["counts"], counts);
    assert_eq!((&json["format"], &json["source"]["compression"]), (&"zstd:chunked".into(), &"gzip".into()));
    assert_eq!(json["self_check"], "on");
}

#[test]
fn a_damaged_input_is_an_error_that_says_so() {
    let tar = Tar::new().members(rich()).finish();
    let layer = gzip(&tar);
    let zstd = converted(&tar, &options(1)).0;
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x55;
        bytes
    };
    let inputs = [
        ("truncated gzip", layer[..layer.len() / 2].to_vec()),
        ("gzip without its last byte", layer[..layer.len() - 1].to_vec()),
        ("gzip with another checksum", flipped(&layer, layer.len() - 6)),
        ("junk after gzip", [&layer[..], b"junk"].concat()),
        ("damaged zstd", flipped(&zstd, 40)),
        ("truncated zstd", zstd[..zstd.len() / 2].to_vec()),
        ("junk after zstd", [&zstd[..], b"junk"].concat()),
    ];
    for (what, input) in inputs {
        let error = convert(input.as_slice(), io::sink(), &options(2), &NoProgress).unwrap_err();
        assert_eq!(error.class(), Class::Corrupt, "{what}: {error:?}");
        assert_eq!(error.to_string(), "cannot read the layer", "{what}");
    }
}

#[test]
fn a_failing_reader_or_writer_ends_the_conversion() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let tar = Tar::new().file("large", data::stream(1, 40 << 20)).finish();
    let error = convert(tar.chain(Broken), io::sink(), &options(2), &NoProgress).unwrap_err();
    assert!(matches!(error, Error::Read { .. }) && error.class() == Class::Transient, "{error:?}");
    let error = convert(tar.as_slice(), Broken, &options(2), &NoProgress).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error:?}");
}

#[test]
fn the_level_changes_the_frames_only() {
    let tar = rich_tar();
    let at = |level| converted(&tar, &Options { level: Level::new(level).unwrap(), ..options(2) });
    let ((low, low_report), (high, high_report)) = (at(1), at(19));
    assert_ne!(low_report.blob_digest, high_report.blob_digest);
    assert_eq!(low_report.diff_id, high_report.diff_id);
    assert_eq!(tar_of(&low), tar_of(&high));
}

#[test]
fn without_the_self_check_the_blob_is_the_same_and_the_report_says_so() {
    let tar = rich_tar();
    let (checked, _) = converted(&tar, &options(2));
    let (unchecked, report) = converted(&tar, &Options { self_check: SelfCheck::Off, ..options(2) });
    assert!(checked == unchecked);
    assert_eq!(report.self_check, SelfCheck::Off);
}
