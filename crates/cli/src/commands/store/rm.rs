//! Removes images from the store.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context;

use crate::args::Rm;
use crate::image_name;
use crate::output::print_text;

/// Looks for all images before the first is removed.
pub(crate) fn run(args: &Rm) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let cannot = |text: &str| format!("cannot remove `{text}`");
    let find = |text: &String| image_name::find_names(store.images(), text).with_context(|| cannot(text));
    let images = args.images.iter().map(find).collect::<anyhow::Result<Vec<_>>>()?;
    let mut text = String::new();
    for image in images.into_iter().flatten() {
        if store.images().remove(&image.name).with_context(|| cannot(&image.name))? {
            let _ = writeln!(text, "removed {}", image.name);
        }
    }
    print_text(&text)?;
    Ok(ExitCode::SUCCESS)
}
