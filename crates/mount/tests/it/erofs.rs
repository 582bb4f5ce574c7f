//! Images as other readers see them.

use std::collections::BTreeMap;
use std::fs;

use chunked::{ContentDigest, EntryKind};
use morsel_mount::erofs::{Form, Image, Invalid, Options};
use proptest::prelude::*;
use store::tree::{Kind, NodeId, Tree};
use testkit::process::run;
use testkit::tools::{self, Tier};

use crate::erofs_reader::{Facts, Reader};
use crate::trees::{crowd, entry, everything, file, merge, symlink, tree};

const TRUSTED: Options = Options { form: Form::Trusted, uuid: [7; 16], len_limit: 4 << 30 };
const USER: Options = Options { form: Form::User, ..TRUSTED };

pub(crate) fn image(tree: &Tree, options: Options) -> Vec<u8> {
    let image = Image::plan(tree, options).unwrap();
    let mut bytes = Vec::new();
    image.write(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, image.image_len());
    bytes
}

/// What a reader should find.
fn expected(tree: &Tree, options: Options) -> BTreeMap<Vec<u8>, Facts> {
    let numbers = Image::plan(tree, options).unwrap();
    let mut found = BTreeMap::from([(Vec::new(), facts(tree, Tree::ROOT, &numbers, options.form))]);
    for (directory, _) in tree.nodes() {
        for child in tree.children(directory) {
            let facts = facts(tree, child.node, &numbers, options.form);
            found.insert(tree.path_of(child.id).join("/").into_bytes(), facts);
        }
    }
    found
}

fn facts(tree: &Tree, id: NodeId, image: &Image<'_>, form: Form) -> Facts {
    let node = tree.node(id);
    let metadata = &node.metadata;
    let mut facts = Facts {
        number: image.inode_number(id),
        mode: metadata.mode,
        size: 0,
        owner: (metadata.uid, metadata.gid),
        modified: (metadata.modified.seconds, metadata.modified.nanoseconds),
        links: node.links,
        device: 0,
        target: Vec::new(),
        xattrs: metadata
            .xattrs
            .iter()
            .map(|xattr| (xattr.name.as_bytes().to_vec(), xattr.value.to_vec()))
            .collect(),
    };
    let device = |device: &store::tree::Device| rustix::fs::makedev(device.major, device.minor) as u32;
    match &node.kind {
        Kind::Directory(_) => {
            facts.mode |= 0o040_000;
            let children = tree.children(id).filter(|child| tree.node(child.node).kind.is_directory());
            facts.links = 2 + children.count() as u32;
        }
        Kind::File(content) => {
            facts.mode |= 0o100_000;
            if let Some(content) = content {
                facts.size = content.len;
                let prefix = if form == Form::Trusted { "trusted" } else { "user" };
                let hex = content.digest.to_string().split_off("sha256:".len());
                let redirect = format!("/{}/{}", &hex[..2], &hex[2..]);
                facts.xattrs.insert(format!("{prefix}.overlay.metacopy").into_bytes(), Vec::new());
                facts.xattrs.insert(format!("{prefix}.overlay.redirect").into_bytes(), redirect.into_bytes());
            }
        }
        Kind::Symlink(target) => {
            facts.mode |= 0o120_000;
            facts.size = target.len() as u64;
            facts.target = target.as_bytes().to_vec();
        }
        Kind::CharDevice(number) => (facts.mode, facts.device) = (facts.mode | 0o020_000, device(number)),
        Kind::BlockDevice(number) => (facts.mode, facts.device) = (facts.mode | 0o060_000, device(number)),
        Kind::Fifo => facts.mode |= 0o010_000,
    }
    facts
}

/// Checks an image with our reader, whose sizes of directories are taken as they are.
#[track_caller]
fn check(tree: &Tree, options: Options) {
    let bytes = image(tree, options);
    let mut found = Reader::read(&bytes);
    for facts in found.values_mut().filter(|facts| facts.mode >> 12 == 0o4) {
        facts.size = 0;
    }
    assert_eq!(found, expected(tree, options));
}

#[test]
fn an_independent_reader_finds_the_tree() {
    for options in [TRUSTED, USER] {
        check(&tree(vec![]), options);
        check(&everything(), options);
        check(&crowd(1000), options);
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    assert_eq!(image(&everything(), TRUSTED), image(&everything(), TRUSTED));
    assert_ne!(image(&everything(), TRUSTED), image(&everything(), USER));
}

/// Attributes that end anywhere in a block, are shared, long, and many.
#[test]
fn attributes_of_all_sizes_are_kept() {
    let entries = (0..200).map(|index: usize| {
        let mut file = file(&format!("f{index}"), ContentDigest::of(b"x"), 1);
        file.xattrs.insert("user.own".to_owned(), vec![index as u8; index * 37 % 5000]);
        file.xattrs.insert("user.shared".to_owned(), vec![1; index % 3 * 700]);
        file
    });
    let mut entries: Vec<_> = entries.collect();
    let mut many = entry(EntryKind::Directory, "many");
    many.xattrs.extend((0..1000_u32).map(|index| (format!("user.x{index}"), index.to_le_bytes().to_vec())));
    let mut also_many = many.clone();
    also_many.name = "also-many".to_owned();
    entries.extend([many, also_many, symlink("s", &"t".repeat(3900))]);
    check(&tree(vec![entries]), TRUSTED);
}

#[test]
fn what_erofs_has_no_room_for_is_left_out_or_refused() {
    let mut odd = entry(EntryKind::Directory, "odd");
    for name in ["security.selinux", "system.other", "user.", "plain", "security.x"] {
        odd.xattrs.insert(name.to_owned(), vec![1]);
    }
    odd.xattrs.insert("user.long".to_owned(), vec![0; 65_536]);
    odd.xattrs.insert("user.longest".to_owned(), vec![0; 65_535]);
    let bytes = image(&tree(vec![vec![odd]]), TRUSTED);
    let names: Vec<_> = Reader::read(&bytes)[&b"odd".to_vec()].xattrs.keys().cloned().collect();
    assert_eq!(names, [b"security.x".to_vec(), b"user.longest".to_vec()]);

    let mut full = entry(EntryKind::Directory, "full");
    full.xattrs.extend((0..2000_u32).map(|index| (format!("user.x{index}"), vec![0; 200])));
    let full = tree(vec![vec![full]]);
    assert_eq!(Image::plan(&full, TRUSTED).unwrap_err(), Invalid::Xattrs { path: "/full".to_owned() });
    let short = Options { len_limit: 8192, ..TRUSTED };
    assert_eq!(Image::plan(&everything(), short).unwrap_err(), Invalid::TooLong { limit: 8192 });
}

#[test]
fn tool_fsck_and_dump_read_our_images() {
    let dir = tempfile::tempdir().unwrap();
    let trees = [tree(vec![]), everything(), crowd(3000)];
    for (tree, options) in trees.iter().flat_map(|tree| [(tree, TRUSTED), (tree, USER)]) {
        let path = dir.path().join("image.erofs");
        fs::write(&path, image(tree, options)).unwrap();
        let Some(mut fsck) = tools::host(Tier::Tool, "fsck.erofs") else { return };
        run(fsck.arg(&path));
        let Some(mut dump) = tools::host(Tier::Tool, "dump.erofs") else { return };
        let written = run(dump.arg("-s").arg(&path));
        assert!(written.text().contains("Filesystem inode count"), "{}", written.text());
        let inodes = tree.node_count().to_string();
        assert!(
            written.text().lines().any(|line| line.contains("inode count") && line.ends_with(&inodes)),
            "{}",
            written.text()
        );
    }
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![
        prop::sample::select(vec!["a", "b", "a/b", "a/c", "b/a/b", "a/-", "a/!"]).prop_map(str::to_owned),
        "[a-z!.-]{1,3}/[a-z]{1,255}",
    ];
    let parts = (name, 0..5_u8, 1..=4095_usize, any::<u64>(), 0..2000_usize);
    let made = |(name, kind, len, size, xattr): (String, u8, usize, u64, usize)| {
        let mut made = match kind {
            0 => entry(EntryKind::Directory, &name),
            1 => symlink(&name, &"t".repeat(len)),
            2 => entry(EntryKind::Fifo, &name),
            3 => entry(EntryKind::Regular, &name),
            _ => file(&name, ContentDigest::of(name.as_bytes()), (size >> (len % 40)).clamp(1, 1 << 44)),
        };
        made.xattrs.insert("user.x".to_owned(), vec![b'x'; xattr]);
        made
    };
    prop::collection::vec(parts.prop_map(made), 0..60)
        .prop_filter_map("a path leads through a link to nowhere", |entries| merge(vec![entries]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_found_in_its_image(tree in any_tree()) {
        check(&tree, TRUSTED);
    }
}
