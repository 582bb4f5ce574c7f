//! Finds what has to stay: the images, those that are mounted, and all they need.

use std::collections::BTreeSet;

use chunked::{BlobDigest, TocDigest};

use super::Kept;
use crate::chains::ChainId;
use crate::contents;
use crate::error::Error;
use crate::images::{Image, Listed};
use crate::store::Store;

pub(super) fn mark(store: &Store, served: &BTreeSet<TocDigest>) -> Result<Kept, Error> {
    let mut kept = Kept::default();
    for listed in store.images().listed()? {
        match listed {
            Listed::Image(image) => mark_image(store, &image, &mut kept)?,
            Listed::Other(digests) => mark_documents(store, digests, &mut kept),
        }
    }
    for mount in store.mounts().list()? {
        mark_image(store, &mount.image, &mut kept)?;
    }
    served.iter().try_for_each(|toc_digest| mark_layer(store, toc_digest, &mut kept))?;
    kept.contents.sort_unstable();
    kept.contents.dedup();
    Ok(kept)
}

fn mark_image(store: &Store, image: &Image, kept: &mut Kept) -> Result<(), Error> {
    // The index of an image names manifests of other platforms, which may have been pulled as well.
    mark_documents(store, vec![image.root.digest, image.manifest, image.config], kept);
    kept.chains.insert(ChainId::of(&image.layers));
    image.layers.iter().try_for_each(|toc_digest| mark_layer(store, toc_digest, kept))
}

fn mark_layer(store: &Store, toc_digest: &TocDigest, kept: &mut Kept) -> Result<(), Error> {
    if !kept.layers.insert(*toc_digest) {
        return Ok(());
    }
    // A layer that is not here needs nothing that is.
    let Some(record) = store.layers().get(toc_digest)? else { return Ok(()) };
    store.layers().visit_toc(&record, |entry| {
        kept.contents.extend(contents::of(&entry).map(|(digest, _)| digest));
    })?;
    Ok(())
}

/// Keeps documents, and all that they name.
fn mark_documents(store: &Store, mut waiting: Vec<BlobDigest>, kept: &mut Kept) {
    while let Some(digest) = waiting.pop() {
        if kept.documents.insert(digest) {
            waiting.extend(store.images().named_by(&digest));
        }
    }
}
