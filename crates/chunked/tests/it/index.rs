//! An ordinary layer, indexed: the rows that `convert` would write, every content, and the tar back.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use morsel_chunked::convert::Outcome;
use morsel_chunked::index::{ContentSink, Index, Options, StagedContent, index};
use morsel_chunked::toc::Toc;
use morsel_chunked::{BlobRange, Class, ContentDigest, DiffId, Entry, Error, Limits, TocDigest, tar_split};
use proptest::prelude::*;
use testkit::data;
use testkit::tar::sample::{rich, rich_tar};
use testkit::tar::{Member, SparseFormat, Tar};
use testkit::tools::{self, Tier};

use crate::convert::{bytes, converted, gzip, options, tar_of};
use crate::convert_laws::{Layer, layer};

/// Keeps every content in memory and checks its digest.
#[derive(Default)]
pub(crate) struct Contents {
    by_digest: Mutex<HashMap<ContentDigest, Vec<u8>>>,
    /// Bytes that came as holes.
    holes: Mutex<u64>,
}

impl Contents {
    fn get(&self, digest: &ContentDigest) -> Vec<u8> {
        self.by_digest.lock().unwrap()[digest].clone()
    }

    fn put(&self, digest: ContentDigest, bytes: Vec<u8>) {
        assert_eq!(ContentDigest::of(&bytes), digest);
        self.by_digest.lock().unwrap().insert(digest, bytes);
    }
}

impl ContentSink for Contents {
    fn whole(&self, digest: ContentDigest, bytes: &[u8]) -> io::Result<()> {
        self.put(digest, bytes.to_vec());
        Ok(())
    }

    fn start(&self, len: u64) -> io::Result<Box<dyn StagedContent + '_>> {
        Ok(Box::new(Staged { contents: self, bytes: Vec::new(), len }))
    }
}

struct Staged<'a> {
    contents: &'a Contents,
    bytes: Vec<u8>,
    len: u64,
}

impl StagedContent for Staged<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn hole(&mut self, len: u64) -> io::Result<()> {
        self.bytes.resize(self.bytes.len() + len as usize, 0);
        *self.contents.holes.lock().unwrap() += len;
        Ok(())
    }

    fn commit(self: Box<Self>, digest: ContentDigest) -> io::Result<()> {
        assert_eq!(self.bytes.len() as u64, self.len);
        self.contents.put(digest, self.bytes);
        Ok(())
    }
}

/// Options for a test: small memory, as many jobs as given.
fn with_jobs(jobs: usize) -> Options {
    Options { jobs: jobs.try_into().unwrap(), memory: 0, ..Options::default() }
}

fn indexed(layer: &[u8]) -> (Index, Contents) {
    let contents = Contents::default();
    let index = index(layer, &contents, &with_jobs(2)).unwrap();
    (index, contents)
}

fn refusal(layer: &[u8]) -> Error {
    index(layer, &Contents::default(), &with_jobs(2)).unwrap_err()
}

fn entries(index: &Index) -> Vec<Entry> {
    assert_eq!(TocDigest::of(&index.toc), index.toc_digest);
    let json = tar_of(&index.toc);
    assert_eq!(json.len() as u64, index.toc_len);
    let toc = Toc::parse_unplaced(json.as_slice(), &Limits::default()).unwrap();
    assert_eq!(toc.trailer.tar_split, index.tar_split.as_ref().ok().map(|split| split.digest));
    toc.entries
}

/// Returns the rows of the TOC that `convert` writes, without their places in the blob.
fn rows_of_convert(tar: &[u8]) -> Vec<Entry> {
    let (blob, report) = converted(tar, &options(2));
    let Outcome::Chunked { location, .. } = &report.outcome else { panic!("{:?}", report.outcome) };
    let json = tar_of(bytes(&blob, location.toc.range));
    let mut toc = Toc::parse(json.as_slice(), location.payload_len(), &Limits::default()).unwrap();
    let nowhere = BlobRange::new(0, 0).unwrap();
    for content in toc.entries.iter_mut().filter_map(|entry| entry.content.as_mut()) {
        content.range = nowhere;
        content.chunks.iter_mut().for_each(|chunk| chunk.blob = nowhere);
    }
    toc.entries
}

fn rebuilt(index: &Index, contents: &Contents) -> Vec<u8> {
    let rows = entries(index);
    let content = |name: &[u8]| {
        let row = rows.iter().find(|row| row.name.as_bytes() == name && row.content.is_some()).unwrap();
        Ok(io::Cursor::new(contents.get(&row.content.as_ref().unwrap().digest.unwrap())))
    };
    let stream = tar_of(&index.tar_split.as_ref().unwrap().blob);
    let mut reader = tar_split::Reader::new(BufReader::new(stream.as_slice()), &Limits::default());
    let mut tar = Vec::new();
    tar_split::rebuild(&mut reader, &mut tar, content).unwrap();
    tar
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_layer_is_indexed_as_convert_chunks_it(Layer(tar) in layer(), jobs in 1..5usize) {
        let contents = Contents::default();
        let index = index(gzip(&tar).as_slice(), &contents, &with_jobs(jobs)).unwrap();
        prop_assert_eq!((index.diff_id, index.tar_len), (DiffId::of(&tar), tar.len() as u64));
        prop_assert!(entries(&index) == rows_of_convert(&tar));
        prop_assert!(rebuilt(&index, &contents) == tar);
    }
}

#[test]
fn every_form_of_a_layer_has_one_index() {
    let tar = rich_tar();
    let (plain, contents) = indexed(&tar);
    assert_eq!(rebuilt(&plain, &contents), tar);
    let chunked = converted(&tar, &options(2)).0;
    for (form, layer) in [("gzip", gzip(&tar)), ("zstd:chunked", chunked)] {
        let (index, _) = indexed(&layer);
        assert_eq!((index.toc_digest, index.diff_id), (plain.toc_digest, plain.diff_id), "{form}");
    }
}

#[test]
fn zeros_of_long_files_are_holes() {
    let disk = [data::text(1, 8192), vec![0; 6 << 20], data::text(2, 100)].concat();
    let (index, contents) = indexed(&Tar::new().file("disk", &disk).finish());
    let content = entries(&index)[0].content.clone().unwrap();
    assert_eq!((content.chunks.len(), contents.get(&content.digest.unwrap()) == disk), (3, true));
    assert!(*contents.holes.lock().unwrap() > (6 << 20) - 3 * 4096);
}

#[test]
fn an_empty_layer_has_an_empty_toc() {
    for tar in [vec![], vec![0; 1024], vec![0; 10240]] {
        let (index, contents) = indexed(&gzip(&tar));
        assert_eq!((entries(&index), index.diff_id), (vec![], DiffId::of(&tar)));
        assert_eq!(rebuilt(&index, &contents), tar);
    }
}

/// Content that splits after nearly every byte.
fn dense(len: usize) -> Vec<u8> {
    let mut period = [129; 64];
    period[..2].copy_from_slice(&[32, 226]);
    period.into_iter().cycle().take(len).collect()
}

#[test]
fn a_file_of_tiny_chunks_stays_in_one_piece() {
    let files = [dense(100_000), dense(3 << 20)];
    let tar = Tar::new().file("short", &files[0]).file("long", &files[1]).file("end", "x").finish();
    let (index, contents) = indexed(&tar);
    for (row, file) in entries(&index).iter().zip(&files) {
        let content = row.content.as_ref().unwrap();
        assert_eq!((content.digest, content.chunks.len()), (Some(ContentDigest::of(file)), 1));
    }
    assert_eq!(rebuilt(&index, &contents), tar);
}

#[test]
fn irregular_layers_keep_the_order_of_their_rows() {
    let tars = [
        Tar::new().member(Member::pax_global([("comment", "x")])).file("a", "a").finish(),
        Tar::new().file("a", "first").file("b", "b").file("./a", "second").finish(),
        Tar::new().dir("d/").symlink("l", "d").file("l/f", "below").finish(),
        Tar::new().file("d/f", "x").file("d/.wh.f", "").finish(),
        Tar::new().member(Member::new(b'7', "contiguous").payload("x")).finish(),
        Tar::new().member(Member::dir("sized/").claimed_len(512)).file("sized/f", "f").finish(),
        Tar::new().member(Member::file("future", "x").modified(253_402_300_800, 0)).finish(),
        Tar::new().file(format!("{}f", "d/".repeat(300)), "deep").finish(),
        Tar::new().file("a", "a").finish_with("junk"),
        Tar::new().file("a", "a").finish_with(vec![7; 3 << 20]),
    ];
    let describe = |tar: &Vec<u8>| {
        let (index, contents) = indexed(tar);
        assert_eq!(index.diff_id, DiffId::of(tar));
        let row = |row: &Entry| {
            let content = row.content.as_ref().map(|content| contents.get(&content.digest.unwrap()));
            let content = String::from_utf8(content.unwrap_or_default()).unwrap();
            let name = row.name.chars().take(20).collect::<String>();
            format!("{name}{}{content}", if content.is_empty() { "" } else { "=" })
        };
        let rows: Vec<_> = entries(&index).iter().map(row).collect();
        format!("{}: {}", rows.join(" "), index.irregular().unwrap())
    };
    insta::assert_snapshot!(tars.iter().map(describe).collect::<Vec<_>>().join("\n"), @"
    a=a: the tar has a pax global header
    a=first b=b ./a=second: `./a` is in the tar twice
    d/ l l/f=below: `l/f` lies below something that is not a directory
    d/f=x d/.wh.f: `d/.wh.f` is in the tar twice
    contiguous=x: `contiguous` has the tar type `7`, which a TOC cannot express
    sized/ sized/f=f: `sized/` has no payload but the size 512
    future=x: `future` has a time outside the years 0 to 9999
    d/d/d/d/d/d/d/d/d/d/=deep: `d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/` is more than 256 directories deep
    a=a: the tar goes on after its end, at byte 2048
    a=a: the tar goes on after its end, at byte 2048
    ");
}

#[test]
fn sparse_files_are_expanded() {
    let data = [(0, data::text(1, 700)), (5000, data::text(2, 3000)), (3 << 20, data::stream(3, 2 << 20))];
    let pieces: Vec<_> = data.iter().map(|(at, bytes)| (*at as u64, bytes.as_slice())).collect();
    let many: Vec<_> = (0..100u64).map(|n| (n * 2000, &b"data"[..])).collect();
    for format in [SparseFormat::Gnu, SparseFormat::Pax00, SparseFormat::Pax01, SparseFormat::Pax10] {
        for (pieces, len) in [(&pieces, 9 << 20), (&many, 200_000), (&vec![], 5000), (&vec![], 0)] {
            let mut file = vec![0; len as usize];
            for (at, bytes) in pieces {
                file[*at as usize..][..bytes.len()].copy_from_slice(bytes);
            }
            let sparse = Member::sparse("sparse", format, len, pieces);
            let tar = Tar::new().file("before", "x").member(sparse).file("after", "y").finish();
            let (index, contents) = indexed(&tar);
            let rows = entries(&index);
            let plain = Tar::new().file("sparse", &file).finish();
            assert_eq!(rows[1].content, rows_of_convert(&plain)[0].content, "{format:?}");
            assert_eq!((rows[1].size, rows[2].name.as_str(), rows.len()), (len, "after", 3), "{format:?}");
            let digest = rows[1].content.as_ref().map(|content| content.digest.unwrap());
            assert!(digest.is_none_or(|digest| contents.get(&digest) == file), "{format:?}");
        }
    }
}

#[test]
fn tool_sparse_files_of_gnu_tar_are_expanded() {
    let dir = tempfile::tempdir().unwrap();
    let disk = File::create(dir.path().join("disk")).unwrap();
    for piece in 0..30u64 {
        disk.write_all_at(&data::text(piece, 4096), piece * 40_960).unwrap();
    }
    disk.set_len(1_300_000).unwrap();
    let expected = ContentDigest::of(&fs::read(dir.path().join("disk")).unwrap());
    for format in [["gnu", "1.0"], ["posix", "0.0"], ["posix", "0.1"], ["posix", "1.0"]] {
        let Some(mut tar) = tools::host(Tier::Tool, "tar") else { return };
        let [format, version] = format;
        tar.args(["-cS", &format!("--format={format}"), &format!("--sparse-version={version}")]);
        let output = tar.arg("disk").current_dir(&dir).output().unwrap();
        assert!(output.status.success() && output.stdout.len() < 300_000, "{output:?}");
        let (index, _) = indexed(&output.stdout);
        let [row] = &entries(&index)[..] else { panic!("{format} {version}") };
        let content = row.content.as_ref().unwrap();
        assert_eq!((row.name.as_str(), row.size), ("disk", 1_300_000));
        assert_eq!((content.digest, content.chunks.len()), (Some(expected), 60), "{format} {version}");
    }
}

#[test]
fn what_cannot_be_unpacked_is_an_error() {
    let after_rich = |member: Member| Tar::new().members(rich()).member(member).file("end", "end").finish();
    let long = Tar::new().file("long", data::stream(1, 3 << 20)).finish();
    let tars = [
        b"not a tar at all".to_vec(),
        data::stream(7, 9 << 20),
        Tar::new().file("a", data::text(1, 3000)).finish()[..512 + 1000].to_vec(),
        long[..2 << 20].to_vec(),
        Tar::new().member(Member::pax_global([("comment", "x")]).claimed_len(10_000_000_000)).finish(),
        after_rich(Member::file("./etc/../../hostname", "climbs")),
        after_rich(Member::file("file/", "x")),
        after_rich(Member::file(b"caf\xe9", "x")),
        after_rich(Member::new(b'M', "multivolume")),
        after_rich(Member::sparse("vast", SparseFormat::Gnu, 1 << 40, &[(4096, b"data")])),
        after_rich(Member::sparse(
            "overlapping",
            SparseFormat::Pax01,
            9000,
            &[(4096, b"data"), (4097, b"data")],
        )),
        after_rich(Member::sparse("beyond", SparseFormat::Pax10, 4097, &[(4096, b"data")])),
        after_rich(Member::sparse("no-map", SparseFormat::Pax10, 4097, &[]).payload("no numbers here")),
        after_rich(Member::file("lying", "x").claimed_len(10_000_000_000)),
        after_rich(Member::file("attribute", "x").xattr("user.large", vec![b'v'; 70_000])),
    ];
    let describe = |tar: &Vec<u8>| {
        let error = refusal(tar);
        format!("{:?}: {error}", error.class())
    };
    insta::assert_snapshot!(tars.iter().map(describe).collect::<Vec<_>>().join("\n"), @r"
    Corrupt: the layer cannot be indexed: the tar is truncated after byte 0
    Corrupt: the layer cannot be indexed: the tar is damaged at byte 0: tar header has no valid number in its field `chksum`
    Corrupt: the layer cannot be indexed: the tar is truncated inside `a`
    Corrupt: the layer cannot be indexed: the tar is truncated inside `long`
    Corrupt: the layer cannot be indexed: the tar is truncated after byte 3072
    Unsupported: the layer cannot be indexed: `./etc/../../hostname` has `..` in its name
    Unsupported: the layer cannot be indexed: `file/` is named like a directory and is none
    Unsupported: the layer cannot be indexed: the name of `caf\xe9` is not UTF-8
    Unsupported: the layer cannot be indexed: `multivolume` has the tar type `M`, which a TOC cannot express
    Unsupported: the layer cannot be indexed: `vast` is sparse, and with it the layer would have more than 17179869184 bytes of holes
    Unsupported: the layer cannot be indexed: `overlapping` is stored as a sparse file
    Unsupported: the layer cannot be indexed: `beyond` is stored as a sparse file
    Unsupported: the layer cannot be indexed: `no-map` is stored as a sparse file
    Corrupt: the layer cannot be indexed: the tar is truncated inside `lying`
    Unsupported: the layer cannot be indexed: `attribute` has an extended attribute without a name or larger than the kernel takes
    ");
}

#[test]
fn damaged_compression_is_an_error() {
    let layer = gzip(&rich_tar());
    for input in [&layer[..layer.len() / 2], &layer[..layer.len() - 1], &[&layer[..], b"junk"].concat()] {
        let error = refusal(input);
        assert_eq!((error.class(), error.to_string().as_str()), (Class::Corrupt, "cannot read the layer"));
    }
}

/// Takes nothing.
struct Full;

impl ContentSink for Full {
    fn whole(&self, _: ContentDigest, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn start(&self, _: u64) -> io::Result<Box<dyn StagedContent + '_>> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn a_failing_sink_ends_it() {
    let many = (0..4000u64).map(|n| Member::file(n.to_string(), data::text(n, 9000)));
    for tar in
        [Tar::new().members(many).finish(), Tar::new().file("long", data::stream(1, 40 << 20)).finish()]
    {
        let error = index(tar.as_slice(), &Full, &with_jobs(2)).unwrap_err();
        assert!(matches!(&error, Error::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull));
    }
}

/// Counts what it is given.
#[derive(Default)]
struct Counting(Mutex<u64>);

impl ContentSink for Counting {
    fn whole(&self, _: ContentDigest, bytes: &[u8]) -> io::Result<()> {
        *self.0.lock().unwrap() += bytes.len() as u64;
        Ok(())
    }

    fn start(&self, _: u64) -> io::Result<Box<dyn StagedContent + '_>> {
        Ok(Box::new(self))
    }
}

impl StagedContent for &Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        *self.0.lock().unwrap() += bytes.len() as u64;
        Ok(())
    }

    fn hole(&mut self, len: u64) -> io::Result<()> {
        *self.0.lock().unwrap() += len;
        Ok(())
    }

    fn commit(self: Box<Self>, _: ContentDigest) -> io::Result<()> {
        Ok(())
    }
}

/// The pool has 24 slabs of a MiB, whatever the layer: if anything held on to them, this would never end.
#[test]
fn a_giant_file_of_one_chunk_passes_through_few_slabs() {
    let len = 48 << 20;
    let header = Member::file("giant", "").claimed_len(len).encode_header();
    let tar = header.chain(io::repeat(b'x').take(len as u64)).chain(io::repeat(0).take(1024));
    let counting = Counting::default();
    let index = index(tar, &counting, &with_jobs(1)).unwrap();
    assert_eq!(entries(&index)[0].content.as_ref().unwrap().chunks.len(), 1);
    assert_eq!(*counting.0.lock().unwrap(), len as u64);
}

#[test]
fn deep_names_without_end_are_refused() {
    let limits = Limits { entries: 1000, ..Limits::default() };
    let deep = |number: u32| format!("{number}/{}f", "d/".repeat(200));
    let tar = (0..10).fold(Tar::new(), |tar, number| tar.file(deep(number), "x")).finish();
    let options = Options { limits, ..Options::default() };
    let error = index(tar.as_slice(), &Contents::default(), &options).unwrap_err();
    assert!(error.to_string().contains("more than 1000 paths"), "{error}");
}
