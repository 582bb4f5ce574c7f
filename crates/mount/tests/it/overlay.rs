//! What the kernel shows of our images.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use chunked::{ContentDigest, Entry, EntryKind};
use morsel_mount::Error;
use morsel_mount::erofs::{Form, Image, Options};
use morsel_mount::overlay::{
    Backing, Checked, DataDirectory, MountedImage, Naming, Overlay, Parts, Root, Way, Writable, Wrong,
};
use store::Store;
use store::tree::Tree;
use store::unpack::unpack;
use testkit::compare::Listing;
use testkit::tools::{self, Tier};

use crate::trees::{entry, file, symlink, tree};

/// A store with the content of a tree, and its image in a file.
struct Place {
    dir: tempfile::TempDir,
    store: Store,
    tree: Tree,
}

impl Place {
    fn new(mut entries: Vec<Entry>, contents: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        for (name, content) in contents {
            let digest = ContentDigest::of(content);
            store.objects().put(&digest, content).unwrap();
            entries.push(file(name, digest, content.len() as u64));
        }
        Self { dir, store, tree: tree(vec![entries]) }
    }

    /// All that can be mounted and unpacked alike.
    fn full() -> Self {
        let mut hard = entry(EntryKind::Hardlink, "z-hard");
        hard.link_name = "etc/hostname".to_owned();
        let mut tagged = entry(EntryKind::Regular, "tagged");
        tagged.xattrs.insert("user.note".to_owned(), b"value".to_vec());
        tagged.xattrs.insert("trusted.note".to_owned(), b"value".to_vec());
        let capability = vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        tagged.xattrs.insert("security.capability".to_owned(), capability);
        let mut list = vec![2, 0, 0, 0];
        for (tag, perm, id) in
            [(1_u16, 7_u16, u32::MAX), (2, 4, 1234), (4, 5, u32::MAX), (16, 5, u32::MAX), (32, 1, u32::MAX)]
        {
            list.extend(tag.to_le_bytes());
            list.extend(perm.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        tagged.xattrs.insert("system.posix_acl_access".to_owned(), list);
        let mut device = entry(EntryKind::CharDevice, "null");
        (device.dev_major, device.dev_minor) = (1, 3);
        let mut sticky = entry(EntryKind::Directory, "tmp");
        sticky.mode = 0o1777;
        let mut entries = vec![
            hard,
            tagged,
            device,
            sticky,
            entry(EntryKind::Fifo, "pipe"),
            symlink("link", "etc/hostname"),
            symlink("long-link", &"x/".repeat(2000)),
            entry(EntryKind::Directory, "etc"),
        ];
        entries.extend((0..1000).map(|index| symlink(&format!("crowd/{index}"), "there")));
        let zeros = vec![0; 100_000];
        let big: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let contents =
            [("etc/hostname", &b"host\n"[..]), ("a-zeros", &zeros), ("big", &big), ("twin", b"host\n")];
        Self::new(entries, &contents)
    }

    fn image(&self, form: Form) -> File {
        let path = self.dir.path().join("image.erofs");
        let file = File::create(&path).unwrap();
        let plan = Image::plan(&self.tree, Options::new(form, [9; 16])).unwrap();
        plan.write(std::io::BufWriter::new(file)).unwrap();
        File::open(path).unwrap()
    }

    fn objects(&self) -> PathBuf {
        self.store.path().join("objects")
    }

    /// Puts an overlay together.
    fn overlay(
        &self,
        image: &MountedImage,
        form: Form,
        way: Option<Way>,
        writable: Option<Writable<'_>>,
    ) -> Result<Overlay, Error> {
        let (path, scratch) = (self.objects(), self.dir.path().join("scratch"));
        fs::create_dir_all(&scratch).unwrap();
        let objects = File::open(&path).unwrap();
        let data = [DataDirectory { fd: objects.as_fd(), path: &path }];
        let metadata = Root::Detached(image.as_fd());
        let parts = Parts { metadata, form, data: &data, writable, scratch: &scratch, source: "morsel" };
        let overlay = match way {
            Some(way) => Overlay::assemble_by(&parts, way),
            None => Overlay::assemble(&parts),
        };
        assert!(fs::read_dir(&scratch).unwrap().next().is_none(), "no mount point is left");
        overlay
    }

    fn unpacked(&self) -> Listing {
        let path = self.dir.path().join("unpacked");
        unpack(&self.tree, self.store.objects(), &path, &store::unpack::Options::default()).unwrap();
        listing(&path)
    }
}

/// What has to be the same: holes depend on the file system.
fn listing(path: &Path) -> Listing {
    Listing::read(path).without("holes", |_, _| true)
}

/// A mount that is attached nowhere has a path all the same.
fn path_of(overlay: &Overlay) -> PathBuf {
    format!("/proc/self/fd/{}/.", overlay.as_fd().as_raw_fd()).into()
}

#[test]
fn root_a_mounted_tree_is_the_unpacked_tree_in_every_way() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::full();
    let unpacked = place.unpacked();
    for backing in [Backing::File, Backing::LoopDevice] {
        for way in Way::all(Form::Trusted) {
            let image = MountedImage::mount_by(&place.image(Form::Trusted), backing).unwrap();
            let overlay = place.overlay(&image, Form::Trusted, Some(way), None).unwrap();
            assert_eq!(overlay.checked(), Checked::Content, "{way}");
            listing(&path_of(&overlay)).assert_same(&unpacked);
        }
    }
    let image = MountedImage::mount(&place.image(Form::Trusted)).unwrap();
    assert_eq!(image.backing(), Backing::File);
    let best = Way { naming: Naming::Descriptors, metacopy: false };
    assert_eq!(place.overlay(&image, Form::Trusted, None, None).unwrap().way(), best);
}

#[test]
fn root_references_that_are_not_followed_are_noticed() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(Vec::new(), &[("a", b"content")]);
    let image = MountedImage::mount(&place.image(Form::Trusted)).unwrap();
    // The overlay looks for other attributes than the image has.
    let Err(Error::NoWay { attempts }) = place.overlay(&image, Form::User, None, None) else { panic!() };
    let text: Vec<_> = attempts.iter().map(|(_, error)| error.to_string()).collect();
    insta::assert_debug_snapshot!(text, @r#"
    [
        "the kernel does not follow the reference of `/a` to its content",
        "the kernel does not follow the reference of `/a` to its content",
        "the kernel does not follow the reference of `/a` to its content",
    ]
    "#);
}

#[test]
fn root_what_is_not_here_is_missed_when_it_is_read_and_not_before() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(Vec::new(), &[("a", b"content"), ("zeros", &[0; 10])]);
    let image = MountedImage::mount(&place.image(Form::Trusted)).unwrap();
    let hex = ContentDigest::of(b"content").to_string().split_off("sha256:".len());
    fs::remove_file(place.objects().join(&hex[..2]).join(&hex[2..])).unwrap();
    let overlay = place.overlay(&image, Form::Trusted, None, None).unwrap();
    assert_eq!(overlay.checked(), Checked::Reference);
    let path = path_of(&overlay).join("a");
    assert_eq!(fs::metadata(&path).unwrap().len(), 7);
    assert!(fs::read(&path).is_err());
    place.store.objects().put(&ContentDigest::of(b"content"), b"content").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"content");

    let empty = Place::new(vec![entry(EntryKind::Regular, "empty")], &[]);
    let image = MountedImage::mount(&empty.image(Form::Trusted)).unwrap();
    assert_eq!(empty.overlay(&image, Form::Trusted, None, None).unwrap().checked(), Checked::Nothing);
}

#[test]
fn root_changes_go_to_the_upper_directory() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::full();
    let (upper, work) = (place.dir.path().join("upper"), place.dir.path().join("work"));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    let image = MountedImage::mount(&place.image(Form::Trusted)).unwrap();
    let writable = Some(Writable { upper: &upper, work: &work });
    let overlay = place.overlay(&image, Form::Trusted, None, writable).unwrap();
    let root = path_of(&overlay);
    fs::write(root.join("new"), "new").unwrap();
    fs::remove_file(root.join("twin")).unwrap();
    let mut big = File::options().append(true).open(root.join("big")).unwrap();
    std::io::Write::write_all(&mut big, b"more").unwrap();
    assert_eq!(fs::metadata(upper.join("big")).unwrap().len(), 12_000_004);
    assert_eq!(fs::read(upper.join("new")).unwrap(), b"new");
    assert!(!root.join("twin").exists());

    let overlay = place.overlay(&image, Form::Trusted, None, None).unwrap();
    assert!(fs::write(path_of(&overlay).join("new"), "new").is_err(), "it is read-only");
}

/// The wrong reference is an image whose files show other objects.
#[test]
fn root_content_that_is_not_that_of_the_object_is_noticed() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(Vec::new(), &[("a", b"content")]);
    let image = MountedImage::mount(&place.image(Form::Trusted)).unwrap();
    let other = tempfile::tempdir().unwrap();
    let hex = ContentDigest::of(b"content").to_string().split_off("sha256:".len());
    fs::create_dir(other.path().join(&hex[..2])).unwrap();
    fs::write(other.path().join(&hex[..2]).join(&hex[2..]), "another").unwrap();
    let (path, scratch) = (place.objects(), place.dir.path());
    let objects = File::open(other.path()).unwrap();
    // The check takes objects by the descriptor, this way of mounting by the path.
    let data = [DataDirectory { fd: objects.as_fd(), path: &path }];
    let metadata = Root::Detached(image.as_fd());
    let parts =
        Parts { metadata, form: Form::Trusted, data: &data, writable: None, scratch, source: "morsel" };
    let way = Way { naming: Naming::Paths, metacopy: false };
    let found = Overlay::assemble_by(&parts, way).unwrap_err();
    assert!(matches!(found, Error::Wrong(Wrong::Content(path)) if path == "/a"));
}
