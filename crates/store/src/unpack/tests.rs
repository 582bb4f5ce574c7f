use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use chunked::{BlobRange, Content, Entry, EntryKind, Timestamp};
use rustix::process::{geteuid, getuid};
use tempfile::TempDir;
use testkit::compare::Listing;

use super::*;
use crate::tree::{Builder, Limits};

/// Contents in files of a directory, and a tree that has them.
struct Image {
    dir: TempDir,
    contents: HashMap<ContentDigest, PathBuf>,
    builder: Builder,
}

impl Contents for Image {
    fn open(&self, digest: &ContentDigest) -> Result<Option<File>, Error> {
        Ok(self.contents.get(digest).map(|path| File::open(path).unwrap()))
    }
}

impl Image {
    fn new() -> Self {
        let mut builder = Builder::new(Limits::default());
        builder.start_layer();
        Self { dir: tempfile::tempdir().unwrap(), contents: HashMap::new(), builder }
    }

    fn add(&mut self, entry: Entry) -> &mut Self {
        self.builder.add(&Entry { uid: uid(), gid: gid(), ..entry }).unwrap();
        self
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        let digest = ContentDigest::of(bytes);
        let path = self.dir.path().join(format!("content-{}", self.contents.len()));
        fs::write(&path, bytes).unwrap();
        self.contents.insert(digest, path);
        self.add(regular(name, digest, bytes.len() as u64))
    }

    fn tree(&self) -> Tree {
        self.builder.clone().finish()
    }

    fn unpack(&self, name: &str) -> Result<Report, Error> {
        unpack(&self.tree(), self, &self.path(name), &Options::default())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the names beside the contents.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with("content-")).collect()
    }
}

fn uid() -> i64 {
    i64::from(getuid().as_raw())
}

fn gid() -> i64 {
    i64::from(rustix::process::getgid().as_raw())
}

fn regular(name: &str, digest: ContentDigest, len: u64) -> Entry {
    let range = BlobRange::saturating(0, 0);
    let content = Some(Content { digest: Some(digest), range, chunks: Vec::new() });
    Entry { size: len, mode: 0o644, content, ..Entry::new(EntryKind::Regular, name) }
}

fn directory(name: &str, mode: i64) -> Entry {
    Entry { mode, ..Entry::new(EntryKind::Directory, name) }
}

fn link(kind: EntryKind, name: &str, target: &str) -> Entry {
    Entry { link_name: target.into(), mode: 0o644, ..Entry::new(kind, name) }
}

fn at(seconds: i64, nanoseconds: u32) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanoseconds })
}

#[test]
fn metadata_is_as_the_tree_says_whatever_is_made_afterwards() {
    let mut image = Image::new();
    image
        .add(Entry { modified: at(5, 0), ..directory("./", 0o750) })
        .add(Entry { modified: at(1_700_000_000, 123_456_789), ..directory("closed", 0) })
        .file("closed/file", b"content")
        .add(Entry { modified: at(-1, 5), ..link(EntryKind::Symlink, "closed/link", "/nowhere") })
        .add(Entry { modified: at(7, 0), ..directory("closed/inner", 0o1777) })
        .add(Entry { mode: 0o6755, ..Entry::new(EntryKind::Regular, "closed/inner/suid") })
        .add(Entry { mode: 0o622, ..Entry::new(EntryKind::Fifo, "closed/inner/pipe") })
        .add(link(EntryKind::Hardlink, "first", "closed/file"));
    let report = image.unpack("root").unwrap();
    assert_eq!((report.directories, report.files, report.symlinks, report.special), (3, 2, 1, 1));
    assert_eq!((report.hardlinks, report.bytes, report.copied.files), (1, 7, 1));
    assert_eq!(report.skipped, []);
    let root = image.path("root");
    let closed = fs::symlink_metadata(root.join("closed")).unwrap();
    assert_eq!(
        (closed.mode() & 0o7777, closed.mtime(), closed.mtime_nsec()),
        (0, 1_700_000_000, 123_456_789)
    );
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();

    let owner = format!("owner={}:{}", uid(), gid());
    let content = "content=sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    let empty = "content=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let names = "names=closed/file = first";
    assert_eq!(
        Listing::read(&root).to_string().lines().collect::<Vec<_>>(),
        [
            format!(". mode=0750 modified=5.000000000 {owner} type=directory"),
            format!("closed mode=0700 modified=1700000000.123456789 {owner} type=directory"),
            format!(
                "closed/file {content} holes=0 mode=0644 modified=0.000000000 {names} {owner} size=7 type=file"
            ),
            format!("closed/inner mode=1777 modified=7.000000000 {owner} type=directory"),
            format!("closed/inner/pipe mode=0622 modified=0.000000000 {owner} type=fifo"),
            format!(
                "closed/inner/suid {empty} holes=0 mode=6755 modified=0.000000000 {owner} size=0 type=file"
            ),
            format!("closed/link modified=-1.000000005 {owner} target=/nowhere type=symlink"),
            format!(
                "first {content} holes=0 mode=0644 modified=0.000000000 {names} {owner} size=7 type=file"
            ),
        ]
    );
}

#[test]
fn paths_may_be_longer_than_linux_takes_at_once() {
    let mut image = Image::new();
    let name = "d".repeat(250);
    let deep = [name.as_str(); 40].join("/");
    image.add(directory(&deep, 0o700)).file(&format!("{deep}/file"), b"deep");
    assert_eq!(image.unpack("root").unwrap().directories, 41);
    fs::remove_dir_all(image.path("root")).unwrap();
}

#[test]
fn what_cannot_be_made_is_left_out_and_told() {
    let mut image = Image::new();
    let mut labelled = Entry { mode: 0o444, ..Entry::new(EntryKind::Regular, "file") };
    labelled.xattrs.insert("security.selinux".into(), b"label".to_vec());
    labelled.xattrs.insert("trusted.overlay.opaque".into(), b"y".to_vec());
    labelled.xattrs.insert("user.kept".into(), b"yes".to_vec());
    image.add(labelled);
    let report = image.unpack("root").unwrap();
    let skipped: Vec<_> =
        report.skipped.iter().map(|skipped| (skipped.reason, skipped.first.join(","))).collect();
    assert_eq!(
        skipped,
        [
            (Reason::OverlayAttribute, "file trusted.overlay.opaque".to_owned()),
            (Reason::SecurityLabel, "file security.selinux".to_owned()),
        ]
    );
    let listing = Listing::read(&image.path("root"));
    assert_eq!(listing.paths()["file"]["xattrs"], "user.kept=yes");
}

#[test]
fn a_failure_leaves_nothing() {
    let mut image = Image::new();
    image.add(directory("closed", 0)).file("closed/file", b"content");
    let missing = ContentDigest::of(b"missing");
    image.add(regular("zz/missing", missing, 5));
    assert_eq!(
        image.unpack("root").unwrap_err().to_string(),
        format!("the content {missing} of `{}` is not there", image.path("root/zz/missing").display())
    );
    assert_eq!(image.names(), Vec::<String>::new());

    let mut image = Image::new();
    image.add(regular("file", ContentDigest::of(b"short"), 9));
    image.contents.insert(ContentDigest::of(b"short"), image.path("content-short"));
    fs::write(image.path("content-short"), "short").unwrap();
    let error = image.unpack("root").unwrap_err();
    assert!(error.to_string().ends_with("has 5 bytes, expected 9"), "{error}");
    assert_eq!(error.class(), chunked::Class::Corrupt);
    assert_eq!(image.names(), Vec::<String>::new());
}

/// Puts something where the tree is to be, once its files are asked for.
struct Intruder<'a>(&'a Image);

impl Contents for Intruder<'_> {
    fn open(&self, digest: &ContentDigest) -> Result<Option<File>, Error> {
        fs::create_dir_all(self.0.path("root/other")).unwrap();
        Contents::open(self.0, digest)
    }
}

#[test]
fn what_came_meanwhile_stays() {
    let mut image = Image::new();
    image.add(directory("closed", 0)).add(directory("closed/inner", 0)).file("closed/inner/file", b"content");
    let root = image.path("root");
    let error = unpack(&image.tree(), &Intruder(&image), &root, &Options::default()).unwrap_err();
    assert!(error.to_string().ends_with("is not empty, expected a new or an empty directory"), "{error}");
    assert_eq!(image.names(), ["root"]);
    assert!(root.join("other").exists());
}

#[test]
fn the_directory_is_new_or_empty() {
    let mut image = Image::new();
    image.file("file", b"content");
    fs::create_dir(image.path("empty")).unwrap();
    std::os::unix::fs::symlink("empty", image.path("link")).unwrap();
    image.unpack("link").unwrap();
    assert!(image.path("empty/file").exists() && image.path("link").is_symlink());

    let refused = |name: &str| match image.unpack(name).unwrap_err() {
        Error::Refused(refused) => refused.to_string().replace(image.dir.path().to_str().unwrap(), ""),
        error => error.to_string(),
    };
    assert_eq!(refused("empty"), "`/empty` is not empty, expected a new or an empty directory");
    assert_eq!(refused("empty/file"), "`/empty/file` is not a directory, expected a new or an empty one");
    assert_eq!(refused("empty/.."), "`/empty/..` is not empty, expected a new or an empty directory");
    assert_eq!(refused("none/.."), "`/none/..` is not a name for a new directory");
    assert!(refused("none/root").starts_with("cannot open `"));
    let mut names = image.names();
    names.sort();
    assert_eq!(names, ["empty", "link"]);
}

#[test]
fn owners_are_mapped_or_squashed() {
    let mut builder = Builder::new(Limits::default());
    builder.layer([Entry { uid: 7, gid: 8, ..directory("d", 0o755) }]).unwrap();
    let (tree, image) = (builder.finish(), Image::new());
    let unpack_as = |name: &str, owners: Owners| {
        let options = Options { owners, ..Options::default() };
        unpack(&tree, &image, &image.path(name), &options)
    };
    let owner = |name: &str| {
        let metadata = fs::metadata(image.path(name).join("d")).unwrap();
        (metadata.uid(), metadata.gid())
    };
    unpack_as("squash", Owners::Squash).unwrap();
    assert_eq!(owner("squash"), (uid() as u32, gid() as u32));
    let map: IdMap = "0:1:1".parse().unwrap();
    assert_eq!(
        unpack_as("map", Owners::Map(map)).unwrap_err().to_string(),
        "`/d` of the image belongs to 7:8, which the map of owners does not have"
    );
    if geteuid().is_root() {
        unpack_as("as-is", Owners::AsIs).unwrap();
        assert_eq!(owner("as-is"), (7, 8));
        unpack_as("map", Owners::Map("0:1000:9".parse().unwrap())).unwrap();
        assert_eq!(owner("map"), (1007, 1008));
    }
}
