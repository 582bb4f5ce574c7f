//! Hosts whose files are in the dedup index.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use morsel_store::seed::{Abilities, Candidate, Regular, Root, Stamp, Updated, Visit, forget, known, update};
use morsel_store::{Error, Seed, SeedName};
use proptest::prelude::*;

use super::*;

fn index(store: &Store, host: &Host) -> Updated {
    let seed = open(host.dir.path().to_str().unwrap(), &[store.path()]).unwrap();
    update(store, &*seed, NonZeroUsize::new(2).unwrap(), &|_| {}).unwrap()
}

/// Makes a file look as if it had been changed long ago; nothing but its `ctime` tells.
fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(1000)).unwrap();
}

/// Waits until files that were made by now look old to whoever lists them next.
fn settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

#[test]
fn files_are_found_whatever_they_are_called() {
    let (small, long) = (data::text(1, 5000), long(1));
    let made = Made::files([("bin/small", &small), ("lib/long", &long)]);
    let host = Host::new([("here", small.as_slice()), ("and/there", &long)]);
    let place = Place::new();
    let updated = index(&place.store, &host);
    assert_eq!((updated.hashed, updated.unchanged), (count(&[&small, &long]), Count::default()));
    let pulled = pull_with(&place.store, &made, host.seeds(&place.store));
    assert_eq!((pulled.bytes, pulled.seed().files), (0, count(&[&small, &long])));
}

#[test]
fn a_large_file_costs_the_chunks_that_changed() {
    let old = data::stream(1, 8 << 20);
    let mut new = old.clone();
    // Ten places, some in one chunk, all cut anew after them.
    let changes = (0..10).map(|number| 300_000 + number * 800_000);
    changes.clone().for_each(|at| new[at] ^= 0xff);
    let made = Made::files([("model", &new)]);
    let (place, host) = (Place::new(), Host::new([("old-model", old.as_slice())]));
    index(&place.store, &host);
    let pulled = pull_with(&place.store, &made, host.seeds(&place.store));
    let content = made.open().toc.entries.remove(0).content.unwrap();
    let is_near = |range: &chunked::FileRange| {
        let around = range.start().saturating_sub(1)..=range.end();
        changes.clone().any(|at| around.contains(&(at as u64)))
    };
    let allowed: u64 =
        content.chunks.iter().filter(|chunk| is_near(&chunk.file)).map(|chunk| chunk.blob.len()).sum();
    assert!(pulled.bytes <= allowed && allowed < made.payload().len() / 3, "{} {allowed}", pulled.bytes);
    assert!(pulled.seed().chunks.count > 20);
}

#[test]
fn only_what_looks_changed_is_hashed_again() {
    let names: Vec<_> = (0..20).map(|number| format!("dir/file-{number}")).collect();
    let content = |number: u64| data::text(number, 1000);
    let host = Host::new([]);
    (0..20).for_each(|number| host.write(&names[number as usize], &content(number)));
    let place = Place::new();
    assert_eq!(index(&place.store, &host).hashed.count, 20);
    // They were changed so shortly before they were listed that they could have been changed again.
    assert_eq!(index(&place.store, &host).hashed.count, 20);
    settle();
    assert_eq!(index(&place.store, &host).hashed.count, 20);
    assert_eq!(index(&place.store, &host).unchanged.count, 20);

    host.write(&names[0], &content(100));
    fs::remove_file(host.path(&names[1])).unwrap();
    fs::rename(host.path(&names[2]), host.path("renamed")).unwrap();
    let other = fs::File::options().write(true).open(host.path(&names[3])).unwrap();
    other.write_all_at(b"x", 0).unwrap();
    age(&host.path(&names[3]));
    host.write("new", &content(101));
    let updated = index(&place.store, &host);
    assert_eq!((updated.hashed.count, updated.unchanged.count, updated.gone), (4, 16, 4));
    let made = Made::files([("a", content(100)), ("b", content(2)), ("c", content(101)), ("d", content(19))]);
    assert_eq!(pull_with(&place.store, &made, host.seeds(&place.store)).bytes, 0);
    let made = Made::files([("a", content(0)), ("b", content(1))]);
    let place_of_old = pull_with(&place.store, &made, host.seeds(&place.store));
    assert!(place_of_old.bytes > 0 && place_of_old.fetched.reused.seeds.is_empty());
}

#[test]
fn a_seed_is_known_until_it_is_forgotten() {
    let content = data::text(1, 5000);
    let host = Host::new([("file", content.as_slice())]);
    let place = Place::new();
    assert_eq!(known(&place.store).unwrap(), []);
    index(&place.store, &host);
    let [seed] = known(&place.store).unwrap().try_into().unwrap();
    assert_eq!(seed.files, count(&[&content]));
    assert_eq!(place.store.index().shape().rows, 1);
    assert!(!forget(&place.store, "/elsewhere").unwrap());
    assert!(forget(&place.store, host.dir.path().to_str().unwrap()).unwrap());
    assert_eq!((known(&place.store).unwrap(), place.store.index().shape().rows), (vec![], 0));
    let made = Made::files([("other", &content)]);
    assert!(pull_with(&place.store, &made, host.seeds(&place.store)).bytes > 0);
}

#[test]
fn garbage_collection_keeps_what_is_known_of_seeds() {
    let (long, other) = (long(1), long(2));
    let host = Host::new([("file", long.as_slice())]);
    let place = Place::new();
    index(&place.store, &host);
    pull_with(&place.store, &Made::files([("other", &other)]), Seeds::default());
    let rows = place.store.index().shape().rows;
    let Place { dir, store } = place;
    let store = morsel_store::Exclusive::take(store, morsel_store::Wait::No).unwrap();
    // No image names the layer.
    morsel_store::gc::collect(&store, &BTreeSet::new()).unwrap();
    assert!(store.index().shape().rows < rows);
    let made = Made::files([("elsewhere", &long)]);
    assert_eq!(pull_with(&store, &made, host.seeds(&store)).bytes, 0);
    drop(dir);
}

/// Makes the index believe that a file looked as it looks now when it was hashed.
fn forge(root: &Path, before: Stamp, now: Stamp) {
    let path = root.join("index/seed-00000001");
    let bytes = |Stamp { len, mtime, ctime, inode }: Stamp| {
        [len, mtime as u64, ctime as u64, inode].map(u64::to_le_bytes).concat()
    };
    let mut catalog = fs::read(&path).unwrap();
    let at = catalog.windows(32).position(|window| window == bytes(before)).unwrap();
    catalog[at..at + 32].copy_from_slice(&bytes(now));
    fs::remove_file(&path).unwrap();
    fs::write(&path, catalog).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
}

#[test]
fn bytes_that_rot_where_they_are_known_to_be_are_fetched() {
    let long = long(1);
    let made = Made::files([("file", &long)]);
    let host = Host::new([("file", long.as_slice())]);
    let place = Place::new();
    index(&place.store, &host);
    let stamp = || Root::open(host.dir.path()).unwrap().find(Path::new("file")).unwrap().stamp();
    let before = stamp();
    let file = fs::File::options().write(true).open(host.path("file")).unwrap();
    file.write_all_at(&[!long[50_000]], 50_000).unwrap();
    // It is plain to see that the file was changed, so nobody tries.
    let pulled = pull_with(&place.store, &made, Seeds::new(by_digest(&place.store, &host)));
    assert!(pulled.fetched.reused.seeds.is_empty() && pulled.bytes == made.payload().len());

    let place = Place::new();
    file.write_all_at(&long[50_000..50_001], 50_000).unwrap();
    index(&place.store, &host);
    let before_rot = stamp();
    assert_ne!(before, before_rot);
    file.write_all_at(&[!long[50_000]], 50_000).unwrap();
    forge(&place.root(), before_rot, stamp());
    let pulled = pull_with(&place.store, &made, Seeds::new(by_digest(&place.store, &host)));
    let from = pulled.seed();
    assert_eq!((from.files, from.wrong.count), (Count::default(), 2));
    assert!(from.chunks.count > 4 && pulled.bytes > 0 && pulled.bytes < made.payload().len() / 2);
    assert!(has(&place.store, &long));
}

/// The host as a seed that does not go by paths.
fn by_digest(store: &Store, host: &Host) -> Option<Arc<dyn Seed>> {
    let seed = open(host.dir.path().to_str().unwrap(), &[]).unwrap();
    Some(with_index(store, Arc::new(NoPaths(seed))).unwrap())
}

/// A seed that is only found things in through the index.
#[derive(Debug)]
struct NoPaths(Arc<dyn Seed>);

impl Seed for NoPaths {
    fn name(&self) -> &SeedName {
        self.0.name()
    }

    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    fn file(&self, _: &ContentDigest, _: u64) -> Option<Candidate> {
        None
    }

    fn at(&self, _: &str) -> Vec<Regular> {
        Vec::new()
    }

    fn chunk(&self, _: &ContentDigest, _: u64) -> Option<Candidate> {
        None
    }

    fn walk(&self, visit: Visit<'_>) -> Result<(), Error> {
        self.0.walk(visit)
    }

    fn open(&self, path: &Path) -> Option<Regular> {
        self.0.open(path)
    }
}

#[test]
fn files_whose_rows_were_lost_are_hashed_again() {
    let (small, long) = (data::text(1, 5000), long(1));
    let host = Host::new([("a", small.as_slice()), ("b", &long)]);
    let place = Place::new();
    index(&place.store, &host);
    let Place { dir, store } = place;
    let root = store.path().to_owned();
    drop(store);
    let run = root.join("index/run-0000000000000000");
    let bytes = fs::read(&run).unwrap();
    fs::remove_file(&run).unwrap();
    fs::write(&run, &bytes[..bytes.len() - 1]).unwrap();
    let store = Store::open(&root).unwrap();
    assert_eq!(store.index().shape().unusable, 1);
    settle();
    let updated = index(&store, &host);
    assert_eq!((updated.hashed, updated.unchanged), (count(&[&small, &long]), Count::default()));
    assert_eq!(store.index().shape().unusable, 0);
    let made = Made::files([("elsewhere", &small), ("too", &long)]);
    assert_eq!(pull_with(&store, &made, host.seeds(&store)).bytes, 0);
    drop(dir);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_damaged_index_never_leads_to_wrong_content(damages in proptest::collection::vec(any::<(usize, usize, u8)>(), 1..8)) {
        let (small, long) = (data::text(1, 5000), long(1));
        let made = Made::files([("small", &small), ("long", &long)]);
        let host = Host::new([("a", small.as_slice()), ("b", &long)]);
        let place = Place::new();
        index(&place.store, &host);
        let Place { dir, store } = place;
        let root = store.path().to_owned();
        drop(store);
        let mut files: Vec<_> = fs::read_dir(root.join("index")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for (file, at, byte) in damages {
            let file = &files[file % files.len()];
            let mut bytes = fs::read(file).unwrap();
            let at = at % bytes.len();
            match byte {
                0 => bytes.truncate(at.max(1)),
                byte => bytes[at] ^= byte,
            }
            fs::remove_file(file).unwrap();
            fs::write(file, bytes).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o400)).unwrap();
        }
        let store = Store::open(&root).unwrap();
        pull_with(&store, &made, host.seeds(&store));
        prop_assert!(has(&store, &small) && has(&store, &long));
        // What is damaged is noticed, and hashed again. A row that leads elsewhere is not: it is a hint.
        index(&store, &host);
        drop(dir);
    }
}
