//! Pulls with a seed of each kind: what it has is not fetched, and whatever happens to it, the store ends up right.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use morsel_store::fetch::NoProgress;
use morsel_store::pull::{How, Options, pull};
use morsel_store::seed::{Seeds, update, with_index};
use morsel_store::{LayerState, Seed, Store};
use testkit::data;

use super::kinds::{Held, Pulled, containers_storage};
use super::{files, for_each_kind};
use crate::made::Made;
use crate::sample::{Place, has};
use crate::source::{MANY, Source, abilities};

/// Pulls a layer of these files with seeds. It must end up proven; returns how many bytes of its frames were fetched.
fn fetched(seeds: &[&Held], files: &[(&'static str, Vec<u8>)]) -> u64 {
    fetched_into(&Place::new().store, seeds.iter().map(|held| Arc::clone(&held.seed)), files)
}

/// The same into a store that there is.
fn fetched_into(
    store: &Store,
    seeds: impl IntoIterator<Item = Arc<dyn Seed>>,
    files: &[(&'static str, Vec<u8>)],
) -> u64 {
    let made = Made::files(files.iter().map(|(path, content)| (path, content)));
    let source = Source::new(&made, abilities(MANY, 2));
    let options = Options { seeds: Seeds::new(seeds), ..Options::default() };
    let pulled = pull(store, &[made.task(&source)], &options, &NoProgress).unwrap();
    assert_eq!(pulled[0].0.state, LayerState::Proven);
    assert!(matches!(pulled[0].1.how, How::Parts(_)));
    for (path, content) in files {
        assert!(has(store, content), "{path}");
    }
    source.bytes_read(made.payload())
}

#[test]
fn what_a_seed_has_is_not_fetched() {
    for_each_kind(|kind, held| {
        assert_eq!(fetched(&[held], &files()), 0, "{kind}");
    });
}

#[test]
fn once_indexed_content_is_found_whatever_it_is_called() {
    for_each_kind(|kind, held| {
        let place = Place::new();
        update(&place.store, &*held.seed, NonZeroUsize::MIN, &|_| {}).unwrap();
        let seed = with_index(&place.store, Arc::clone(&held.seed)).unwrap();
        let [issue, env, long] = files().try_into().unwrap();
        // Now a chunk in the middle is missing.
        let changed = [&long.1[..9500], b"more", &long.1[9500..]].concat();
        let files = [("a", issue.1), ("b", env.1), ("c", changed)];
        let new = fetched_into(&place.store, [seed], &files);
        assert!((4000..6000).contains(&new), "{kind} {new}");
    });
}

#[test]
fn of_a_file_that_changed_only_the_changed_chunk_is_fetched() {
    for_each_kind(|kind, held| {
        let mut files = files();
        // In the first of three chunks, which becomes longer.
        files[2].1.splice(4000..4000, data::text(9, 10));
        let all = fetched(&[], &files);
        let new = fetched(&[held], &files);
        // Payload links lead to whole files only.
        if kind != "ostree with payload links" {
            assert!((9000..11_000).contains(&new) && new < all / 3, "{kind} {new} {all}");
        }
    });
}

#[test]
fn of_several_layers_with_a_file_of_that_path_and_length_each_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let versions = [1, 2].map(|version| [("etc/motd", data::text(version, 900))]);
    let held =
        containers_storage(dir.path(), &versions.each_ref().map(|files| files.as_slice()), Pulled::Whole);
    for files in versions {
        assert_eq!(fetched(&[&held], &files), 0);
    }
}

#[test]
fn what_rotted_in_a_seed_is_fetched() {
    for_each_kind(|kind, held| {
        let (path, content) = &files()[1];
        let place = held.place_of(path);
        let mut bytes = fs::read(&place).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].iter_mut().for_each(|byte| *byte ^= 0xff);
        fs::write(&place, bytes).unwrap();
        let new = fetched(&[held], &files());
        assert!(new >= content.len() as u64 / 2, "{kind}");
    });
}

#[test]
fn a_pull_is_right_while_its_seed_changes() {
    for_each_kind(|_, held| {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    disturb(held);
                }
            });
            for _ in 0..3 {
                fetched(&[held], &files());
            }
            is_over.store(true, Ordering::Relaxed);
        });
    });
}

/// Cuts, rewrites and replaces a file, and puts a link in the place of its directory; in the end all is as before.
fn disturb(held: &Held) {
    let place = held.place_of(files()[2].0);
    let bytes = fs::read(&place).unwrap();
    fs::write(&place, &bytes[..bytes.len() / 2]).unwrap();
    fs::write(&place, vec![b'x'; bytes.len()]).unwrap();
    fs::remove_file(&place).unwrap();
    fs::write(&place, &bytes).unwrap();
    let (directory, moved) = (place.parent().unwrap(), held.root.join("moved"));
    fs::rename(directory, &moved).unwrap();
    symlink(&moved, directory).unwrap();
    fs::remove_file(directory).unwrap();
    fs::rename(&moved, directory).unwrap();
}
