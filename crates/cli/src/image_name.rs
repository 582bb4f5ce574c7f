//! What images are called in the store.

use registry::{Operand, Reference};
use store::{Error, Image, Images};

/// Returns the name under which an image from that place is stored: `docker.io/library/debian:12`, or the whole
/// reference where it is no name in a registry.
pub(crate) fn stored_name(reference: &Reference) -> String {
    match reference {
        Reference::Registry(name) => name.to_string(),
        other => other.to_string(),
    }
}

/// Finds an image by what the user typed: a name, with whatever may be left out of it, or the start of a digest.
pub(crate) fn find(images: &Images, text: &str) -> Result<Image, Error> {
    let full_name = match text.parse() {
        Ok(Operand::Image(reference)) => Some(stored_name(&reference)),
        _ => None,
    };
    let error = match images.find(text) {
        Err(error @ Error::NoSuchImage { .. }) => error,
        found => return found,
    };
    match full_name.map(|name| images.find(&name)) {
        Some(Err(Error::NoSuchImage { .. })) | None => Err(error),
        Some(found) => found,
    }
}
