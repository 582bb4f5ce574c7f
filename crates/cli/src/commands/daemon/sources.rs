//! The images whose content is missing, opened when something of them is needed.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chunked::{Abilities, BlobRange, Link, Ranges};
use mount::fetch::{Place, Supply};
use registry::{Descriptor, ImageSource, MediaType, Operand, transport};
use store::LayerRecord;

use super::place;
use crate::access::access;

/// What is assumed of a place that cannot be reached.
const UNKNOWN: Abilities = Abilities {
    ranges: Ranges::One,
    parallelism: 4,
    link: Link { is_known: false, ..Link::new(Duration::from_millis(20), 1e7) },
};

type Image = Arc<dyn ImageSource>;

/// Images by where they are.
#[derive(Default)]
pub(in crate::commands) struct Sources {
    /// Each behind a lock of its own: who waits for one registry does not wait for another.
    open: Mutex<HashMap<Place, Arc<Mutex<Option<Image>>>>>,
}

impl Sources {
    /// Takes an image that is open already.
    pub(in crate::commands) fn with(place: &Place, image: Arc<dyn ImageSource>) -> Self {
        let sources = Self::default();
        *sources.slot(place).lock().unwrap_or_else(PoisonError::into_inner) = Some(image);
        sources
    }

    fn slot(&self, place: &Place) -> Arc<Mutex<Option<Image>>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(open.entry(place.clone()).or_default())
    }

    fn image(&self, place: &Place) -> io::Result<Image> {
        let slot = self.slot(place);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = &*slot {
            return Ok(Arc::clone(image));
        }
        let image: Image = Arc::from(open(place)?);
        Ok(Arc::clone(slot.insert(image)))
    }

    /// Opens an image anew when it is needed next: with the credentials that there are then.
    fn forget(&self, place: &Place) {
        *self.slot(place).lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn open(place: &Place) -> io::Result<Box<dyn ImageSource>> {
    let Ok(Operand::Image(reference)) = place.reference.parse() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` is no image", place.reference),
        ));
    };
    let access = access(&place::arguments(place)).map_err(|error| io::Error::other(format!("{error:#}")))?;
    Ok(transport::open(&reference, &access)?)
}

fn descriptor(layer: &LayerRecord) -> Descriptor {
    Descriptor::new(MediaType::from(String::new()), layer.blob, layer.blob_len)
}

impl Supply for Sources {
    fn abilities(&self, place: &Place, layer: &LayerRecord) -> Abilities {
        let Ok(image) = self.image(place) else { return UNKNOWN };
        image.expect_blob(&descriptor(layer)).map_or(UNKNOWN, |blob| blob.abilities())
    }

    fn read(
        &self,
        place: &Place,
        layer: &LayerRecord,
        ranges: &[BlobRange],
        take: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()> {
        let image = self.image(place)?;
        let blob = image.expect_blob(&descriptor(layer)).map_err(io::Error::from)?;
        let read = blob.read_ranges(ranges).and_then(|mut body| take(&mut body));
        if matches!(&read, Err(error) if error.kind() == io::ErrorKind::PermissionDenied) {
            self.forget(place);
        }
        read
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}
