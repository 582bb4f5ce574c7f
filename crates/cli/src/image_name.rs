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
    by_any_name(images, text, |name| images.find(name))
}

/// Finds an image as [`find`] does, under each name that fits.
pub(crate) fn find_names(images: &Images, text: &str) -> Result<Vec<Image>, Error> {
    by_any_name(images, text, |name| images.find_names(name))
}

fn by_any_name<T>(images: &Images, text: &str, find: impl Fn(&str) -> Result<T, Error>) -> Result<T, Error> {
    let error = match find(text) {
        Err(error @ Error::NoSuchImage { .. }) => error,
        found => return found,
    };
    let Ok(Operand::Image(reference)) = text.parse() else { return Err(error) };
    match find(&stored_name(&reference)) {
        Err(Error::NoSuchImage { .. }) => match completed(images, text, &reference)? {
            Some(name) => find(&name),
            None => Err(error),
        },
        found => found,
    }
}

/// Finds the only image whose name is what was written, but for the host: where it was pulled from, `registries.conf` may have
/// said.
fn completed(images: &Images, text: &str, reference: &Reference) -> Result<Option<String>, Error> {
    let Reference::Registry(name) = reference else { return Ok(None) };
    let (Some(short), Some(tag)) = (name.short(), name.tag()) else { return Ok(None) };
    let end = format!("/{short}:{tag}");
    let names = images.list()?.into_iter().map(|image| image.name);
    let mut candidates: Vec<_> = names.filter(|name| name.ends_with(&end)).collect();
    candidates.dedup();
    match candidates.len() {
        0 | 1 => Ok(candidates.pop()),
        _ => Err(Error::SeveralImages { name: text.to_owned(), candidates }),
    }
}
