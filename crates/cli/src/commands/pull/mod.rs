//! Brings images into the store.

mod image;
mod receipt;
mod text;

use std::process::ExitCode;

use anyhow::Context;
use chunked::Class;
use registry::transport;
use store::pull;

pub(crate) use image::choose;
pub(super) use image::{Image, is_chunked};
use receipt::Receipt;

use super::store::sync;
use crate::access::{access, remember};
use crate::interrupt::Interrupt;
use crate::output::print;
use crate::request::Pull;
use crate::seeds;
use crate::ui;
use crate::ui::json::to_json;
use crate::ui::pull_progress::PullProgress;

/// Resolves every reference, brings in the layers of all of them together, and names the images.
pub(crate) fn run(request: &Pull) -> anyhow::Result<ExitCode> {
    let store = request.store.create()?;
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let seeds = seeds::open(&request.seeds, &store)?;
    let access = access(&request.registry)?;
    let sources: Vec<_> = request
        .references
        .iter()
        .map(|reference| transport::open(reference, &access).with_context(|| cannot(reference)))
        .collect::<anyhow::Result<_>>()?;
    let mut images = Vec::new();
    for (source, reference) in sources.iter().zip(&request.references) {
        let image = Image::choose(&**source, &store, request.platform.as_ref());
        images.push(image.with_context(|| cannot(reference))?);
    }
    let mut tasks = Vec::new();
    for image in &images {
        image.add_tasks(&interrupt, &mut tasks)?;
    }
    let progress = PullProgress::start(request.form);
    let options = pull::Options {
        layers: Some(request.layers),
        fetch: request.fetch,
        seeds,
        sync: request.sync,
        ..pull::Options::default()
    };
    let layers = pull::pull(&store, &tasks, &options, &progress);
    progress.finish();
    remember(&access);
    let layers = match layers {
        Err(error) => {
            interrupt.die_if_asked();
            return Err(explain(error, &images));
        }
        Ok(layers) => layers,
    };
    if request.sync {
        store.sync()?;
    }
    let records: Vec<_> = layers.iter().map(|(record, _)| record.clone()).collect();
    for image in &images {
        image.put(&store, &tasks, &records)?;
    }
    if !request.sync {
        sync::later(store.path());
    }
    let receipt = Receipt::of(&images, &tasks, &layers, &store);
    if request.form.json {
        print(&to_json(&receipt)?)?;
    } else if !request.form.quiet {
        ui::say(&text::of(&receipt));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which images could not be pulled and, of a blob that is missing, which platform it is of.
fn explain(error: store::Error, images: &[Image<'_>]) -> anyhow::Error {
    let names = images.iter().map(Image::name);
    let cannot = names.fold("cannot pull".to_owned(), |text, name| format!("{text} `{name}`"));
    let broken = match &error {
        store::Error::Layer { blob, .. } if error.class() == Class::Missing => {
            images.iter().find_map(|image| image.without(blob))
        }
        _ => None,
    };
    broken.map_or_else(|| error.into(), anyhow::Error::from).context(cannot)
}

fn cannot(reference: &registry::Reference) -> String {
    format!("cannot pull `{reference}`")
}
