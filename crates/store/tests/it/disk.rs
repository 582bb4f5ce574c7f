//! Disks that are full, and those that nothing can be written to. Each test starts a copy of itself with mounts of its own.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use chunked::{Class, ContentDigest};
use morsel_store::fsck::{self, NoProgress, Options};
use morsel_store::{Error, Store};
use testkit::tools::{self, Tier};

use crate::sample::{chunks, has, pull};

/// The directory that the copy is to work in.
const DIR: &str = "MORSEL_TEST_DIR";

/// Runs the test `name` of this program again, in a file system of 4 MiB; `None` in the copy is the answer for the original.
fn in_small_file_system(name: &str) -> Option<PathBuf> {
    in_file_system(name, r#"mount -t tmpfs -o size=4m tmpfs "$MORSEL_TEST_DIR""#)
}

/// Runs the test `name` of this program again, after a script that mounts something at `$MORSEL_TEST_DIR`.
pub(crate) fn in_file_system(name: &str, mount: &str) -> Option<PathBuf> {
    if let Some(dir) = env::var_os(DIR) {
        return Some(PathBuf::from(dir));
    }
    if !rustix::process::geteuid().is_root() {
        tools::skip(Tier::Root, "mounts take root");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = format!(r#"{mount} && exec "$0" --exact "$1""#);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(env::current_exe().unwrap()).arg(name);
    let output = command.env(DIR, dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    None
}

/// Runs the test `name` of this program again in a file system of 400 MB that `mkfs` of that kind makes with `options`, in a
/// file beside where it is mounted.
pub(crate) fn in_made_file_system(name: &str, kind: &str, options: &str) -> Option<PathBuf> {
    let mkfs = format!("mkfs.{kind}");
    if env::var_os(DIR).is_none() {
        tools::host(Tier::Root, &mkfs)?;
    }
    let script = format!(
        r#"image="$MORSEL_TEST_DIR.image" && trap 'rm -f "$image"' EXIT &&
           truncate -s 400M "$image" && {mkfs} -q {options} "$image" && mount -o loop "$image" "$MORSEL_TEST_DIR" &&
           rm -f "$image""#
    );
    in_file_system(name, &script)
}

fn assert_sound(store: &Store) {
    let options = Options { threads: 2.try_into().unwrap(), since: None };
    let findings = fsck::check(store, &options, &NoProgress).unwrap();
    assert!(findings.is_clean(), "{findings:?}");
}

fn kind(error: &Error) -> io::ErrorKind {
    assert_eq!(error.class(), Class::Local);
    match error {
        Error::File { source, .. } => source.kind(),
        other => panic!("{other}"),
    }
}

#[test]
fn root_a_full_disk_ends_in_an_error_and_spoils_nothing() {
    let Some(dir) = in_small_file_system("disk::root_a_full_disk_ends_in_an_error_and_spoils_nothing") else {
        return;
    };
    let store = Store::open(&dir.join("store")).unwrap();
    pull(&store, "one", &[&[b"content"]]);
    let content = |number: usize| number.to_le_bytes().repeat(8000);
    let put = |number| {
        let content = content(number);
        store.objects().put(&ContentDigest::of(&content), &content)
    };
    let (number, error) = (0..).find_map(|number| put(number).err().map(|error| (number, error))).unwrap();
    assert_eq!(kind(&error), io::ErrorKind::StorageFull);
    assert!(error.to_string().starts_with("cannot write `"), "{error}");
    assert!(has(&store, &content(number - 1)) && !has(&store, &content(number)));

    let long = vec![7; 1 << 20];
    let partial = store.partials().open(&ContentDigest::of(&long), &chunks(&long, 1 << 19)).unwrap().unwrap();
    assert_eq!(kind(&partial.write(0, 0, &long[..1 << 19]).unwrap_err()), io::ErrorKind::StorageFull);
    assert!(!partial.has(0));
    drop(partial);
    assert_sound(&store);
    // An image that does not fit leaves the list as it was.
    let big = vec![1; 4 << 20];
    let (image, mut documents) = crate::sample::image("two", &[]);
    documents.push((chunked::BlobDigest::of(&big), big));
    assert!(store.images().put(&image, &crate::sample::borrowed(&documents)).is_err());
    assert_eq!(store.images().list().unwrap().len(), 1);

    for number in 0..number {
        let text = ContentDigest::of(&content(number)).to_string();
        let hex = text.strip_prefix("sha256:").unwrap();
        fs::remove_file(store.path().join("objects").join(&hex[..2]).join(&hex[2..])).unwrap();
    }
    assert!(put(number).unwrap());
    assert_sound(&store);
}

#[test]
fn root_a_store_that_cannot_be_written_can_be_read() {
    let Some(dir) = in_small_file_system("disk::root_a_store_that_cannot_be_written_can_be_read") else {
        return;
    };
    let root = dir.join("store");
    let image = pull(&Store::open(&root).unwrap(), "one", &[&[b"content"]]);
    mount(&["-o", "remount,ro"], &dir);
    let store = Store::open(&root).unwrap();
    assert_eq!(store.images().find("one").unwrap(), image);
    assert!(has(&store, b"content"));
    assert_sound(&store);
    let put = store.objects().put(&ContentDigest::of(b"new"), b"new").unwrap_err();
    assert_eq!(kind(&put), io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(kind(&store.images().remove("one").unwrap_err()), io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(kind(&Store::open(&dir.join("new")).unwrap_err()), io::ErrorKind::ReadOnlyFilesystem);
}

fn mount(options: &[&str], dir: &Path) {
    assert!(Command::new("mount").args(options).arg(dir).status().unwrap().success());
}
