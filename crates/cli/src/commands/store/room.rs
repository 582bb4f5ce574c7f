//! Keeping a store within its quota.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mount::daemon::{Room, ServedLayers};
use registry::{Operand, Reference};
use store::gc::{self, Evicted};
use store::{Exclusive, Image, Store, Wait};

use crate::config::Config;

/// How long others may go on to use the store. Readers wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);
const INTERVAL: Duration = Duration::from_millis(50);

/// Says how much room content may take: what an option says, otherwise what `config.toml` says.
pub(in crate::commands) fn room(quota: Option<u64>) -> anyhow::Result<Option<Room>> {
    let len = match quota {
        Some(len) => Some(len),
        None => Config::load(None)?.quota,
    };
    Ok(len.map(|len| Room { len, is_refetchable: is_in_registry }))
}

/// Removes what takes more room than it may. While others use the store nothing goes, and `None` is returned.
pub(in crate::commands) fn make_room(root: &Path, room: &Room) -> anyhow::Result<Option<Evicted>> {
    let start = Instant::now();
    loop {
        match Exclusive::take(Store::open_existing(root)?, Wait::No) {
            Ok(store) => {
                let served = ServedLayers::of(store.path())?;
                return Ok(Some(gc::evict(&store, &room.quota(&served))?));
            }
            Err(store::Error::InUse { .. }) if start.elapsed() < PATIENCE => sleep(INTERVAL),
            Err(store::Error::InUse { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells whether an image came from a registry. A layout may be gone tomorrow.
fn is_in_registry(image: &Image) -> bool {
    matches!(image.name.parse(), Ok(Operand::Image(Reference::Registry(_))))
}
