//! Opens the layers of an image.

use std::panic::resume_unwind;
use std::thread;

use anyhow::Context;
use chunked::{Layer, Limits};
use registry::blob::Blob;
use registry::{Descriptor, ImageSource};
use store::pull::LAYERS_AT_ONCE;

/// A layer that was opened.
pub(super) struct Opened<'a> {
    pub(super) blob: Box<dyn Blob + 'a>,
    pub(super) layer: Layer,
}

/// Opens layers and hands them over in order, a few ahead.
pub(super) fn each<'a>(
    source: &'a dyn ImageSource,
    layers: &[&Descriptor],
    mut take: impl FnMut(&Descriptor, Opened<'a>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Each takes a few round trips.
    for some in layers.chunks(LAYERS_AT_ONCE.get()) {
        let opened: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|layer| scope.spawn(|| open(source, layer))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        for (layer, opened) in some.iter().zip(opened) {
            let taken = opened.and_then(|opened| take(layer, opened));
            taken.with_context(|| format!("cannot read layer {}", layer.digest))?;
        }
    }
    Ok(())
}

fn open<'a>(source: &'a dyn ImageSource, layer: &Descriptor) -> anyhow::Result<Opened<'a>> {
    let blob = source.blob(layer)?.ok_or_else(|| source.no_blob(layer))?;
    let lookup = |key: &str| layer.annotations.get(key).map(String::as_str);
    let layer = Layer::open(&*blob, lookup, &Limits::default())?;
    Ok(Opened { blob, layer })
}
