//! What mounts are, for people.

use std::fmt::Write as _;
use std::time::Duration;

use mount::overlay::{Backing, Checked};
use mount::rootfs::{Source, Status};
use store::MountRecord;

use super::Report;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, Elapsed, count};

/// Says what was mounted, and what is unusual about how.
pub(super) fn mounted(report: &Report) -> String {
    let Report { image, mounted, no_daemon, seconds } = report;
    let elapsed = Elapsed(Duration::from_secs_f64(*seconds));
    let mut text = format!("{}: mounted on {} in {elapsed}\n", image.name, mounted.directory.display());
    if let Some(why) = no_daemon {
        let _ = writeln!(text, "  everything was pulled first: {why}");
    }
    if mounted.way.metacopy {
        text += "  this kernel needs metacopy=on: use what is changed through the mount only\n";
    }
    match &mounted.metadata {
        Source::Image { backing: Backing::File } => {}
        Source::Image { backing: Backing::LoopDevice } => {
            text += "  its metadata is read through a loop device\n";
        }
        Source::Tree { why } => {
            let _ = writeln!(text, "  its metadata is a directory of empty files: {why}");
        }
    }
    if mounted.checked == Checked::Reference {
        text += "  nothing of its content is here yet\n";
    }
    text
}

/// Says what was mounted again.
pub(super) fn restored(record: &MountRecord) -> String {
    format!("{}: mounted on {}\n", record.image.name, record.directory.display())
}

/// Lists mounts.
pub(super) fn mounts(mounts: &[Status]) -> String {
    let mut table = Table::new("", [Align::Left; 5]);
    table.row(["directory", "image", "changes", "state", "missing"].map(str::to_owned));
    for Status { record, is_mounted, progress } in mounts {
        let mut missing = String::new();
        if !progress.is_complete() {
            let files = count(progress.missing_files, "file", "files");
            let _ = write!(missing, "{files}, {}", Bytes(progress.missing_len));
        }
        table.row([
            record.directory.display().to_string(),
            record.image.name.clone(),
            record.writable.as_ref().map_or("none".to_owned(), |path| path.display().to_string()),
            if *is_mounted { "mounted" } else { "not mounted" }.to_owned(),
            if missing.is_empty() { "nothing".to_owned() } else { missing },
        ]);
    }
    table.to_string()
}
