//! What was unpacked, for people.

use std::fmt::Write as _;
use std::time::Duration;

use store::unpack::Skipped;

use super::Unpacked;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, Elapsed, count};

/// Things left out that are named.
const NAMED: usize = 3;

/// Says how many of each there are, and what is not there.
pub(super) fn of(unpacked: &Unpacked, elapsed: Duration) -> String {
    let Unpacked { image, directory, report, .. } = unpacked;
    let mut table = Table::new("  ", [Align::Left, Align::Right, Align::Right]);
    let rows = [
        ("files", report.files, Some(report.bytes)),
        ("cloned", report.cloned.files, Some(report.cloned.bytes)),
        ("copied", report.copied.files, Some(report.copied.bytes)),
        ("directories", report.directories, None),
        ("symbolic links", report.symlinks, None),
        ("hard links", report.hardlinks, None),
        ("devices, pipes", report.special, None),
    ];
    for (name, count, bytes) in rows.into_iter().filter(|(_, count, _)| *count > 0) {
        let bytes = bytes.map(|bytes| Bytes(bytes).to_string()).unwrap_or_default();
        table.row([name.to_owned(), count.to_string(), bytes]);
    }
    let mut text = format!("{image}: unpacked to {directory} in {}\n{table}", Elapsed(elapsed));
    if let Some(why) = &unpacked.not_mounted {
        let _ = writeln!(text, "  these are plain files, as nothing can be mounted: {why}");
    }
    report.skipped.iter().for_each(|skipped| text += &of_skipped(skipped));
    text
}

fn of_skipped(skipped: &Skipped) -> String {
    let named: Vec<_> = skipped.first.iter().take(NAMED).map(String::as_str).collect();
    let more = if skipped.count > named.len() as u64 { ", ..." } else { "" };
    let times = count(skipped.count, "time", "times");
    let mut text = String::new();
    let _ = writeln!(text, "left out {times}: {} ({}{more})", skipped.reason, named.join(", "));
    text
}
