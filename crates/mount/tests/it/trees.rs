//! Trees to write.

use chunked::{BlobRange, Content, ContentDigest, Entry, EntryKind, Timestamp};
use store::tree::{Builder, Limits, Tree};

/// Merges layers; `None` when they do not make a tree.
pub(crate) fn merge(layers: Vec<Vec<Entry>>) -> Option<Tree> {
    let mut builder = Builder::new(Limits::default());
    layers.into_iter().try_for_each(|layer| builder.layer(layer)).ok()?;
    Some(builder.finish())
}

/// Merges layers that make a tree.
pub(crate) fn tree(layers: Vec<Vec<Entry>>) -> Tree {
    merge(layers).unwrap()
}

/// An entry with a mode, an owner and a time.
pub(crate) fn entry(kind: EntryKind, name: &str) -> Entry {
    let mut entry = Entry::new(kind, name);
    (entry.mode, entry.uid, entry.gid) = (0o751, 1000, 70_000);
    entry.modified = Some(Timestamp { seconds: 1_700_000_000, nanoseconds: 123_456_789 });
    entry
}

/// A file whose content is somewhere else.
pub(crate) fn file(name: &str, digest: ContentDigest, len: u64) -> Entry {
    let mut entry = entry(EntryKind::Regular, name);
    entry.size = len;
    let range = BlobRange::saturating(0, 0);
    entry.content = Some(Content { digest: Some(digest), range, chunks: Vec::new() });
    entry
}

/// A symbolic link.
pub(crate) fn symlink(name: &str, target: &str) -> Entry {
    let mut entry = entry(EntryKind::Symlink, name);
    entry.link_name = target.to_owned();
    entry.mode = 0o777;
    entry
}

/// Two layers with everything that an image may have.
pub(crate) fn everything() -> Tree {
    let digest = |text: &str| ContentDigest::of(text.as_bytes());
    let mut lower = vec![
        entry(EntryKind::Directory, "etc"),
        file("etc/hostname", digest("host\n"), 5),
        file("etc/gone", digest("gone"), 4),
        entry(EntryKind::Directory, "opaque"),
        file("opaque/below", digest("below"), 5),
        entry(EntryKind::Regular, "empty"),
        symlink("link", "etc/hostname"),
        symlink("long-link", &"x/".repeat(2000)),
        symlink("longest-link", &"y".repeat(4095)),
        entry(EntryKind::Fifo, "pipe"),
        file(&"n".repeat(255), digest("long name"), 9),
        file("!before-dots", digest("!"), 1),
        file("huge", digest("huge"), (1 << 43) + 1),
        file("early", digest("early"), 5),
    ];
    let mut hard = entry(EntryKind::Hardlink, "etc/hostname-2");
    hard.link_name = "etc/hostname".to_owned();
    lower.push(hard);
    for (kind, name) in [(EntryKind::CharDevice, "null"), (EntryKind::BlockDevice, "disk")] {
        let mut device = entry(kind, name);
        (device.dev_major, device.dev_minor) = (4095, 0xfffff);
        lower.push(device);
    }
    lower.last_mut().unwrap().dev_minor = 3;
    if let Some(early) = lower.iter_mut().find(|entry| entry.name == "early") {
        early.modified = Some(Timestamp { seconds: -1, nanoseconds: 999_999_999 });
        early.mode = 0o6755;
        let xattrs = [
            ("user.empty", vec![]),
            ("security.capability", vec![1, 0, 0, 2, 0, 4, 0, 0]),
            ("trusted.t", vec![7]),
        ];
        early.xattrs.extend(xattrs.map(|(name, value)| (name.to_owned(), value)));
    }
    let upper = vec![
        entry(EntryKind::Regular, "etc/.wh.gone"),
        entry(EntryKind::Regular, "opaque/.wh..wh..opq"),
        file("opaque/above", digest("above"), 5),
    ];
    tree(vec![lower, upper])
}

/// A directory with that many files, a third of them links.
pub(crate) fn crowd(count: usize) -> Tree {
    let content = |number: usize| ContentDigest::of(&(number % 1000).to_le_bytes());
    let entries = (0..count).map(|number| match number % 3 {
        0 => symlink(&format!("crowd/a-name-{number}"), "target"),
        _ => file(&format!("crowd/a-name-{number}"), content(number), 8),
    });
    tree(vec![entries.collect()])
}
