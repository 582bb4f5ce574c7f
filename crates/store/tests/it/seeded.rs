//! Pulls that take from seeds what they have.

mod hostile;
mod indexed;
mod reflink;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chunked::ContentDigest;
use morsel_store::Store;
use morsel_store::fetch::{Count, Fetched, FromSeed, NoProgress};
use morsel_store::pull::{How, Options, pull};
use morsel_store::seed::{Seeds, open, with_index};
use testkit::data;

use crate::made::Made;
use crate::sample::{Place, has};
use crate::source::{MANY, Source, abilities};

/// Files of an image, some of them in a host directory as well.
struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap() };
        files.into_iter().for_each(|(path, content)| host.write(path, content));
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
    }

    /// The host as a seed of a pull into `store`.
    fn seeds(&self, store: &Store) -> Seeds {
        let seed = open(self.dir.path().to_str().unwrap(), &[store.path()]).unwrap();
        Seeds::new([with_index(store, seed).unwrap()])
    }
}

/// What a pull took.
struct Pulled {
    fetched: Fetched,
    /// Bytes of frames that were read of the blob.
    bytes: u64,
}

impl Pulled {
    /// Returns what came from the only seed.
    fn seed(&self) -> FromSeed {
        let [from] = self.fetched.reused.seeds.as_slice() else { panic!("{:?}", self.fetched) };
        from.clone()
    }
}

fn pull_with(store: &Store, made: &Made, seeds: Seeds) -> Pulled {
    let source = Source::new(made, abilities(MANY, 2));
    let options = Options { seeds, ..Options::default() };
    let (_, report) = pull(store, &[made.task(&source)], &options, &NoProgress).unwrap().remove(0);
    let How::Parts(fetched) = report.how else { panic!("{report:?}") };
    Pulled { fetched, bytes: source.bytes_read(made.payload()) }
}

/// Counts the bytes of the frames of some contents.
fn frames_len<'a>(made: &Made, contents: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let frames = made.frames();
    let of = |content| frames[&ContentDigest::of(content)].iter().map(|range| range.len()).sum::<u64>();
    contents.into_iter().map(of).sum()
}

fn count(contents: &[&[u8]]) -> Count {
    let bytes = contents.iter().map(|content| content.len() as u64).sum();
    Count { count: contents.len() as u64, bytes }
}

/// A file of several chunks.
fn long(seed: u64) -> Vec<u8> {
    let part = |number| [data::stream(seed * 100 + number, 20_000), data::cut()].concat();
    (0..8).flat_map(part).collect()
}

#[test]
fn what_a_host_has_is_not_fetched() {
    let (small, long, zeros) =
        (data::text(1, 5000), long(1), [data::stream(9, 70_000), vec![0; 200_000]].concat());
    let (gone, changed) = (data::text(2, 6000), data::text(3, 7000));
    let files = [
        ("bin/small", &small),
        ("lib/long", &long),
        ("var/zeros", &zeros),
        ("bin/gone", &gone),
        ("bin/changed", &changed),
    ];
    let made = Made::files(files);
    let other = data::text(4, 7000);
    let host = Host::new(files.iter().map(|(path, content)| (*path, content.as_slice())));
    fs::remove_file(host.path("bin/gone")).unwrap();
    host.write("bin/changed", &other);

    let place = Place::new();
    let pulled = pull_with(&place.store, &made, host.seeds(&place.store));
    // A gap between two frames may be read along.
    assert_eq!(pulled.bytes - pulled.fetched.wasted, frames_len(&made, [gone.as_slice(), &changed]));
    let from = pulled.seed();
    assert_eq!(from.files, count(&[&small, &long, &zeros]));
    assert_eq!((from.chunks, from.wrong), (Count::default(), count(&[&changed])));
    for (path, content) in files {
        assert!(has(&place.store, content), "{path}");
    }
}

#[test]
fn every_path_of_a_content_is_tried() {
    let content = data::text(1, 5000);
    let made = Made::files([("a", &content), ("./b/c", &content), ("d", &content)]);
    for path in ["a", "b/c", "d"] {
        let (place, host) = (Place::new(), Host::new([(path, content.as_slice())]));
        let pulled = pull_with(&place.store, &made, host.seeds(&place.store));
        assert_eq!((pulled.bytes, pulled.seed().files), (0, count(&[&content])), "{path}");
    }
}

#[test]
fn links_of_the_host_are_followed_within_it() {
    let content = data::text(1, 5000);
    let made = Made::files([("lib/libc.so.6", &content), ("link", &content)]);
    let host = Host::new([("usr/lib/libc.so.6", content.as_slice())]);
    std::os::unix::fs::symlink("/usr/lib", host.path("lib")).unwrap();
    let place = Place::new();
    assert_eq!(pull_with(&place.store, &made, host.seeds(&place.store)).bytes, 0);
    // A link in the place of the file itself is not one.
    fs::remove_file(host.path("lib")).unwrap();
    std::os::unix::fs::symlink("usr/lib/libc.so.6", host.path("link")).unwrap();
    let place = Place::new();
    let pulled = pull_with(&place.store, &made, host.seeds(&place.store));
    assert!(pulled.bytes > 0 && pulled.fetched.reused.seeds.is_empty());
}

#[test]
fn several_seeds_are_asked_one_after_another() {
    let (a, b) = (data::text(1, 5000), data::text(2, 5000));
    let made = Made::files([("a", &a), ("b", &b)]);
    let first = Host::new([("a", a.as_slice()), ("b", a.as_slice())]);
    let second = Host::new([("a", a.as_slice()), ("b", b.as_slice())]);
    let place = Place::new();
    let seed = |host: &Host| open(host.dir.path().to_str().unwrap(), &[]).unwrap();
    let pulled = pull_with(&place.store, &made, Seeds::new([seed(&first), seed(&second)]));
    let [from_first, from_second] = pulled.fetched.reused.seeds.try_into().unwrap();
    assert_eq!((from_first.files, from_first.wrong), (count(&[&a]), count(&[&b])));
    assert_eq!((from_second.files, from_second.wrong), (count(&[&b]), Count::default()));
    assert_eq!(pulled.bytes, 0);
}

/// Takes the right to read from a file.
fn hide(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}
