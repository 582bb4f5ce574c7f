//! Several threads, and several processes, at one store.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chunked::ContentDigest;
use morsel_store::fsck::{self, NoProgress, Options};
use morsel_store::{LayerState, Store};

use crate::sample::{Place, chunks, files, layer};

/// The directory of the store that a copy of this program is to work on.
const ROOT: &str = "MORSEL_TEST_ROOT";
const WORKERS: usize = 4;
const CONTENTS: usize = 200;

fn content(number: usize) -> Vec<u8> {
    number.to_le_bytes().repeat(20)
}

/// Puts every content: short ones whole, long ones by chunks, and the layer of all.
fn work(store: &Store) -> usize {
    let contents: Vec<_> = (0..CONTENTS).map(content).collect();
    let (record, toc) = layer(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let _lock = store.layers().lock(&record.blob).unwrap();
    if store.layers().find(&record.blob).unwrap().is_none() {
        store.layers().save(&record, &toc, None).unwrap();
    }
    drop(_lock);
    let mut new = 0;
    for content in &contents {
        let digest = ContentDigest::of(content);
        if content[0] % 2 == 0 {
            new += usize::from(store.objects().put(&digest, content).unwrap());
        } else if let Some(partial) = store.partials().open(&digest, &chunks(content, 50)).unwrap() {
            for (number, piece) in content.chunks(50).enumerate() {
                partial.write(number, number as u64 * 50, piece).unwrap();
            }
            partial.commit().unwrap();
            new += 1;
        }
    }
    let toc = store.layers().toc(&record).unwrap();
    store.index().add(morsel_store::index::chunks(&toc)).unwrap();
    store.sync().unwrap();
    store.layers().set_state(&record, LayerState::Complete).unwrap();
    new
}

fn assert_complete(store: &Store) {
    let options = Options { threads: 2.try_into().unwrap(), since: None };
    let findings = fsck::check(store, &options, &NoProgress).unwrap();
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!((findings.objects, findings.layers), (CONTENTS as u64, 1));
    let left: Vec<_> = files(store.path()).into_iter().filter(|name| name.starts_with("partial/")).collect();
    assert_eq!(left, [""; 0]);
    assert!(files(&store.path().join("tmp")).is_empty());
    assert!(!store.path().join("dirty").exists());
}

#[test]
fn each_content_is_made_by_one_thread_only() {
    let place = Place::new();
    let made = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| made.fetch_add(work(&place.store), Ordering::Relaxed));
        }
    });
    assert_eq!(made.into_inner(), CONTENTS);
    assert_complete(&place.store);
}

#[test]
fn each_content_is_made_by_one_process_only() {
    let place = Place::new();
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "together::one_of_several_processes", "--nocapture"]);
            command.env(ROOT, place.root()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut made = 0;
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let count = text.split("made ").nth(1).unwrap().split(' ').next().unwrap();
        made += count.parse::<usize>().unwrap();
    }
    assert_eq!(made, CONTENTS);
    assert_complete(&Store::open(&place.root()).unwrap());
}

#[test]
fn one_of_several_processes() {
    if let Some(root) = std::env::var_os(ROOT) {
        println!("made {} contents", work(&Store::open(root.as_ref()).unwrap()));
    }
}

#[test]
fn a_killed_process_leaves_nothing_that_stops_the_next() {
    let place = Place::new();
    for _ in 0..10 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "together::one_of_several_processes"]);
        let mut worker = command.env(ROOT, place.root()).stdout(Stdio::null()).spawn().unwrap();
        // Somewhere on its way; where, does not matter.
        let wanted = files(&place.root().join("objects")).len() + 15;
        while files(&place.root().join("objects")).len() < wanted && worker.try_wait().unwrap().is_none() {}
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    let store = Store::open(&place.root()).unwrap();
    assert_eq!(store.recovery(), None);
    work(&store);
    assert_complete(&store);
}

#[test]
fn a_locked_layer_is_waited_for() {
    let place = Place::new();
    let (record, _) = layer(&[b"a"]);
    let lock = place.store.layers().lock(&record.blob).unwrap();
    assert!(place.store.layers().try_lock(&record.blob).unwrap().is_none());
    let (other, _) = layer(&[b"b"]);
    assert!(place.store.layers().try_lock(&other.blob).unwrap().is_some());
    thread::scope(|scope| {
        let waits = scope.spawn(|| place.store.layers().lock(&record.blob).map(drop));
        drop(lock);
        waits.join().unwrap().unwrap();
    });
    assert!(place.store.layers().try_lock(&record.blob).unwrap().is_some());
}
