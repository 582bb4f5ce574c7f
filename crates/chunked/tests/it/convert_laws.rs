//! Laws 1 and 2: the blob decodes to the tar, and nothing but the tar and the level decides its bytes.

use std::fmt;
use std::io::Write;

use morsel_chunked::DiffId;
use morsel_chunked::convert::{Options, Outcome};
use proptest::prelude::*;
use testkit::data;
use testkit::tar::sample::rich;
use testkit::tar::{Member, Tar};

use crate::convert::{converted, gzip, options, tar_of};

/// A file's content: small, long enough to be cut by the scanner, or long enough to be compressed piece by piece.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let giant = 5usize << 20;
    prop_oneof![
        8 => (any::<u64>(), 0..3000usize).prop_map(|(seed, len)| data::text(seed, len)),
        4 => (any::<u64>(), 0..200_000usize).prop_map(|(seed, len)| data::stream(seed, len)),
        2 => (0..2000usize, 0..5000usize).prop_map(|(data, zeros)| [data::text(1, data), vec![0; zeros]].concat()),
        1 => (any::<u64>(), (1usize << 20)..(3 << 20)).prop_map(|(seed, len)| data::stream(seed, len)),
        1 => (giant - 10..giant + 10usize).prop_map(|len| b"periodic".repeat(len / 8)),
        1 => (giant - 10..giant + 10usize, 0..2usize).prop_map(|(len, tail)| [vec![0; len], vec![1; tail]].concat()),
    ]
}

/// A tar that does not fill the screen when a test fails.
pub(crate) struct Layer(pub(crate) Vec<u8>);

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a tar of {} bytes, {}", self.0.len(), DiffId::of(&self.0))
    }
}

pub(crate) fn layer() -> impl Strategy<Value = Layer> {
    let members = prop::collection::vec(content(), 1..8);
    (members, any::<bool>(), 0..20usize).prop_map(|(contents, with_rich, trailing)| {
        let files = contents.iter().enumerate().map(|(n, content)| Member::file(format!("f/{n}"), content));
        let rich = if with_rich { rich() } else { Vec::new() };
        Layer(Tar::new().members(rich).members(files).finish_with(vec![0; trailing * 512]))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_layer_decodes_to_its_tar_and_has_one_blob(Layer(tar) in layer(), jobs in 1..5usize) {
        let (blob, report) = converted(&tar, &options(jobs));
        let chunked = matches!(report.outcome, Outcome::Chunked { .. });
        prop_assert!(chunked, "{:?}", report.outcome);
        prop_assert!(tar_of(&blob) == tar);
        prop_assert_eq!(report.diff_id, DiffId::of(&tar));

        let (again, _) = converted(&gzip(&tar), &Options { memory: 100 << 20, ..options(5 - jobs) });
        prop_assert!(again == blob);
    }
}

#[test]
fn every_form_of_a_layer_gives_the_same_blob() {
    let tar = Tar::new().members(rich()).file("large", data::stream(4, 3 << 20)).finish();
    let (first, second) = tar.split_at(tar.len() / 3);
    let zstd = |bytes: &[u8]| {
        let mut frame = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
        zstd_safe::compress(&mut frame, bytes, 1).unwrap();
        frame
    };
    let skippable = [&[0x57, 0x2a, 0x4d, 0x18, 4, 0, 0, 0], b"note".as_slice()].concat();
    let (blob, _) = converted(&tar, &options(1));
    let forms = [
        ("gzip", gzip(&tar)),
        ("two gzip members", [gzip(first), gzip(second)].concat()),
        ("zstd", zstd(&tar)),
        ("frames between skippable ones", [skippable.clone(), zstd(first), skippable, zstd(second)].concat()),
        ("its own blob", blob.clone()),
    ];
    for (form, bytes) in forms {
        for jobs in [1, 2, 8] {
            assert!(converted(&bytes, &options(jobs)).0 == blob, "{form}, {jobs} jobs");
        }
    }
}

#[test]
fn headers_longer_than_a_frame_is_held_are_one_frame() {
    let dirs = (0..14_000).map(|n| Member::dir(format!("dir-{n}/")));
    let tar = Tar::new().members(dirs).file("end", "x").finish();
    assert!(tar.len() > 6 << 20);
    let (blob, report) = converted(&tar, &options(2));
    assert_eq!((report.counts.frames, report.counts.entries), (3, 14_001));
    assert!(tar_of(&blob) == tar);
    let mut slow = SlowReader(&tar);
    let mut again = Vec::new();
    morsel_chunked::convert::convert(
        &mut slow,
        &mut again,
        &options(1),
        &morsel_chunked::convert::NoProgress,
    )
    .unwrap();
    assert!(again == blob);
}

#[test]
fn pax_headers_across_slabs_stay_in_one_segment() {
    let member = |n: u64| Member::file(format!("f/{n}"), data::text(n, 100)).modified(1_700_000_000, 5);
    let tar = Tar::new().members((0..2000).map(member)).finish();
    // The self-check refuses a tar-split with a header in two segments.
    let (_, report) = converted(&tar, &options(2));
    assert!(matches!(report.outcome, Outcome::Chunked { .. }), "{:?}", report.outcome);
}

/// What is compressed to almost nothing must not keep its small neighbors, and with them slabs, from being worked on.
#[test]
fn more_giant_holes_than_slabs_do_not_stop_the_pipeline() {
    let hole = vec![0; 5 << 20];
    let files = (0..30).map(|n| Member::file(n.to_string(), &hole));
    let tar = Tar::new().members(files).finish();
    assert_eq!(converted(&tar, &options(2)).1.counts.files, 30);
    let disk = [hole.as_slice(), &data::text(1, 4096)].concat().repeat(30);
    let tar = Tar::new().file("disk", disk).finish();
    assert_eq!(converted(&tar, &options(2)).1.counts.holes, 30);
}

/// Gives a few thousand bytes at a time.
struct SlowReader<'a>(&'a [u8]);

impl std::io::Read for SlowReader<'_> {
    fn read(&mut self, mut buffer: &mut [u8]) -> std::io::Result<usize> {
        let (now, later) = self.0.split_at(self.0.len().min(4099).min(buffer.len()));
        self.0 = later;
        buffer.write_all(now)?;
        Ok(now.len())
    }
}
