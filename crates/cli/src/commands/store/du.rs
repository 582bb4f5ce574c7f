//! Says how much space images take.

use std::process::ExitCode;

use anyhow::Context;
use store::usage::{self, Usage};

use crate::args::Du;
use crate::output::{print, print_text};
use crate::ui::json::to_json;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, count};

pub(crate) fn run(args: &Du) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let usage =
        usage::measure(&store).with_context(|| format!("cannot measure `{}`", store.path().display()))?;
    match args.json {
        true => print(&to_json(&usage)?)?,
        false => print_text(&text(&usage))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(usage: &Usage) -> String {
    let right = Align::Right;
    let mut images = Table::new("", [Align::Left, right, right, right, right]);
    images.row(["image", "files", "own", "shared", "missing"].map(str::to_owned));
    for image in &usage.images {
        let lens = [image.own_len, image.shared_len, image.missing_len].map(|len| Bytes(len).to_string());
        let [own, shared, missing] = lens;
        images.row([image.name.clone(), image.files.to_string(), own, shared, missing]);
    }
    let mut sums = Table::new("", [Align::Left, right, Align::Left]);
    let objects = count(usage.objects, "file", "files");
    let mut sum = |what: &str, len: u64, note: String| {
        sums.row([what.to_owned(), Bytes(len).to_string(), note]);
    };
    sum("all contents", usage.objects_len, objects);
    if usage.objects_shared_len > 0 {
        sum("shared with other files", usage.objects_shared_len, String::new());
    }
    sum("of no image", usage.unused_len, String::new());
    sum("partial contents", usage.partials_len, String::new());
    sum("TOCs and tar-splits", usage.layers_len, String::new());
    format!("{images}\n{sums}")
}
