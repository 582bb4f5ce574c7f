//! Hosts that change while they are read, and want to be read where they should not.

use std::os::unix::fs::{FileExt, symlink};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fs::inotify;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// Watches a directory and what is in it: nobody may open anything there.
struct Watch(rustix::fd::OwnedFd);

impl Watch {
    fn new(directories: &[&Path]) -> Self {
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        let events = inotify::WatchFlags::OPEN | inotify::WatchFlags::ACCESS;
        for path in directories {
            inotify::add_watch(&watch, *path, events).unwrap();
        }
        Self(watch)
    }

    /// Tells whether anything was opened or read.
    fn has_seen_something(&self) -> bool {
        let mut buffer = [0; 4096];
        rustix::io::read(&self.0, &mut buffer).is_ok()
    }
}

/// Pulls again and again, into a new store each time, while other threads do things to the host. Every pull must succeed.
fn pull_under(made: &Made, host: &Host, contents: &[&[u8]], troubles: &[&(dyn Fn(usize) + Sync)]) -> usize {
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for trouble in troubles {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    trouble(rounds.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
        let mut reused = 0;
        for _ in 0..12 {
            let place = Place::new();
            let pulled = pull_with(&place.store, made, host.seeds(&place.store));
            assert!(contents.iter().all(|content| has(&place.store, content)));
            reused += pulled.fetched.reused.seeds.iter().map(|from| from.files.count as usize).sum::<usize>();
        }
        done.store(true, Ordering::Relaxed);
        reused
    })
}

#[test]
fn a_directory_that_becomes_a_link_leads_nowhere() {
    let names: Vec<_> = (0..40).map(|number| format!("lib/sub/file-{number}")).collect();
    let contents: Vec<_> = (0..40).map(|number| data::text(number, 2000)).collect();
    let made = Made::files(names.iter().zip(&contents));
    let host = Host::new(names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)));
    // Outside there is the same, so that who leaves the host finds what is wanted.
    let outside = Host::new(names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)));
    let watch = Watch::new(&[&outside.path("lib"), &outside.path("lib/sub")]);
    let (here, away) = (host.path("lib"), host.path("away"));
    let outside_name = outside.dir.path().file_name().unwrap();
    let targets = [outside.path("lib"), Path::new("..").join(outside_name).join("lib")];
    let swap = |round: usize| {
        fs::rename(&here, &away).unwrap();
        symlink(&targets[round % 2], &here).unwrap();
        thread::yield_now();
        fs::remove_file(&here).unwrap();
        symlink(outside.path("lib/sub"), away.join("link")).unwrap();
        fs::remove_file(away.join("link")).unwrap();
        fs::rename(&away, &here).unwrap();
        thread::sleep(Duration::from_millis(1));
    };
    let contents: Vec<_> = contents.iter().map(Vec::as_slice).collect();
    let reused = pull_under(&made, &host, &contents, &[&swap]);
    assert!(!watch.has_seen_something(), "something outside was opened");
    assert!(reused > 0);
}

#[test]
fn files_that_change_while_they_are_read_are_fetched() {
    let contents: Vec<_> = (0..10)
        .map(|number| [data::text(number + 100, 100_000), data::text(number, 50_000)].concat())
        .collect();
    let names: Vec<_> = (0..10).map(|number| format!("file-{number}")).collect();
    let made = Made::files(names.iter().zip(&contents));
    let host = Host::new(names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)));
    let open = |number: usize| fs::File::options().write(true).open(host.path(&names[number % 10]));
    let rewrite = |round: usize| {
        if let Ok(file) = open(round) {
            file.write_all_at(&[round as u8], 75_000).unwrap();
            file.write_all_at(&contents[round % 10][75_000..75_001], 75_000).unwrap();
        }
    };
    let truncate = |round: usize| {
        if let Ok(file) = open(round) {
            file.set_len(40_000).unwrap();
            file.write_all_at(&contents[round % 10][40_000..], 40_000).unwrap();
        }
    };
    let contents: Vec<_> = contents.iter().map(Vec::as_slice).collect();
    pull_under(&made, &host, &contents, &[&rewrite, &truncate]);
}

#[test]
fn a_pipe_in_the_place_of_a_file_holds_nobody_up() {
    let contents: Vec<_> = (0..10).map(|number| data::text(number, 3000)).collect();
    let names: Vec<_> = (0..10).map(|number| format!("file-{number}")).collect();
    let made = Made::files(names.iter().zip(&contents));
    let host = Host::new(names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)));
    let [file, pipe] = ["aside", "pipe"].map(|name| host.path(name));
    let swap = |round: usize| {
        let path = host.path(&names[round % 10]);
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        fs::rename(&path, &file).unwrap();
        fs::rename(&pipe, &path).unwrap();
        thread::yield_now();
        fs::rename(&file, &path).unwrap();
    };
    let contents: Vec<_> = contents.iter().map(Vec::as_slice).collect();
    pull_under(&made, &host, &contents, &[&swap]);
}

#[test]
fn root_devices_are_not_opened() {
    if !testkit::tools::is_root(testkit::tools::Tier::Root) {
        return;
    }
    let content = data::text(1, 3000);
    let (made, host) = (Made::files([("null", &content), ("usr/zero", &content)]), Host::new([]));
    fs::create_dir(host.path("usr")).unwrap();
    for (name, minor) in [("null", 3), ("usr/zero", 5)] {
        let device = rustix::fs::makedev(1, minor);
        mknodat(CWD, host.path(name), FileType::CharacterDevice, Mode::RUSR, device).unwrap();
    }
    let watch = Watch::new(&[host.dir.path(), &host.path("usr")]);
    let place = Place::new();
    let pulled = pull_with(&place.store, &made, host.seeds(&place.store));
    assert!(!watch.has_seen_something());
    assert!(pulled.fetched.reused.seeds.is_empty() && has(&place.store, &content));
}

#[test]
fn files_that_cannot_be_read_are_fetched() {
    let content = data::text(1, 3000);
    let (made, host) = (Made::files([("dir/file", &content)]), Host::new([("dir/file", content.as_slice())]));
    hide(&host.path("dir/file"));
    let place = Place::new();
    let pulled = pull_with(&place.store, &made, host.seeds(&place.store));
    // Nothing is hidden from root.
    let is_hidden = fs::File::open(host.path("dir/file")).is_err();
    assert_eq!(pulled.bytes > 0, is_hidden);
    assert!(has(&place.store, &content));
}
