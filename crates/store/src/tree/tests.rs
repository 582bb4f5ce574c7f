use std::fmt::Write as _;

use chunked::{Content, ContentDigest, Entry, EntryKind};
use proptest::prelude::*;

use super::*;

/// Makes entries out of lines: `d NAME`, `f NAME [CONTENT]`, `l NAME TARGET`, `h NAME TARGET`, `c NAME`, `p NAME`.
fn layer(lines: &str) -> Vec<Entry> {
    lines.split(',').map(str::trim).filter(|line| !line.is_empty()).map(entry).collect()
}

fn entry(line: &str) -> Entry {
    let words: Vec<_> = line.split(' ').collect();
    let (name, last) = (words[1], words.get(2).copied().unwrap_or_default());
    let kind = match words[0] {
        "d" => EntryKind::Directory,
        "f" => EntryKind::Regular,
        "l" => EntryKind::Symlink,
        "h" => EntryKind::Hardlink,
        "c" => EntryKind::CharDevice,
        _ => EntryKind::Fifo,
    };
    let mut entry = Entry::new(kind, name);
    (entry.mode, entry.uid, entry.gid) = (0o711, 1, 2);
    match kind {
        EntryKind::Symlink | EntryKind::Hardlink => entry.link_name = last.to_owned(),
        EntryKind::Regular if !last.is_empty() => {
            entry.size = last.len() as u64;
            let digest = Some(ContentDigest::of(last.as_bytes()));
            let range = chunked::BlobRange::saturating(0, 0);
            entry.content = Some(Content { digest, range, chunks: Vec::new() });
        }
        _ => {}
    }
    entry
}

fn build(layers: &[&str]) -> Result<Tree, Invalid> {
    let mut builder = Builder::new(Limits::default());
    layers.iter().try_for_each(|lines| builder.layer(layer(lines)))?;
    Ok(builder.finish())
}

/// Writes a tree as one line: every path but the root, directories with a slash, `!` for implied ones, files with the
/// first bytes of their digest, hard links with where the first name is.
fn show(tree: &Tree) -> String {
    let mut paths = Vec::new();
    let directories = tree.nodes().filter(|(_, node)| node.kind.is_directory());
    for child in directories.flat_map(|(id, _)| tree.children(id)) {
        let (path, node) = (tree.path_of(child.id).join("/"), tree.node(child.node));
        let mut text = path;
        match &node.kind {
            _ if !tree.is_first_name(&child) => {
                let _ = write!(text, "={}", tree.path(child.node).join("/"));
            }
            Kind::Directory(_) if node.metadata.uid == 0 => text += "/!",
            Kind::Directory(_) => text.push('/'),
            Kind::File(None) => {}
            Kind::File(Some(content)) => {
                let _ = write!(text, ":{}", content.len);
            }
            Kind::Symlink(target) => {
                let _ = write!(text, "->{target}");
            }
            Kind::CharDevice(_) | Kind::BlockDevice(_) => text += "#",
            Kind::Fifo => text += "|",
        }
        paths.push(text);
    }
    paths.sort();
    paths.join(" ")
}

#[track_caller]
fn check(layers: &[&str], expected: &str) {
    assert_eq!(show(&build(layers).unwrap()), expected, "{layers:?}");
}

#[test]
fn names_are_beneath_the_root_and_parents_are_implied() {
    check(&["f a/b/c x"], "a/! a/b/! a/b/c:1");
    check(&["d ./, f ../x, f /y/../z, f d/"], "d x z");
    check(&["f a/b x, d a"], "a/ a/b:1");
    check(&["d p, d p/q", "f p/q/x"], "p/ p/q/ p/q/x");
}

#[test]
fn upper_layers_replace_and_directories_merge() {
    check(&["f x one", "f x two22"], "x:5");
    check(&["d d, f d/x", "d d, f d/y"], "d/ d/x d/y");
    check(&["d x, f x/y", "f x one"], "x:3");
    check(&["f x one", "d x, f x/y"], "x/ x/y");
    check(&["f x one", "f x/y"], "x/! x/y");
    check(&["l x t", "d x"], "x/");
}

#[test]
fn the_last_of_one_layer_wins() {
    check(&["f x one, f x two22"], "x:5");
    check(&["f x one, d x, f x/y"], "x/ x/y");
    check(&["d x, f x/y, f x one"], "x:3");
}

#[test]
fn whiteouts_hide_lower_layers_only_whatever_the_order() {
    check(&["f x, f y", "f .wh.x"], "y");
    check(&["f x low", "f x upper, f .wh.x"], "x:5");
    check(&["f x low", "f .wh.x, f x upper"], "x:5");
    check(&["f x, f .wh.x"], "x");
    check(&["d d, f d/low", "d d, f d/new, f .wh.d"], "d/ d/new");
    check(&["d d, f d/low", "f .wh.d, d d, f d/new"], "d/ d/new");
    check(&["d d, f d/low", "f d/new, f .wh.d"], "d/! d/new");
    check(&["d d, d d/e, f d/e/low", "f d/e/new, f .wh.d"], "d/! d/e/! d/e/new");
    check(&["f x", "f .wh.x", "f x third"], "x:5");
    check(&["d d", "f d/.wh.none, f e/.wh.none"], "d/");
}

#[test]
fn opaque_directories_hide_lower_siblings_only_whatever_the_order() {
    check(&["d d, f d/low, d d/e, f d/e/low", "f d/early, f d/.wh..wh..opq, f d/late"], "d/ d/early d/late");
    check(&["d d, d d/e, f d/e/low", "d d, f d/e/new, f d/.wh..wh..opq"], "d/ d/e/! d/e/new");
    check(&["f d", "f d/.wh..wh..opq"], "d");
    check(&["f a", "f .wh..wh..opq, f b"], "b");
    check(&["f x, d .wh..wh.plnk, f .wh..wh.plnk/1, f .wh..wh.aufs"], "x");
}

#[test]
fn links_of_the_own_layer_are_followed_and_others_replaced() {
    check(&["d real, l a real, f a/b"], "a->real real/ real/b");
    check(&["d etc, l a ../../../etc, f a/b"], "a->../../../etc etc/ etc/b");
    check(&["d d, d d/e, l d/e/a /d, f d/e/a/b"], "d/ d/b d/e/ d/e/a->/d");
    check(&["l a nowhere, f a/b"], "a->nowhere nowhere/! nowhere/b");
    check(&["d real, l a real", "f a/b"], "a/! a/b real/");
    check(&["d real, f real/x, l a real", "f a/.wh.x"], "a->real real/ real/x");
}

#[test]
fn hard_links_share_a_node_until_one_is_replaced() {
    check(&["f x one, h y x, h z ./y"], "x:3 y=x z=x");
    check(&["f x one, h y x", "f x two22"], "x:5 y:3");
    check(&["f x one, h y x", "f .wh.x"], "y:3");
    check(&["f x one", "h y /x"], "x:3 y=x");
    check(&["h y x, f x one"], "x:3 y=x");
    check(&["l x nowhere, h y x"], "x->nowhere y=x");
    check(&["d d, f d/x, l s d", "h y s/x"], "d/ d/x=y s->d y");
    check(&["f x one, h x x"], "x:3");
    check(&["d d, f d/x one, h d d/x"], "d:3");

    let tree = build(&["f x one, h y x, h z x", "f .wh.y"]).unwrap();
    let child = tree.children(Tree::ROOT).next().unwrap();
    assert_eq!(tree.node(child.node).links, 2);
}

#[test]
fn a_link_gives_its_metadata_to_the_file() {
    let mut link = entry("h y x");
    (link.mode, link.uid) = (0o4755, 9);
    link.xattrs.insert("user.two".into(), vec![2]);
    let mut file = entry("f x");
    file.xattrs.insert("user.one".into(), vec![1]);
    let mut builder = Builder::new(Limits::default());
    builder.layer([file, link]).unwrap();
    let tree = builder.finish();
    let metadata = &tree.node(tree.children(Tree::ROOT).next().unwrap().node).metadata;
    assert_eq!((metadata.mode, metadata.uid), (0o4755, 9));
    assert_eq!(
        metadata.xattrs.iter().map(|xattr| &*xattr.name).collect::<Vec<_>>(),
        ["user.one", "user.two"]
    );
}

/// Gives a file so many names, each with an attribute of its own.
fn linked(names: usize, attribute: impl Fn(usize) -> String) -> Result<Tree, Invalid> {
    let mut builder = Builder::new(Limits::default());
    let links = (0..names).map(|number| {
        let mut link = entry(&format!("h {number} x"));
        link.xattrs.insert(attribute(number), number.to_le_bytes().to_vec());
        link
    });
    builder.layer([entry("f x")].into_iter().chain(links))?;
    Ok(builder.finish())
}

#[test]
fn links_that_add_attributes_without_end_are_refused() {
    let text = |tree: Result<Tree, Invalid>| tree.unwrap_err().to_string();
    let each = |number: usize| format!("user.{number}");
    assert_eq!(
        text(linked(1001, each)),
        "layer 1: `1000` is a hard link to a file that would have more than 1000 extended attributes with it"
    );
    for (names, attributes) in [(1000, 1000), (3000, 10)] {
        let tree = linked(names, |number| each(number % attributes)).unwrap();
        let (_, file) = tree.nodes().nth(1).unwrap();
        let xattrs = &file.metadata.xattrs;
        assert!(xattrs.len() == attributes && xattrs.is_sorted_by(|one, next| one.name < next.name));
        let last = (names - attributes).to_le_bytes();
        assert!(xattrs.iter().any(|xattr| &*xattr.name == "user.0" && *xattr.value == last));
    }
}

#[test]
fn a_file_that_no_file_system_takes_is_refused() {
    let sized = |size: u64| Builder::new(Limits::default()).layer([Entry { size, ..entry("f a one") }]);
    sized(16 << 40).unwrap();
    let error = sized((16 << 40) + 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer 1: `a` has 17592186044417 bytes, at most 17592186044416 are possible"
    );
    assert_eq!(error.class(), chunked::Class::Unsupported);
}

#[test]
fn attributes_of_overlayfs_are_dropped_and_told() {
    let mut file = entry("f x");
    for name in ["trusted.overlay.opaque", "user.overlay.whiteout", "user.overlayed", "trusted.x"] {
        file.xattrs.insert(name.into(), vec![b'y']);
    }
    let mut builder = Builder::new(Limits::default());
    builder.layer([file]).unwrap();
    let tree = builder.finish();
    let (_, node) = tree.nodes().nth(1).unwrap();
    assert_eq!(
        node.metadata.xattrs.iter().map(|xattr| &*xattr.name).collect::<Vec<_>>(),
        ["trusted.x", "user.overlayed"]
    );
    assert_eq!(tree.dropped().count, 2);
    assert_eq!(tree.dropped().first[1], ("x".to_owned(), "user.overlay.whiteout".to_owned()));
}

#[test]
fn nodes_are_numbered_from_the_root_down() {
    let tree = build(&["f b/x, f a/y, d a/z, f a/z/1, f 0"]).unwrap();
    let names: Vec<_> = tree.nodes().map(|(id, _)| tree.path(id).join("/")).collect();
    assert_eq!(names, ["", "0", "a", "b", "a/y", "a/z", "b/x", "a/z/1"]);
    assert_eq!(tree.parent(tree.parent(NodeId(5))), Tree::ROOT);
    assert_eq!(build(&[""]).unwrap().node(Tree::ROOT).metadata.mode, 0o755);
}

#[test]
fn entries_without_a_place_are_refused() {
    let text = |layers: &[&str]| build(layers).unwrap_err().to_string();
    assert_eq!(text(&["f x", "f ./"]), "layer 2: `./` is the root, and is not a directory");
    assert_eq!(text(&["f d/.wh."]), "layer 1: `d/.wh.` is a whiteout that names nothing");
    assert_eq!(text(&["f .wh..."]), "layer 1: `.wh...` is a whiteout that names nothing");
    assert_eq!(text(&["h y x"]), "layer 1: `y` is a hard link to `x`, which is not there");
    assert_eq!(text(&["d d, h y d"]), "layer 1: `y` is a hard link to `d`, which is a directory");
    assert_eq!(text(&["h y /"]), "layer 1: `y` is a hard link to `/`, which is a directory");
    assert_eq!(text(&["l a b, l b a, f a/x"]), "layer 1: `a/x` leads through too many symbolic links");
    assert_eq!(
        text(&["l a "]),
        "layer 1: `a` is a symbolic link with a target of 0 bytes, 1 to 4095 are possible"
    );

    let long = format!("l a {}, f a/b", "n".repeat(256));
    let expected = "layer 1: `a/b` has a name of 256 bytes in its path, at most 255 are possible";
    assert_eq!(text(&[&long]), expected);

    let refuse = |entry: Entry| Builder::new(Limits { names: 3, depth: 4 }).layer([entry]).unwrap_err();
    assert_eq!(
        refuse(entry("f a/b/c/d/e")).to_string(),
        "layer 1: `a/b/c/d/e` is more than 4 directories deep"
    );
    assert_eq!(
        refuse(entry("f a/b/c/d")).to_string(),
        "layer 1: `a/b/c/d` is one more than the 3 files that a tree may have"
    );
    let owned = Entry { uid: -1, ..entry("f \u{7}a") };
    assert_eq!(
        refuse(owned).to_string(),
        r"layer 1: `\u{7}a` has the owner -1:2, numbers from 0 to 4294967294 are possible"
    );
    let device = Entry { dev_major: 4096, ..entry("c a") };
    assert_eq!(refuse(device).problem, Problem::Device { major: 4096, minor: 0 });
}

#[test]
fn what_upper_layers_replace_takes_no_room() {
    let mut builder = Builder::new(Limits { names: 4, depth: 4 });
    for _ in 0..100 {
        builder.layer(layer("d a, f a/b, f a/c, f .wh.a, f a one")).unwrap();
        builder.layer(layer("f .wh.a")).unwrap();
    }
    assert_eq!(show(&builder.finish()), "");
}

fn any_entry() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["d", "f", "l", "h"]);
    let target = || prop::sample::select(vec!["a", "b", "a/b", "a/a", "b/a/b", ".."]);
    let whiteout = prop::sample::select(vec!["a/.wh.b", ".wh.a", "a/.wh..wh..opq"]);
    let name = prop_oneof![2 => target(), 1 => whiteout];
    (kind, name, target()).prop_map(|(kind, name, target)| format!("{kind} {name} {target}"))
}

proptest! {
    #[test]
    fn every_name_and_link_of_a_tree_is_counted(layers in prop::collection::vec(prop::collection::vec(any_entry(), 0..8), 0..4)) {
        let layers: Vec<_> = layers.iter().map(|lines| lines.join(",")).collect();
        let Ok(tree) = build(&layers.iter().map(String::as_str).collect::<Vec<_>>()) else { return Ok(()) };
        let mut links = vec![0; tree.node_count() as usize];
        let mut firsts = 0;
        for (id, node) in tree.nodes() {
            let names: Vec<_> = tree.children(id).map(|child| child.name).collect();
            prop_assert!(names.is_sorted());
            prop_assert!(node.kind.is_directory() || names.is_empty());
            for child in tree.children(id) {
                links[child.node.0 as usize] += 1;
                firsts += u32::from(tree.is_first_name(&child));
                prop_assert!(id < child.node || !tree.node(child.node).kind.is_directory());
            }
        }
        links[0] = 1;
        prop_assert_eq!(tree.nodes().map(|(_, node)| node.links).collect::<Vec<_>>(), links);
        prop_assert_eq!(firsts + 1, tree.node_count());
    }

    #[test]
    fn a_layer_of_whiteouts_hides_everything(lines in prop::collection::vec(any_entry(), 0..8)) {
        if let Ok(tree) = build(&[&lines.join(","), "f .wh.a, f .wh.b"]) {
            prop_assert_eq!(show(&tree), "");
        }
    }
}

fn diffs(layers: &[&str]) -> Result<Vec<Tree>, Invalid> {
    let mut diffs = Diffs::new(Limits::default(), Marks::Trusted);
    layers.iter().map(|lines| diffs.next(&layer(lines))).collect()
}

/// Writes a tree as [`show`] does, `?` for whiteouts and `*` for opaque directories.
fn show_diff(tree: &Tree) -> String {
    let mut paths = Vec::new();
    for (id, node) in tree.nodes().skip(1) {
        let mut text = tree.path(id).join("/");
        match &node.kind {
            Kind::CharDevice(_) => text.push('?'),
            Kind::Directory(_) => text.push('/'),
            _ => {}
        }
        if node.metadata.xattrs.iter().any(|xattr| &*xattr.name == "trusted.overlay.opaque") {
            text.push('*');
        }
        paths.push(text);
    }
    paths.sort();
    paths.join(" ")
}

#[test]
fn a_single_layer_keeps_what_it_hides() {
    let shown = |lines: &str| show_diff(&diffs(&["d a, d a/b, f a/c x", lines]).unwrap()[1]);
    assert_eq!(shown("f a/.wh.c"), "a/ a/c?");
    assert_eq!(shown("f a/c y, f a/.wh.c"), "a/ a/c");
    assert_eq!(shown("f a/.wh.b, d a/b, f a/b/x"), "a/ a/b/* a/b/x");
    assert_eq!(shown("f a/.wh..wh..opq, f a/n x"), "a/* a/n");
    assert_eq!(shown("f n/.wh.gone"), "n/ n/gone?");
    assert_eq!(shown("f a x, f a/.wh.c"), "a");
    assert_eq!(shown("f .wh.a"), "a?");
    assert_eq!(shown("f .wh..wh.aufs, f a/.wh..wh.plnk/x"), "");
}

#[test]
fn a_directory_without_an_entry_is_what_it_was_below() {
    let trees = diffs(&["d ., d a, d a/b", "f a/b/c x, f n/x x", "f a/.wh..wh..opq"]).unwrap();
    let mode = |tree: &Tree, path: &str| {
        let found = tree.nodes().find(|(id, _)| tree.path(*id).join("/") == path).unwrap();
        (found.1.metadata.mode, found.1.metadata.uid)
    };
    for path in ["", "a", "a/b"] {
        assert_eq!(mode(&trees[1], path), (0o711, 1), "{path}");
    }
    assert_eq!(mode(&trees[1], "n"), (0o755, 0));
    assert_eq!(mode(&trees[2], "a"), (0o711, 1));
    assert_eq!(show_diff(&trees[2]), "a/*");
    assert_eq!(mode(&diffs(&["f x"]).unwrap()[0], ""), (0o555, 0), "as containers-storage has it");
}

#[test]
fn a_hard_link_out_of_its_layer_is_refused() {
    assert!(diffs(&["f a x", "h b a"]).is_err());
    assert!(diffs(&["f a x", "f a x, h b a"]).is_ok());
}
