//! A layer that is served before its content is here.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use chunked::convert::{Options, Outcome, convert};
use chunked::{Abilities, BlobDigest, BlobRange, ContentDigest, DiffId, Link, RangeSource, Ranges};
use morsel_mount::contents;
use morsel_mount::fetch::{self, Fetcher, NoEvents, Place, Supply, Verdict};
use morsel_mount::fuse::{self, Device, Session};
use rustix::mount::UnmountFlags;
use store::pull::{self, Task};
use store::{LayerRecord, LayerState, Store};
use testkit::data;
use testkit::tar::{Member, Tar};
use testkit::tools::{self, Tier};

/// A zstd:chunked layer in memory.
pub(crate) struct Made {
    pub(crate) blob: Vec<u8>,
    annotations: BTreeMap<String, String>,
    diff_id: DiffId,
}

impl Made {
    pub(crate) fn of(files: &[(&str, Vec<u8>)]) -> Self {
        let tar =
            Tar::new().members(files.iter().map(|(name, content)| Member::file(name, content))).finish();
        let mut blob = Vec::new();
        let converted =
            convert(tar.as_slice(), &mut blob, &Options::default(), &chunked::convert::NoProgress).unwrap();
        let Outcome::Chunked { .. } = converted.outcome else { panic!("the layer has no TOC") };
        Self { blob, annotations: converted.annotations(), diff_id: converted.diff_id }
    }

    /// Brings the metadata into a store.
    pub(crate) fn index(&self, store: &Store) -> LayerRecord {
        let task = Task {
            blob: BlobDigest::of(&self.blob),
            source: Box::new(self.blob.as_slice()),
            annotations: self.annotations.clone(),
            diff_id: Some(self.diff_id),
        };
        let indexed = pull::index(store, &[task], &pull::Options::default(), &store::fetch::NoProgress);
        indexed.unwrap().remove(0).record
    }
}

/// A blob that does as told, and remembers what was read of it.
pub(crate) struct Scripted {
    blob: Vec<u8>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    requests: Vec<Vec<BlobRange>>,
    /// Bytes that are handed out wrong.
    flipped: Option<u64>,
    /// Whether all are.
    pub(crate) garbage: bool,
    pub(crate) failing: Option<io::ErrorKind>,
    delay: Duration,
}

impl Scripted {
    pub(crate) fn new(made: &Made) -> Self {
        Self { blob: made.blob.clone(), state: Mutex::default() }
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub(crate) fn requests(&self) -> Vec<Vec<BlobRange>> {
        self.state.lock().unwrap().requests.clone()
    }

    fn fetched(&self) -> u64 {
        self.requests().iter().flatten().map(BlobRange::len).sum()
    }
}

impl Supply for Scripted {
    fn abilities(&self, _place: &Place, _layer: &LayerRecord) -> Abilities {
        let ranges = Ranges::Many { count: 50, header_len: 4000 };
        Abilities { ranges, parallelism: 4, link: Link::new(Duration::from_nanos(1), 1e6) }
    }

    fn read(
        &self,
        _place: &Place,
        _layer: &LayerRecord,
        ranges: &[BlobRange],
        take: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.requests.push(ranges.to_vec());
        if let Some(kind) = state.failing {
            return Err(kind.into());
        }
        let (flipped, garbage, delay) = (state.flipped, state.garbage, state.delay);
        drop(state);
        thread::sleep(delay);
        let mut bytes = Vec::new();
        for range in ranges {
            self.blob.read_range(*range)?.read_to_end(&mut bytes)?;
            if let Some(at) = flipped.filter(|at| (range.start()..range.end()).contains(at)) {
                let place = bytes.len() - (range.end() - at) as usize;
                bytes[place] ^= 1;
            }
        }
        if garbage {
            bytes.fill(0xaa);
        }
        take(&mut bytes.as_slice())
    }
}

/// Returns the path of a content below a directory of objects.
pub(crate) fn path_of(root: &Path, content: &[u8]) -> PathBuf {
    let text = ContentDigest::of(content).to_string();
    let hex = text.strip_prefix("sha256:").unwrap();
    root.join(&hex[..2]).join(&hex[2..])
}

/// Serves a layer while something is done.
pub(crate) fn serve(
    store: &Store,
    made: &Made,
    supply: &Scripted,
    act: impl FnOnce(&Path, &Fetcher<'_>, &fetch::Layer),
) {
    serve_within(Duration::from_secs(60), store, made, supply, act);
}

fn serve_within(
    patience: Duration,
    store: &Store,
    made: &Made,
    supply: &Scripted,
    act: impl FnOnce(&Path, &Fetcher<'_>, &fetch::Layer),
) {
    let record = made.index(store);
    let dir = tempfile::tempdir().unwrap();
    let table = contents::build(store, &record, &contents::directory_of(store)).unwrap();
    let options = fetch::Options { quiet: Duration::ZERO, ..fetch::Options::default() };
    let (fetcher, ended) = Fetcher::new(store, supply, &NoEvents, options);
    let layer = fetcher.attach(&record, table);
    fetcher.add_place(&layer, &Place::default());
    let device = Device::open().unwrap();
    fuse::mount(&device, dir.path()).unwrap();
    let devices = vec![device.another().unwrap(), device];
    let session = Session::new(devices, &fetcher, ended, fuse::Options { patience }).unwrap();
    thread::scope(|scope| {
        fetcher.start(scope);
        session.start(scope);
        let done =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(dir.path(), &fetcher, &layer)));
        rustix::mount::unmount(dir.path(), UnmountFlags::DETACH).unwrap();
        fetcher.stop();
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Tells whether there is no FUSE here, after saying so.
fn is_skipped() -> bool {
    let is_missing = !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists();
    if is_missing {
        tools::skip(Tier::Root, "only root can mount FUSE, where there is one");
    }
    is_missing
}

pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let small = |seed: u64| data::stream(seed, 3000 + seed as usize * 100);
    vec![
        ("a", small(1)),
        ("b", small(2)),
        ("large", data::stream(3, 9_000_000)),
        ("z", small(4)),
        ("zeros", vec![0; 300_000]),
    ]
}

#[test]
fn root_content_is_fetched_when_it_is_read() {
    if is_skipped() {
        return;
    }
    let (files, (_dir, store)) = (files(), store());
    let made = Made::of(&files);
    let supply = Scripted::new(&made);
    serve(&store, &made, &supply, |root, fetcher, _| {
        assert_eq!(path_of(root, &files[0].1).metadata().unwrap().len(), 3100);
        assert_eq!(supply.requests(), [] as [Vec<BlobRange>; 0]);
        assert!(std::fs::read(path_of(root, b"something else")).is_err());
        for (name, content) in &files {
            assert!(std::fs::read(path_of(root, content)).unwrap() == *content, "{name}");
        }
        assert!(supply.fetched() <= made.blob.len() as u64);
        let counts = fetcher.counters().counts();
        assert_eq!((counts.failed_reads, counts.wrong_chunks), (0, 0), "{counts:?}");
        // Twice costs nothing.
        let fetched = supply.fetched();
        assert!(std::fs::read(path_of(root, &files[2].1)).unwrap() == files[2].1);
        assert_eq!(supply.fetched(), fetched);
    });
    for (_, content) in &files {
        assert!(path_of(&store.path().join("objects"), content).exists());
    }
}

#[test]
fn root_a_part_of_a_large_file_is_enough() {
    if is_skipped() {
        return;
    }
    let (files, (_dir, store)) = (files(), store());
    let made = Made::of(&files);
    let supply = Scripted::new(&made);
    serve(&store, &made, &supply, |root, _, _| {
        let file = std::fs::File::open(path_of(root, &files[2].1)).unwrap();
        let mut piece = [0; 4096];
        file.read_exact_at(&mut piece, 5_000_000).unwrap();
        assert!(piece == files[2].1[5_000_000..][..4096]);
        assert!(supply.fetched() < 2_000_000, "{}", supply.fetched());
    });
}

/// Reads one file with many readers at once; `MORSEL_TEST_READ_LEN` says how long it is.
#[test]
fn root_many_readers_of_one_file_fetch_each_chunk_once() {
    if is_skipped() {
        return;
    }
    let len = std::env::var("MORSEL_TEST_READ_LEN").ok().and_then(|len| len.parse().ok());
    let (mut files, (_dir, store)) = (files(), store());
    files[2].1 = data::stream(3, len.unwrap_or(9_000_000));
    let made = Made::of(&files);
    let supply = Scripted::new(&made);
    supply.set(|state| state.delay = Duration::from_millis(5));
    serve(&store, &made, &supply, |root, fetcher, layer| {
        let path = path_of(root, &files[2].1);
        thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| assert!(std::fs::read(&path).unwrap() == files[2].1));
            }
        });
        // A request may pass over a gap that another one has brought; what is there is not taken twice.
        let table = contents::build(&store, layer.record(), &contents::directory_of(&store)).unwrap();
        let row = table.find(&ContentDigest::of(&files[2].1)).unwrap().unwrap();
        let own = u64::from(table.content(row).unwrap().unwrap().chunk_count);
        let counts = fetcher.counters().counts();
        let fetched = counts.fault_chunks + counts.prefetch_chunks + counts.fill_chunks;
        assert!((own..=u64::from(table.chunk_count())).contains(&fetched), "{fetched} of {own}");
    });
}

#[test]
fn root_what_is_wrong_or_does_not_come_is_an_error_until_it_is_right() {
    if is_skipped() {
        return;
    }
    let (files, (_dir, store)) = (files(), store());
    let made = Made::of(&files);
    let supply = Scripted::new(&made);
    serve(&store, &made, &supply, |root, fetcher, layer| {
        let path = path_of(root, &files[0].1);
        let table = contents::build(&store, layer.record(), &contents::directory_of(&store)).unwrap();
        let row = table.find(&ContentDigest::of(&files[0].1)).unwrap().unwrap();
        let chunk = table.chunks(table.content(row).unwrap().unwrap().first_chunk, 1).unwrap()[0].chunk;
        supply.set(|state| state.flipped = Some(chunk.blob.start() + chunk.blob.len() / 2));
        let error = std::fs::read(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
        assert!(fetcher.counters().counts().wrong_chunks > 0);
        supply.set(|state| state.failing = Some(io::ErrorKind::ConnectionRefused));
        assert!(std::fs::read(&path).is_err());
        supply.set(|state| (state.failing, state.flipped) = (None, None));
        assert!(std::fs::read(&path).unwrap() == files[0].1);
    });
}

#[test]
fn root_what_never_comes_is_an_error_in_the_end() {
    if is_skipped() {
        return;
    }
    let (files, (_dir, store)) = (files(), store());
    let made = Made::of(&files);
    let supply = Scripted::new(&made);
    supply.set(|state| state.delay = Duration::from_secs(2));
    // The kernel asks once more for what failed when it was read ahead.
    serve_within(Duration::from_millis(300), &store, &made, &supply, |root, fetcher, _| {
        assert!(std::fs::read(path_of(root, &files[0].1)).is_err());
        assert!(fetcher.counters().counts().failed_reads > 0);
    });
}

/// Fills a layer in, and waits until all of it is here.
pub(crate) fn fill(fetcher: &Fetcher<'_>, layer: &fetch::Layer) {
    fetcher.fill(layer, true);
    while !matches!(layer.verdict(), Verdict::Done(_)) {
        assert!(!matches!(layer.verdict(), Verdict::Quarantined(_)));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn root_of_an_update_only_chunks_that_are_not_here_are_fetched() {
    if is_skipped() {
        return;
    }
    let (_dir, store) = store();
    let old = data::stream(3, 9_000_000);
    let mut new = old.clone();
    new.splice(4_000_000..4_100_000, data::stream(5, 100_100));
    let made = Made::of(&[("large", old.clone())]);
    serve(&store, &made, &Scripted::new(&made), |_, fetcher, layer| fill(fetcher, layer));
    let made = Made::of(&[("large", new.clone())]);
    let supply = Scripted::new(&made);
    serve(&store, &made, &supply, |root, fetcher, _| {
        let file = std::fs::File::open(path_of(root, &new)).unwrap();
        let mut piece = [0; 4096];
        file.read_exact_at(&mut piece, 1_000_000).unwrap();
        assert!(piece == new[1_000_000..][..4096]);
        assert_eq!(supply.fetched(), 0);
        assert!(std::fs::read(path_of(root, &new)).unwrap() == new);
        assert!((100_000..500_000).contains(&supply.fetched()), "{}", supply.fetched());
        assert!(fetcher.counters().counts().copied_chunks > 50);
    });
}

#[test]
fn root_chunks_of_a_damaged_object_are_fetched() {
    if is_skipped() {
        return;
    }
    let (_dir, store) = store();
    let [old, new] = [0, 1].map(|last| [data::stream(3, 3_000_000), vec![last]].concat());
    let made = Made::of(&[("large", old.clone())]);
    serve(&store, &made, &Scripted::new(&made), |_, fetcher, layer| fill(fetcher, layer));
    let object = path_of(&store.path().join("objects"), &old);
    std::fs::write(&object, vec![0; old.len()]).unwrap();
    let made = Made::of(&[("large", new.clone())]);
    let supply = Scripted::new(&made);
    serve(&store, &made, &supply, |root, fetcher, _| {
        assert!(std::fs::read(path_of(root, &new)).unwrap() == new);
        assert!(supply.fetched() > 2_900_000, "{}", supply.fetched());
        assert_eq!(fetcher.counters().counts().copied_chunks, 0);
    });
}

#[test]
fn root_all_is_filled_in_and_proven() {
    if is_skipped() {
        return;
    }
    let (files, (_dir, store)) = (files(), store());
    let made = Made::of(&files);
    let supply = Scripted::new(&made);
    serve(&store, &made, &supply, |_, fetcher, layer| {
        fill(fetcher, layer);
        assert_eq!(layer.verdict(), Verdict::Done(LayerState::Proven));
        let progress = fetcher.progress(layer).unwrap();
        assert_eq!((progress.contents_here, progress.len_here), (progress.contents, progress.len));
    });
    let record = made.index(&store);
    assert_eq!((record.state, record.diff_id), (LayerState::Proven, Some(made.diff_id)));
    for (_, content) in &files {
        assert!(std::fs::read(path_of(&store.path().join("objects"), content)).unwrap() == *content);
    }
}

#[test]
fn root_a_layer_whose_tar_is_another_one_is_put_into_quarantine() {
    if is_skipped() {
        return;
    }
    let (files, (_dir, store)) = (files(), store());
    let made = Made { diff_id: DiffId::of(b"another tar"), ..Made::of(&files) };
    let supply = Scripted::new(&made);
    serve(&store, &made, &supply, |root, fetcher, layer| {
        fetcher.fill(layer, true);
        while !matches!(layer.verdict(), Verdict::Quarantined(_)) {
            thread::sleep(Duration::from_millis(10));
        }
        // What is mounted stays.
        assert!(std::fs::read(path_of(root, &files[2].1)).unwrap() == files[2].1);
        let error = morsel_mount::quarantine::check(store.path(), layer.record()).unwrap_err();
        assert_eq!(error.class(), chunked::Class::Corrupt);
    });
    assert_eq!(made.index(&store).state, LayerState::Indexed);
}

#[test]
fn a_layer_is_served_under_the_claim_of_whoever_has_it() {
    let (_dir, store) = store();
    let made = Made::of(&[("a", b"content".to_vec())]);
    let supply = Scripted::new(&made);
    let record = made.index(&store);
    let lie = LayerRecord { diff_id: Some(DiffId::of(b"another tar")), ..record.clone() };
    let table = || contents::build(&store, &record, &contents::directory_of(&store)).unwrap();
    let (fetcher, _ended) = Fetcher::new(&store, &supply, &NoEvents, fetch::Options::default());

    let first = fetcher.attach(&lie, table());
    let second = fetcher.attach(&record, table());
    assert_eq!((first.number, second.record()), (second.number, &record));
    assert_eq!(fetcher.attach(&record, table()).record(), &record);
    assert_eq!(fetcher.layers().len(), 1);
}

/// An eager pull may keep a file in progress for as long as its registry likes.
#[test]
fn root_a_content_that_somebody_else_fetches_keeps_nobody_from_another_one() {
    if is_skipped() {
        return;
    }
    let (files, (_dir, store)) = (files(), store());
    let made = Made::of(&files);
    let supply = Scripted::new(&made);
    let patience = Duration::from_secs(20);
    serve_within(patience, &store, &made, &supply, |root, _, layer| {
        let table = contents::build(&store, layer.record(), &contents::directory_of(&store)).unwrap();
        let row = table.find(&ContentDigest::of(&files[2].1)).unwrap().unwrap();
        let content = table.content(row).unwrap().unwrap();
        let chunks = table.chunks_of(&content).unwrap();
        let taken = store.partials().open(&content.digest, &chunks).unwrap().unwrap();

        let (large, small) = (path_of(root, &files[2].1), path_of(root, &files[0].1));
        let read = |number: u64| {
            let (mut piece, at) = ([0; 4096], number * 1_400_000);
            std::fs::File::open(&large).unwrap().read_exact_at(&mut piece, at).unwrap();
            piece == files[2].1[at as usize..][..4096]
        };
        let read = &read;
        thread::scope(|scope| {
            // More than there are threads that answer, each of which has a page of its own to wait for.
            let readers: Vec<_> = (0..6).map(|number| scope.spawn(move || read(number))).collect();
            thread::sleep(Duration::from_millis(300));
            let (tell, told) = std::sync::mpsc::channel();
            scope.spawn(move || tell.send(std::fs::read(small).is_ok()));
            let other = told.recv_timeout(Duration::from_secs(5));
            let is_waiting = readers.iter().all(|reader| !reader.is_finished());
            drop(taken);
            assert_eq!((other, is_waiting), (Ok(true), true));
            for reader in readers {
                assert!(reader.join().unwrap());
            }
        });
    });
}

#[test]
fn root_who_waits_for_somebody_else_does_so_for_a_while_only() {
    if is_skipped() {
        return;
    }
    let (files, (_dir, store)) = (files(), store());
    let made = Made::of(&files);
    let supply = Scripted::new(&made);
    serve_within(Duration::from_secs(1), &store, &made, &supply, |root, _, layer| {
        let table = contents::build(&store, layer.record(), &contents::directory_of(&store)).unwrap();
        let row = table.find(&ContentDigest::of(&files[2].1)).unwrap().unwrap();
        let content = table.content(row).unwrap().unwrap();
        let chunks = table.chunks_of(&content).unwrap();
        let taken = store.partials().open(&content.digest, &chunks).unwrap().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let large = path_of(root, &files[2].1);
        thread::spawn(move || tell.send(std::fs::read(large).map_err(|error| error.raw_os_error())));
        let read = told.recv_timeout(Duration::from_secs(10));
        drop(taken);
        assert_eq!(read, Ok(Err(Some(rustix::io::Errno::IO.raw_os_error()))));
    });
}

#[test]
fn root_a_fault_does_not_wait_for_what_is_filled_in() {
    if is_skipped() {
        return;
    }
    let (files, (_dir, store)) = (files(), store());
    let made = Made::of(&files);
    let supply = Scripted::new(&made);
    supply.set(|state| state.delay = Duration::from_millis(400));
    serve(&store, &made, &supply, |root, fetcher, layer| {
        fetcher.fill(layer, true);
        while supply.requests().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(50));
        let before = supply.requests().len();
        // Far behind what is filled in at the moment.
        assert!(std::fs::read(path_of(root, &files[3].1)).unwrap() == files[3].1);
        let table = contents::build(&store, layer.record(), &contents::directory_of(&store)).unwrap();
        let row = table.find(&ContentDigest::of(&files[3].1)).unwrap().unwrap();
        let place = table.content(row).unwrap().unwrap().first_chunk;
        let chunk = table.chunks(place, 1).unwrap()[0].chunk.blob;
        let has_it = |ranges: &Vec<BlobRange>| {
            ranges.iter().any(|range| range.start() <= chunk.start() && chunk.end() <= range.end())
        };
        let asked = supply.requests()[before..].iter().position(has_it);
        assert!(asked.is_some_and(|asked| asked < 3), "{asked:?}");
    });
}
