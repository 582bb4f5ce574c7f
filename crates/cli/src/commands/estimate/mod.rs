//! Says what a pull would cost, and why.

mod here;
mod layer;
mod open;
mod report;
mod text;

use std::process::ExitCode;

use anyhow::Context;
use registry::transport;

use here::Here;
use layer::Layers;
use report::{Image, LinkReport, Report};

use super::pull::choose;
use crate::access::access;
use crate::output::{print, print_text};
use crate::request::Estimate;
use crate::ui::json::to_json;

/// Reads manifests and TOCs, compares, and reports. Nothing is changed, not even in the store.
pub(crate) fn run(request: &Estimate) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot estimate `{}`", request.reference);
    let access = access(&request.registry)?;
    let source = transport::open(&request.reference, &access).with_context(cannot)?;
    let instance = choose(&*source, request.platform.as_ref()).with_context(cannot)?;
    let here = match &request.from {
        None => Here::store(&request.store, source.reference(), &instance)?,
        Some(old) => {
            let cannot = || format!("cannot compare with `{old}`");
            let source = transport::open(old, &access).with_context(cannot)?;
            let instance = choose(&*source, request.platform.as_ref()).with_context(cannot)?;
            Here::image(&*source, &instance).with_context(cannot)?
        }
    };
    let layers = Layers::new(&*source, &here, request.link).all(&instance);
    let (layers, link) = layers.with_context(cannot)?;
    let image = Image {
        name: request.reference.to_string(),
        platform: instance.platform.to_string(),
        manifest: instance.manifest.digest(),
    };
    let link = link.map(|link| LinkReport::new(&link, request.link.is_some()));
    let mut report = Report::new(image, here.compared, layers, link);
    if !request.plan {
        report.forget_plans();
    }
    match request.json {
        true => print(&to_json(&report)?)?,
        false => print_text(&text::of(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}
