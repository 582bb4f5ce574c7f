//! The entries of a TOC as a list, in the manner of `tar tv`.

use std::io::{self, Write};

use chunked::entry::{Entry, EntryKind, Timestamp};
use chunked::layer::ChunkedLayer;
use chunked::toc::Writer;
use time::OffsetDateTime;

use crate::ui::harmless;

/// Writes a line for each entry: type and mode, owner, size, chunks, time of modification (UTC), name.
pub(super) fn write(layer: &ChunkedLayer, out: &mut dyn Write) -> io::Result<()> {
    layer.toc.entries.iter().try_for_each(|entry| writeln!(out, "{}", line(entry)))
}

/// Writes the TOC as JSON, in the form that zstd:chunked has it, on one line without its end.
pub(super) fn write_json(layer: &ChunkedLayer, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = Writer::new(out)?;
    layer.toc.entries.iter().try_for_each(|entry| writer.entry(entry))?;
    writer.finish(layer.toc.trailer.tar_split.as_ref()).map(drop)
}

fn line(entry: &Entry) -> String {
    let owner = format!("{}/{}", entry.uid, entry.gid);
    let size = match entry.kind {
        EntryKind::CharDevice | EntryKind::BlockDevice => format!("{},{}", entry.dev_major, entry.dev_minor),
        _ => entry.size.to_string(),
    };
    let chunks = entry.content.as_ref().map_or("-".to_owned(), |content| content.chunks.len().to_string());
    let target = match entry.kind {
        EntryKind::Symlink => format!(" -> {}", entry.link_name),
        EntryKind::Hardlink => format!(" link to {}", entry.link_name),
        _ => String::new(),
    };
    let (mode, modified) = (mode(entry), entry.modified.map_or("-".to_owned(), date));
    // A name is one line, whatever it holds.
    let name = harmless(&format!("{}{target}", entry.name)).replace('\n', "\u{fffd}");
    format!("{mode} {owner:<9} {size:>10} {chunks:>5} {modified:<19} {name}")
}

/// Writes type and permissions as `ls -l` does.
fn mode(entry: &Entry) -> String {
    let kind = match entry.kind {
        EntryKind::Regular => '-',
        EntryKind::Hardlink => 'h',
        EntryKind::Symlink => 'l',
        EntryKind::CharDevice => 'c',
        EntryKind::BlockDevice => 'b',
        EntryKind::Directory => 'd',
        EntryKind::Fifo => 'p',
    };
    let bit = |bit: i64, letter| if entry.mode & bit != 0 { letter } else { '-' };
    let execute = |bit: i64, special: i64, [both, alone]: [char; 2]| match (
        entry.mode & bit != 0,
        entry.mode & special != 0,
    ) {
        (true, true) => both,
        (false, true) => alone,
        (true, false) => 'x',
        (false, false) => '-',
    };
    [
        kind,
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        execute(0o100, 0o4000, ['s', 'S']),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        execute(0o010, 0o2000, ['s', 'S']),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        execute(0o001, 0o1000, ['t', 'T']),
    ]
    .into_iter()
    .collect()
}

fn date(timestamp: Timestamp) -> String {
    match OffsetDateTime::from_unix_timestamp(timestamp.seconds) {
        Ok(t) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        ),
        Err(_) => timestamp.seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_written_as_ls_does() {
        let text = |kind, bits| mode(&Entry { mode: bits, ..Entry::new(kind, "x") });
        assert_eq!(text(EntryKind::Regular, 0o4755), "-rwsr-xr-x");
        assert_eq!(text(EntryKind::Directory, 0o41777), "drwxrwxrwt");
        assert_eq!(text(EntryKind::Fifo, 0o7000), "p--S--S--T");
    }

    #[test]
    fn names_stay_on_their_line() {
        let entry = Entry { link_name: "\u{1b}[2J".to_owned(), ..Entry::new(EntryKind::Symlink, "a\nb") };
        insta::assert_snapshot!(line(&entry), @"l--------- 0/0                0     - -                   a\u{fffd}b -> \u{fffd}[2J");
    }

    #[test]
    fn times_are_utc() {
        let text = |seconds| date(Timestamp { seconds, nanoseconds: 5 });
        assert_eq!([text(1_700_000_000), text(-1)], ["2023-11-14 22:13:20", "1969-12-31 23:59:59"]);
        assert_eq!(text(i64::MAX), "9223372036854775807");
    }
}
