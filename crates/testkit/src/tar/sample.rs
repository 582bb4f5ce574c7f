//! Archives that many tests need.

use super::{Dialect, Member, Tar};
use crate::data;

/// Returns the members of a layer with one of everything that zstd:chunked can carry: files of several chunks, holes,
/// extended attributes, hard links, devices, long names, times with nanoseconds, whiteouts.
pub fn rich() -> Vec<Member> {
    let note = data::text(1, 700);
    vec![
        Member::dir("./"),
        Member::dir("./etc/").modified(1_700_000_000, 0),
        Member::file("./etc/hostname", "box\n").modified(1_700_000_000, 123_456_789),
        Member::file("./etc/empty", ""),
        Member::file("./etc/.wh.gone", ""),
        Member::dir("./etc/opaque/"),
        Member::file("./etc/opaque/.wh..wh..opq", ""),
        Member::file("./etc/note", &note).owner(1000, 100).owner_names("alice", "users").mode(0o4755),
        Member::hardlink("./etc/note.link", "./etc/note").owner(1000, 100),
        Member::symlink("./etc/note.sym", "../etc/note"),
        Member::file("./etc/attributes", "attributes\n")
            .xattr("user.plain", "value")
            .xattr("user.bytes", [0, 1, 0xfe, 0xff])
            .xattr("security.capability", [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Member::file("./etc/times", "times\n").accessed(1_600_000_000, 5).changed(1_600_000_001, 0),
        Member::file("./etc/old", "old\n").modified(-1, 0).dialect(Dialect::Gnu),
        Member::file("./etc/<&>\"\u{e9}\u{2028}\\", "escaped\n"),
        Member::char_device("./dev/null", 1, 3).mode(0o666),
        Member::block_device("./dev/loop0", 7, 0).mode(0o660).owner(0, 6),
        Member::fifo("./run/pipe").mode(0o600),
        Member::file("./data/chunked", chunked()),
        Member::file(
            "./data/ends-in-cut",
            [data::text(5, 900), data::cut(), data::text(6, 800), data::cut()].concat(),
        ),
        Member::file("./data/holes", holes()),
        Member::file("./data/zeros", [0; 2048]),
        Member::file("./data/ends-in-hole", [data::stream(3, 100), vec![0; 5000]].concat()),
        Member::file("./data/big-owner", "x").owner(1 << 31, (1 << 21) + 1),
        Member::file(format!("./{}pax", "long-name/".repeat(14)), "pax\n"),
        Member::file(format!("./{}gnu", "long-name/".repeat(14)), "gnu\n").dialect(Dialect::Gnu),
        Member::file(format!("./{}ustar", "long-name/".repeat(14)), "ustar\n").dialect(Dialect::Ustar),
        Member::symlink("./long-link", "target/".repeat(30)).dialect(Dialect::Gnu),
        Member::file("./base256", "base-256\n").base256().dialect(Dialect::Gnu).modified(1 << 34, 0),
    ]
}

/// Returns [`rich`] as an archive padded to 10 KiB records, as tar(1) writes.
pub fn rich_tar() -> Vec<u8> {
    Tar::new().members(rich()).finish_blocked(20)
}

/// Returns a payload that is cut in four without being large.
fn chunked() -> Vec<u8> {
    let pieces = (2..5).map(|seed| [data::text(seed, 1000 * seed as usize), data::cut()].concat());
    pieces.flatten().chain(data::stream(1, 500)).collect()
}

/// Returns a payload whose zero runs are just below, at and above the 1024 bytes that make a hole.
fn holes() -> Vec<u8> {
    let zeros = |len| vec![0; len];
    [b"A".repeat(10), zeros(1023), b"B".repeat(5), zeros(1024), b"C".to_vec(), zeros(5000)].concat()
}
