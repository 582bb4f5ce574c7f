//! File systems whose files can share their bytes, and one whose files cannot.

use std::process::Command;

use morsel_store::usage;
use rustix::fs::statvfs;

use super::*;
use crate::disk::in_made_file_system;

/// Bytes of the file that a pull takes from the host.
const LEN: usize = 8 << 20;
/// Bytes that file systems may take for themselves.
const SLACK: u64 = 1 << 20;

fn on(test: &str, kind: &str, options: &str) -> Option<PathBuf> {
    in_made_file_system(&format!("seeded::reflink::{test}"), kind, options)
}

fn used(dir: &Path) -> u64 {
    Command::new("sync").arg("--file-system").arg(dir).status().unwrap();
    let stat = statvfs(dir).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

/// What the disk has of a pull whose content is all in the host.
struct Found {
    from: FromSeed,
    usage: usage::Usage,
    /// Bytes of the disk that the pull took.
    took: u64,
    /// What another program says of the extents of the object.
    filefrag: String,
}

fn pull_on(dir: &Path) -> Found {
    let (long, small) = (data::text(1, LEN), data::text(2, 5000));
    let made = Made::files([("long", &long), ("small", &small)]);
    let host = Host { dir: tempfile::tempdir_in(dir).unwrap() };
    host.write("long", &long);
    host.write("small", &small);
    let store = Store::open(&dir.join("store")).unwrap();
    let before = used(dir);
    let pulled = pull_with(&store, &made, host.seeds(&store));
    store.sync().unwrap();
    let took = used(dir).saturating_sub(before);
    let object = crate::sample::object_path(store.path(), &long);
    let output = Command::new("filefrag").arg("-v").arg(object).output().unwrap();
    assert_eq!(pulled.bytes, 0);
    Found {
        from: pulled.seed(),
        usage: usage::measure(&store).unwrap(),
        took,
        filefrag: String::from_utf8(output.stdout).unwrap(),
    }
}

fn check_shared(dir: &Path) {
    let found = pull_on(dir);
    assert_eq!(found.from.cloned, Count { count: 1, bytes: LEN as u64 });
    assert!(found.filefrag.contains("shared"), "{}", found.filefrag);
    assert_eq!(found.usage.objects_shared_len, LEN as u64);
    let own = found.usage.objects_disk_len - found.usage.objects_shared_len;
    assert!(found.took < SLACK && own < SLACK, "{} {own}", found.took);
}

#[test]
fn root_files_share_their_bytes_on_btrfs() {
    if let Some(dir) = on("root_files_share_their_bytes_on_btrfs", "btrfs", "") {
        check_shared(&dir);
    }
}

#[test]
fn root_files_share_their_bytes_on_xfs() {
    if let Some(dir) = on("root_files_share_their_bytes_on_xfs", "xfs", "-m reflink=1") {
        check_shared(&dir);
    }
}

#[test]
fn root_files_are_copied_on_ext4() {
    let Some(dir) = on("root_files_are_copied_on_ext4", "ext4", "") else { return };
    let found = pull_on(&dir);
    assert_eq!((found.from.cloned, found.usage.objects_shared_len), (Count::default(), 0));
    assert!(!found.filefrag.contains("shared"), "{}", found.filefrag);
    assert!(found.took.abs_diff(found.usage.objects_disk_len) < SLACK, "{} {:?}", found.took, found.usage);
    assert!(found.usage.objects_disk_len >= LEN as u64);
}
