//! Removes what nothing needs from a directory that is served at other times.

use std::process::ExitCode;

use server::gc::{self, Summary, Untagged};
use server::{Purpose, Repositories};

use crate::args::Serve;
use crate::output::{print, print_text};
use crate::ui::json::to_json;
use crate::ui::table::{Align, Table};
use crate::ui::words::Bytes;

pub(super) fn run(args: &Serve) -> anyhow::Result<ExitCode> {
    let repositories = Repositories::open(&args.directory, Purpose::Collect)?;
    let untagged = if args.untagged { Untagged::Remove } else { Untagged::Keep };
    let plan = gc::plan(&repositories, untagged)?;
    let (verb, summary) = match args.dry_run {
        true => ("would be removed", *plan.summary()),
        false => ("removed", plan.run(&repositories)?),
    };
    match args.json {
        true => print(&to_json(&summary)?)?,
        false => print_text(&text(verb, &summary))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(verb: &str, summary: &Summary) -> String {
    if summary.is_empty() {
        return "there is nothing to remove\n".to_owned();
    }
    let mut table = Table::new("", [Align::Left, Align::Right]);
    table.row([verb.to_owned(), "number".to_owned()]);
    let rows = [
        ("empty repositories", summary.repositories),
        ("manifests and indexes", summary.manifests),
        ("blobs", summary.blobs),
        ("leftovers of crashes", summary.leftovers),
    ];
    for (what, number) in rows.into_iter().filter(|(_, number)| *number > 0) {
        table.row([what.to_owned(), number.to_string()]);
    }
    format!(
        "{table}{} {}\n",
        Bytes(summary.bytes),
        if verb == "removed" { "freed" } else { "would be freed" }
    )
}
