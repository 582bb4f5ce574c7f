//! What every seed has to do, whatever its kind.

mod kinds;
mod linked;
mod odd;
mod pulls;
mod repo;

use std::fs::{self, File};
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use chunked::{ContentDigest, frame};
use morsel_store::seed::Candidate;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use testkit::data;

use self::kinds::{Held, KINDS};
use crate::made::Made;

/// The files that each seed is made of. One has several chunks.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let long = [data::stream(2, 9000), data::cut(), data::stream(3, 5000), data::cut(), data::text(4, 700)];
    vec![
        ("etc/issue", data::text(1, 100)),
        ("usr/bin/env", data::stream(5, 30_000)),
        ("usr/lib/long", long.concat()),
    ]
}

/// Does something with a new seed of each kind.
fn for_each_kind(check: impl Fn(&str, &Held)) {
    for (name, make) in KINDS {
        let dir = tempfile::tempdir().unwrap();
        check(name, &make(dir.path(), &files()));
    }
}

/// Reads what a seed offers.
fn read(candidate: Candidate, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = match candidate {
        Candidate::File(file) => file.read_exact_at(&mut bytes, 0),
        Candidate::Part(file, start) => file.read_exact_at(&mut bytes, start),
        Candidate::Frames(file, range) => {
            let mut blob = vec![0; range.len() as usize];
            let whole = file.read_exact_at(&mut blob, range.start());
            whole.and_then(|()| frame::content(blob.as_slice())?.read_exact(&mut bytes))
        }
    };
    read.ok().map(|()| bytes)
}

/// Asks a seed for a file in every way that it can be asked in.
fn ask(held: &Held, path: &str, digest: &ContentDigest, len: u64) -> Option<Candidate> {
    let abilities = held.seed.abilities();
    let by_digest = || abilities.digests.then(|| held.seed.file(digest, len)).flatten();
    let at_path = || held.seed.at(path).into_iter().find(|file| file.stamp().len == len && abilities.paths);
    by_digest().or_else(|| at_path()?.open().map(Candidate::File))
}

/// Asks a seed for a file and reads it.
fn find(held: &Held, path: &str, content: &[u8]) -> Option<Vec<u8>> {
    read(ask(held, path, &ContentDigest::of(content), content.len() as u64)?, content.len())
}

/// Opens and reads everything that a seed lists.
fn listed(kind: &str, held: &Held) -> Vec<Vec<u8>> {
    let mut listed = Vec::new();
    let visit = &mut |path: &Path, stamp| {
        let file = held.seed.open(path).unwrap_or_else(|| panic!("{kind} {}", path.display()));
        assert_eq!(file.stamp(), stamp, "{kind}");
        let mut bytes = Vec::new();
        file.open().unwrap().read_to_end(&mut bytes).unwrap();
        listed.push(bytes);
        ControlFlow::Continue(())
    };
    held.seed.walk(visit).unwrap();
    listed
}

#[test]
fn what_is_there_is_found() {
    for_each_kind(|kind, held| {
        for (path, content) in files() {
            for path in [path.to_owned(), format!("./{path}"), format!("/{path}")] {
                assert!(find(held, &path, &content).as_ref() == Some(&content), "{kind} {path}");
            }
        }
    });
}

#[test]
fn chunks_are_found_in_all_that_is_not_listed() {
    let content = files().remove(2).1;
    let made = Made::files([("long", &content)]);
    let chunks = made.open().toc.entries.remove(0).content.unwrap().chunks;
    assert!(chunks.len() > 2);
    for_each_kind(|kind, held| {
        for chunk in &chunks {
            let bytes = &content[chunk.file.start() as usize..chunk.file.end() as usize];
            let found = held.seed.chunk(&chunk.digest.unwrap(), chunk.file.len());
            let found = found.and_then(|candidate| read(candidate, bytes.len()));
            assert_ne!(found.is_some(), listed(kind, held).contains(&content), "{kind}");
            assert!(found.is_none_or(|found| found == bytes), "{kind}");
            assert!(held.seed.chunk(&chunk.digest.unwrap(), chunk.file.len() + 1).is_none(), "{kind}");
        }
    });
}

#[test]
fn only_the_path_of_a_file_leads_to_it() {
    for_each_kind(|kind, held| {
        let (path, content) = &files()[2];
        let found = held.seed.at(path);
        assert!(found.len() <= 1 && held.seed.abilities().paths >= (found.len() == 1), "{kind}");
        assert!(found.iter().all(|file| file.stamp().len == content.len() as u64), "{kind}");
        for path in ["usr/lib/other", "usr/lib", "", "/", "../usr/lib/long", "usr/../usr/lib/long"] {
            assert!(held.seed.at(path).is_empty(), "{kind} {path:?}");
        }
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    for_each_kind(|kind, held| {
        let (path, content) = &files()[1];
        let (digest, other) = (ContentDigest::of(content), ContentDigest::of(b"other"));
        let len = content.len() as u64;
        for path in ["usr/bin/other", "usr/bin", "usr/bin/env/more", "", "/", ".", "usr/../usr/bin/other"] {
            assert!(ask(held, path, &other, len).is_none(), "{kind} {path:?}");
        }
        for len in [len - 1, len + 1, u64::MAX] {
            assert!(ask(held, path, &digest, len).is_none(), "{kind} {len}");
        }
        assert!(held.seed.chunk(&other, 100).is_none(), "{kind}");
    });
}

#[test]
fn a_listing_ends_when_it_is_told_to() {
    for_each_kind(|kind, held| {
        let listed = listed(kind, held);
        let mut count = 0;
        let stop = &mut |_: &Path, _| {
            count += 1;
            ControlFlow::Break(())
        };
        held.seed.walk(stop).unwrap();
        assert_eq!(count, listed.len().min(1), "{kind} goes on after it was told to stop");
    });
}

#[test]
fn what_is_listed_with_a_path_that_leads_out_is_not_opened() {
    for_each_kind(|kind, held| {
        for path in
            ["../../etc/passwd", "/etc/passwd", "", "a", "overlay", "overlay/x/diff/etc/passwd", "a/b/c/d"]
        {
            assert!(held.seed.open(Path::new(path)).is_none(), "{kind} {path:?}");
        }
    });
}

#[test]
fn what_was_cut_off_is_a_miss() {
    for_each_kind(|kind, held| {
        let (path, content) = &files()[1];
        let file = File::options().write(true).open(held.place_of(path)).unwrap();
        file.set_len(100).unwrap();
        assert_eq!(find(held, path, content), None, "{kind}");
    });
}

#[test]
fn bytes_that_change_are_read_as_they_are() {
    for_each_kind(|kind, held| {
        let (path, content) = &files()[1];
        let place = held.place_of(path);
        let mut bytes = fs::read(&place).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].iter_mut().for_each(|byte| *byte ^= 0xff);
        fs::write(&place, bytes).unwrap();
        // The seed offers it, and whoever takes it finds out.
        assert!(find(held, path, content).as_ref() != Some(content), "{kind}");
    });
}

/// Puts something else in the place of a file.
fn replace(place: &Path, with: impl FnOnce(&Path)) {
    fs::remove_file(place).unwrap();
    with(place);
}

#[test]
fn nothing_but_regular_files_is_opened() {
    let outside = tempfile::tempdir().unwrap();
    for_each_kind(|kind, held| {
        for (path, content) in files() {
            let place = held.place_of(path);
            let secret = outside.path().join("secret");
            fs::write(&secret, fs::read(&place).unwrap()).unwrap();
            let pipe = |place: &Path| mknodat(CWD, place, FileType::Fifo, Mode::RUSR, 0).unwrap();
            replace(&place, pipe);
            assert_eq!(find(held, path, &content), None, "{kind} opens a pipe");
            replace(&place, |place| symlink(&secret, place).unwrap());
            assert_eq!(find(held, path, &content), None, "{kind} follows a link out");
            replace(&place, |place| fs::create_dir(place).unwrap());
            assert_eq!(find(held, path, &content), None, "{kind} opens a directory");
            if held.holds_all_in_one() {
                break;
            }
        }
    });
}

#[test]
fn links_in_the_place_of_directories_do_not_lead_out() {
    for_each_kind(|kind, held| {
        let (path, content) = &files()[1];
        assert!(find(held, path, content).is_some(), "{kind}");
        for directory in held.directories_above(path) {
            let outside = tempfile::tempdir().unwrap();
            let moved = outside.path().join("moved");
            fs::rename(&directory, &moved).unwrap();
            symlink(&moved, &directory).unwrap();
            assert_eq!(find(held, path, content), None, "{kind} follows {}", directory.display());
            fs::remove_file(&directory).unwrap();
            fs::rename(&moved, &directory).unwrap();
            assert!(find(held, path, content).is_some(), "{kind}");
        }
    });
}

#[test]
fn a_seed_that_went_away_has_nothing() {
    for_each_kind(|kind, held| {
        let entries: Vec<PathBuf> =
            fs::read_dir(&held.root).unwrap().map(|entry| entry.unwrap().path()).collect();
        for entry in entries {
            if entry.is_dir() { fs::remove_dir_all(entry).unwrap() } else { fs::remove_file(entry).unwrap() }
        }
        for (path, content) in files() {
            assert_eq!(find(held, path, &content), None, "{kind}");
        }
        let mut visit = |path: &Path, _| panic!("{kind} lists {}", path.display());
        held.seed.walk(&mut visit).unwrap();
    });
}

#[test]
fn another_directory_is_no_such_seed() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["containers-storage", "ostree", "oci"] {
        let name = format!("{kind}:{}", dir.path().display());
        let error = morsel_store::seed::open(&name, &[]).unwrap_err();
        assert!(error.to_string().contains("is no such seed, expected "), "{error}");
    }
    let name = format!("ostree:{}/missing", dir.path().display());
    assert!(morsel_store::seed::open(&name, &[]).is_err());
}
