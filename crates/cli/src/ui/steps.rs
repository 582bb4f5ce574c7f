//! How many of several things are done.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::say;
use crate::args::Form;

/// Between two lines of a log.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Counts things that are done: a bar on a terminal, a line now and then elsewhere. Dropping it takes the bar away.
#[derive(Debug)]
pub(crate) struct Steps {
    name: &'static str,
    count: u64,
    done: Cell<u64>,
    last: Cell<Instant>,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines,
}

impl Steps {
    /// Starts with nothing done of `count` things.
    pub(crate) fn start(name: &'static str, count: u64, form: Form) -> Self {
        let shown = match () {
            () if form.quiet => Shown::Nothing,
            () if io::stderr().is_terminal() => Shown::Bar(bar(name, count)),
            () => Shown::Lines,
        };
        Self { name, count, done: Cell::new(0), last: Cell::new(Instant::now()), shown }
    }

    /// One more is done.
    pub(crate) fn done(&self) {
        self.done.set(self.done.get().saturating_add(1));
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.inc(1),
            Shown::Lines if self.last.get().elapsed() >= LINE_INTERVAL => {
                self.last.set(Instant::now());
                say(&format!("{}: {} of {}\n", self.name, self.done.get(), self.count));
            }
            Shown::Lines => {}
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar(name: &'static str, count: u64) -> ProgressBar {
    const TEMPLATE: &str = "{prefix} {wide_bar} {pos} of {len}  {eta} left";
    // The template is a constant that parses.
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count).with_style(style).with_prefix(name)
}
