//! Checks images: their documents, and that their layers are here.

use super::{BadImage, Findings, ImageProblem, reason};
use crate::error::Error;
use crate::images::Image;
use crate::store::Store;

pub(super) fn check(store: &Store, findings: &mut Findings) -> Result<(), Error> {
    for image in store.images().list()? {
        findings.images += 1;
        if let Some(problem) = problem(store, &image)? {
            findings.bad_images.push(BadImage { name: image.name, problem });
        }
    }
    Ok(())
}

fn problem(store: &Store, image: &Image) -> Result<Option<ImageProblem>, Error> {
    for digest in [&image.root.digest, &image.manifest, &image.config] {
        let reason = match store.images().document(digest) {
            Ok(Some(_)) => continue,
            Ok(None) => format!("document {digest} is missing"),
            Err(error) => reason(&error),
        };
        return Ok(Some(ImageProblem::Document(reason)));
    }
    let mut lacking = 0;
    for toc_digest in &image.layers {
        lacking += u64::from(!store.layers().has(toc_digest)?);
    }
    Ok((lacking > 0).then_some(ImageProblem::LacksLayers(lacking)))
}
