//! What holds of any pull: it brings everything, verified, and nothing that is here already.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;

use chunked::{BlobRange, ChunkKind, ContentDigest, Ranges};
use morsel_store::fetch::{Fetched, NoProgress};
use morsel_store::pull::{How, Options, pull};
use morsel_store::{LayerState, Store};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use testkit::data;

use crate::made::Made;
use crate::sample::{Place, files};
use crate::source::{Fault, MANY, Source, abilities};

/// Files by name; some have equal content, some several chunks, some holes.
fn tree() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    let small = (0..6_u64, 0..3000_usize).prop_map(|(seed, len)| data::stream(seed, len));
    let piece = prop_oneof![
        (0..6_u64, 1..9000_usize).prop_map(|(seed, len)| [data::text(seed, len), data::cut()].concat()),
        (1000..5000_usize).prop_map(|len| vec![0; len]),
    ];
    let long = vec(piece, 1..6).prop_map(|pieces| pieces.concat());
    btree_map("[a-z]{1,3}", prop_oneof![3 => small, 1 => long], 1..25)
}

fn ranges() -> impl Strategy<Value = Ranges> {
    prop_oneof![3 => Just(MANY), 1 => Just(Ranges::One), 1 => (1..6_usize).prop_map(|count| Ranges::Many { count, header_len: 4000 })]
}

fn options() -> impl Strategy<Value = Options> {
    (1..4_usize, prop_oneof![Just(1), Just(5000), Just(1 << 20)]).prop_map(|(jobs, memory)| {
        let mut options = Options::default();
        options.fetch.jobs = NonZeroUsize::new(jobs).unwrap();
        options.fetch.memory = memory;
        options
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    use std::io::ErrorKind::{ConnectionReset, TimedOut};
    prop_oneof![
        (0..30_000_usize).prop_map(Fault::Cut),
        prop_oneof![Just(ConnectionReset), Just(TimedOut)].prop_map(Fault::Fail),
        prop_oneof![Just(Ranges::One), Just(Ranges::Many { count: 2, header_len: 4000 })]
            .prop_map(Fault::Less),
    ]
}

/// Checks that a store holds what a layer does, and nothing unfinished.
fn holds(place: &Place, tree: &BTreeMap<String, Vec<u8>>) {
    for content in tree.values().filter(|content| !content.is_empty()) {
        let file = place.store.objects().open(&ContentDigest::of(content)).unwrap().unwrap();
        let mut bytes = vec![0; content.len()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes == *content && file.metadata().unwrap().len() == content.len() as u64);
    }
    assert_eq!(files(&place.root().join("partial")), [""; 0]);
    assert_eq!(files(&place.root().join("tmp")), [""; 0]);
}

/// Puts some contents into a store, some of them as far as some of their chunks; returns the frames that are missing then.
fn prepare(
    store: &Store,
    made: &Made,
    tree: &BTreeMap<String, Vec<u8>>,
    here: &[bool],
) -> BTreeSet<BlobRange> {
    let contents: BTreeMap<_, _> =
        tree.values().map(|content| (ContentDigest::of(content), content.as_slice())).collect();
    let mut here = here.iter().copied().cycle();
    let mut seen = BTreeSet::new();
    let mut missing = BTreeSet::new();
    for content in made.open().toc.entries.into_iter().filter_map(|entry| entry.content) {
        let digest = content.digest.unwrap();
        let bytes = contents[&digest];
        if !seen.insert(digest) {
            continue;
        }
        if here.next().unwrap() {
            store.objects().put(&digest, bytes).unwrap();
            continue;
        }
        if let [only] = content.chunks.as_slice() {
            missing.insert(only.blob);
            continue;
        }
        let partial = store.partials().open(&digest, &content.chunks).unwrap().unwrap();
        let data = content.chunks.iter().enumerate().filter(|(_, chunk)| chunk.kind == ChunkKind::Data);
        for (index, chunk) in data {
            if here.next().unwrap() {
                let range = chunk.file.start() as usize..chunk.file.end() as usize;
                partial.write(index, chunk.file.start(), &bytes[range]).unwrap();
            } else {
                missing.insert(chunk.blob);
            }
        }
    }
    missing
}

fn total(frames: &BTreeSet<BlobRange>) -> u64 {
    frames.iter().map(BlobRange::len).sum()
}

fn one(place: &Place, made: &Made, source: &Source, options: &Options) -> Option<Fetched> {
    let mut pulled = pull(&place.store, &[made.task(source)], options, &NoProgress).ok()?;
    let (record, report) = pulled.remove(0);
    assert_eq!((record.state, record.diff_id), (LayerState::Proven, Some(made.diff_id)));
    match report.how {
        How::Parts(fetched) => Some(fetched),
        how => panic!("{how:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_pull_brings_what_is_missing_and_nothing_else(
        tree in tree(),
        here in vec(any::<bool>(), 1..20),
        ranges in ranges(),
        parallelism in 1..4_usize,
        options in options(),
    ) {
        let (place, made) = (Place::new(), Made::files(&tree));
        let missing = prepare(&place.store, &made, &tree, &here);
        let source = Source::new(&made, abilities(ranges, parallelism));
        let fetched = one(&place, &made, &source, &options).unwrap();
        holds(&place, &tree);
        prop_assert_eq!(fetched.needed, total(&missing));
        prop_assert_eq!(source.bytes_read(made.payload()), fetched.needed + fetched.wasted);
        for frame in missing {
            prop_assert_eq!(source.bytes_read(frame), frame.len());
        }
    }

    #[test]
    fn what_came_before_a_failure_does_not_come_again(
        tree in tree(),
        faults in btree_map(0..5_usize, fault(), 0..4),
        ranges in ranges(),
        parallelism in 1..4_usize,
        options in options(),
    ) {
        let (place, made) = (Place::new(), Made::files(&tree));
        let mut missing: BTreeSet<_> = made.frames().into_values().flatten().collect();
        let failing = Source::new(&made, abilities(ranges, parallelism)).faults(faults);
        if let Some(fetched) = one(&place, &made, &failing, &options) {
            holds(&place, &tree);
            prop_assert_eq!(fetched.needed, total(&missing));
        }
        // What failed may have left partials and no more than that.
        prop_assert_eq!(files(&place.root().join("tmp")), [""; 0]);
        missing.retain(|frame| failing.least_reads(*frame) == 0);
        let source = Source::new(&made, abilities(ranges, parallelism));
        if place.store.layers().find(&made.digest()).unwrap().is_none() {
            let fetched = one(&place, &made, &source, &options).unwrap();
            prop_assert_eq!(fetched.needed, total(&missing));
        }
        holds(&place, &tree);
    }
}
