//! How far a command is: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chunked::convert::Progress as _;
use chunked::{Abilities, BlobRange, RangeSource, Traffic};
use indicatif::{ProgressBar, ProgressStyle};

use super::say;
use super::words::{Bytes, Percent};
use crate::args::Form;

/// Between two lines of a log.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Tells how much of one input has been read.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Says nothing.
    Quiet,
    /// Draws a bar.
    Bar(ProgressBar),
    /// Writes lines.
    Lines(Lines),
}

/// Writes a line every ten seconds.
#[derive(Debug)]
pub(crate) struct Lines {
    name: String,
    whole: Option<AtomicU64>,
    read: AtomicU64,
    last: Mutex<Instant>,
}

impl Progress {
    /// Starts with nothing read of `whole` bytes.
    pub(crate) fn start(name: impl ToString, whole: Option<u64>, form: Form) -> Self {
        match () {
            () if form.quiet => Self::Quiet,
            () if io::stderr().is_terminal() => Self::Bar(bar(name.to_string(), whole)),
            () => Self::Lines(Lines {
                name: name.to_string(),
                whole: whole.map(AtomicU64::new),
                read: AtomicU64::new(0),
                last: Mutex::new(Instant::now()),
            }),
        }
    }

    /// Says that there is more to read than was known.
    pub(crate) fn more(&self, bytes: u64) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => bar.inc_length(bytes),
            Self::Lines(lines) => {
                if let Some(whole) = &lines.whole {
                    whole.fetch_add(bytes, Ordering::Relaxed);
                }
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl chunked::convert::Progress for Progress {
    fn read(&self, blob_len: u64) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => bar.inc(blob_len),
            Self::Lines(lines) => lines.read(blob_len),
        }
    }
}

/// A blob whose reading is told to a [`Progress`].
pub(crate) struct Metered<'a, S: ?Sized> {
    blob: &'a S,
    progress: &'a Progress,
}

impl<'a, S: ?Sized> Metered<'a, S> {
    pub(crate) fn new(blob: &'a S, progress: &'a Progress) -> Self {
        Self { blob, progress }
    }
}

impl<S: RangeSource + ?Sized> RangeSource for Metered<'_, S> {
    fn blob_len(&self) -> u64 {
        self.blob.blob_len()
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.blob.read_range(range)?;
        Ok(Box::new(MeteredRead { bytes, progress: self.progress }))
    }

    fn read_ranges(&self, ranges: &[BlobRange]) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.blob.read_ranges(ranges)?;
        Ok(Box::new(MeteredRead { bytes, progress: self.progress }))
    }

    fn abilities(&self) -> Abilities {
        self.blob.abilities()
    }

    fn traffic(&self) -> Traffic {
        self.blob.traffic()
    }
}

struct MeteredRead<'a> {
    bytes: Box<dyn Read + Send + 'a>,
    progress: &'a Progress,
}

impl Read for MeteredRead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.progress.read(count as u64);
        Ok(count)
    }
}

impl Lines {
    fn read(&self, blob_len: u64) {
        let read = self.read.fetch_add(blob_len, Ordering::Relaxed).saturating_add(blob_len);
        let Ok(mut last) = self.last.try_lock() else { return };
        if last.elapsed() >= LINE_INTERVAL {
            *last = Instant::now();
            say(&self.line(read));
        }
    }

    fn line(&self, read: u64) -> String {
        match &self.whole {
            Some(whole) => {
                let whole = whole.load(Ordering::Relaxed);
                let percent = Percent { part: read, whole };
                format!("{}: read {} of {}, {percent}\n", self.name, Bytes(read), Bytes(whole))
            }
            None => format!("{}: read {}\n", self.name, Bytes(read)),
        }
    }
}

fn bar(name: String, whole: Option<u64>) -> ProgressBar {
    const WITH_END: &str = "{prefix} {wide_bar} {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
    const WITHOUT_END: &str = "{prefix} {spinner} {binary_bytes}  {binary_bytes_per_sec}  {elapsed}";
    let (bar, template) = match whole {
        Some(whole) => (ProgressBar::new(whole), WITH_END),
        None => (ProgressBar::no_length(), WITHOUT_END),
    };
    // Both templates are constants that parse.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_the_layer_and_how_far_it_is() {
        let line = |whole: Option<u64>| {
            let last = Mutex::new(Instant::now());
            let whole = whole.map(AtomicU64::new);
            Lines { name: "a.tar".to_owned(), whole, read: AtomicU64::new(0), last }.line(3 << 20)
        };
        assert_eq!(line(Some(12 << 20)), "a.tar: read 3.0 MiB of 12.0 MiB, 25.0 %\n");
        assert_eq!(line(None), "a.tar: read 3.0 MiB\n");
    }

    #[test]
    fn templates_parse() {
        assert!(!format!("{:?}", bar(String::new(), Some(1))).is_empty());
    }
}
