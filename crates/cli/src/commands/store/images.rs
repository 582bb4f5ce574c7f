//! Lists the images of the store.

use std::process::ExitCode;

use anyhow::Context;
use chunked::Class;
use serde::Serialize;
use store::{Image, LayerState, Store};

use crate::args::Images;
use crate::output::{print, print_text};
use crate::ui::json::to_json;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, short};

/// An image, and how much of it is here.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    image: Image,
    /// Bytes of the tars of its layers.
    tar_len: u64,
    /// That of the layer of which least is here; `None` when one is not here at all.
    state: Option<LayerState>,
}

pub(crate) fn run(args: &Images) -> anyhow::Result<ExitCode> {
    let store = args.listing.store.open()?;
    let list = || -> Result<Vec<Listed>, store::Error> {
        store.images().list()?.into_iter().map(|image| examine(&store, image)).collect()
    };
    let images = list().with_context(|| format!("cannot list the images in `{}`", store.path().display()))?;
    match args.listing.json {
        true => print(&to_json(&images)?)?,
        false => print_text(&table(&images))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn examine(store: &Store, image: Image) -> Result<Listed, store::Error> {
    let mut tar_len = 0_u64;
    let mut state = Some(LayerState::Proven);
    for toc_digest in &image.layers {
        let record = match store.layers().get(toc_digest) {
            // The next pull makes it anew.
            Err(error) if error.class() == Class::Corrupt => None,
            record => record?,
        };
        tar_len = tar_len.saturating_add(record.as_ref().map_or(0, |record| record.tar_len));
        state = state.min(record.map(|record| record.state));
    }
    Ok(Listed { image, tar_len, state })
}

fn table(images: &[Listed]) -> String {
    let mut table =
        Table::new("", [Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Left]);
    table.row(["image", "image ID", "platform", "layers", "size", "state"].map(str::to_owned));
    for Listed { image, tar_len, state } in images {
        table.row([
            image.name.clone(),
            short(&image.config),
            image.platform.clone(),
            image.layers.len().to_string(),
            Bytes(*tar_len).to_string(),
            word(*state).to_owned(),
        ]);
    }
    table.to_string()
}

fn word(state: Option<LayerState>) -> &'static str {
    match state {
        Some(LayerState::Proven) => "proven",
        Some(LayerState::Complete) => "complete",
        Some(LayerState::Indexed) => "indexed",
        None => "incomplete",
    }
}
