//! Reads everything in a directory that is served, and says what is damaged.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;

use server::scrub::{self, Report};
use server::{Purpose, Repositories};

use crate::args::Serve;
use crate::exit::code;
use crate::output::{print, print_text};
use crate::ui::json::to_json;
use crate::ui::words::{Bytes, count};

pub(super) fn run(args: &Serve) -> anyhow::Result<ExitCode> {
    let repositories = Repositories::open(&args.directory, Purpose::Read)?;
    let jobs = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let report = scrub::scrub(&repositories, jobs)?;
    match args.json {
        true => print(&to_json(&report)?)?,
        false => print_text(&text(&report))?,
    }
    Ok(if report.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(code::CORRUPT) })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for damaged in &report.damaged {
        let _ = writeln!(text, "{}: {} is damaged", damaged.repository, damaged.digest);
    }
    let repositories = count(report.repositories, "repository", "repositories");
    let blobs = count(report.blobs, "blob", "blobs");
    let _ = writeln!(text, "checked {repositories}, {blobs}, {}", Bytes(report.bytes));
    text.push_str(match report.damaged.is_empty() {
        true => "nothing is damaged\n",
        false => "what is damaged is not served; pushing it again mends it\n",
    });
    text
}
