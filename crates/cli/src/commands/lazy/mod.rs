//! Images that are used before they are here.

mod detach;
mod prepare;
mod record;
mod release;
mod shared_profile;
mod wait;

pub(crate) use detach::run as detach;
pub(super) use prepare::{Ready, prepare, prepare_chosen, resume};
pub(crate) use record::run as record;
pub(super) use release::release;
pub(crate) use wait::run as wait;

use std::path::Path;

use store::{Image, Store};

use crate::image_name;

/// Finds an image by its name, or by where it is mounted.
fn find(store: &Store, subject: &str) -> anyhow::Result<Image> {
    if let Ok(directory) = Path::new(subject).canonicalize()
        && let Some(record) = store.mounts().get(&directory)?
    {
        return Ok(record.image);
    }
    Ok(image_name::find(store.images(), subject)?)
}
