//! What the helper did: the journal, where there is one, and a file beside the store. Engines throw away what their helpers
//! write.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::id;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::args::StorePlace;
use crate::exit;
use crate::journal::{self, Priority};
use crate::ui::{self, harmless};

/// The file, in the store.
pub(crate) const LOG: &str = "helper.log";
/// What it is renamed to when it is long.
const OLD: &str = "helper.log.1";
/// How long it gets.
const LEN_MAX: u64 = 1 << 20;

/// Where the helper says what it does.
#[derive(Debug)]
pub(super) struct Log {
    /// `None` where there is no store.
    directory: Option<PathBuf>,
}

impl Log {
    /// Opens the log in a store. Where there is none, nothing is written: a directory with a file in it cannot become one.
    pub(super) fn open(store: &StorePlace) -> Self {
        Self { directory: store.path().ok().filter(|path| path.join("format").exists()) }
    }

    /// Writes down a failure, with its causes.
    pub(super) fn failure(&self, error: &anyhow::Error) {
        let causes: Vec<_> = error.chain().map(exit::words).collect();
        self.write(Priority::Warning, &causes.join(": "));
    }

    /// Writes a line.
    pub(super) fn say(&self, text: &str) {
        self.write(Priority::Info, text);
    }

    fn write(&self, priority: Priority, text: &str) {
        let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let line = format!("{time} {} {}\n", id(), text.replace('\n', " "));
        if journal::send(priority, &harmless(text)).is_err() {
            ui::say(&line);
        }
        let Some(directory) = &self.directory else { return };
        let path = directory.join(LOG);
        if fs::metadata(&path).is_ok_and(|file| file.len() > LEN_MAX) {
            let _ = fs::rename(&path, directory.join(OLD));
        }
        // Who cannot be told is not told: the engine shall not notice.
        if let Ok(mut file) = File::options().append(true).create(true).open(&path) {
            let _ = file.write_all(harmless(&line).as_bytes());
        }
    }
}
