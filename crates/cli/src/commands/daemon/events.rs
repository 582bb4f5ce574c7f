//! What a daemon tells people, a line each.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chunked::ContentDigest;
use containers_storage::AdditionalStore;
use mount::fetch::{Events, Failure};
use store::gc::Evicted;
use store::{LayerRecord, Store};

use crate::commands::publish::place;
use crate::ui;
use crate::ui::words::Bytes;

/// Failed reads are told of so often: a registry that is down fails thousands of them.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes to standard error, and takes from engines what turns out to be wrong in the store at this path.
#[derive(Debug)]
pub(in crate::commands) struct Log(pub(in crate::commands) PathBuf);

impl Events for Log {
    fn read_failed(&self, content: &ContentDigest, failure: &Failure) {
        static LAST: Mutex<Option<Instant>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|at| at.elapsed() > INTERVAL) {
            *last = Some(Instant::now());
            ui::say(&format!("cannot read {content}: {failure}\n"));
        }
    }

    fn layer_failed(&self, layer: &LayerRecord, failure: &Failure) {
        ui::say(&format!("cannot go on with layer {}: {failure}; it is tried again\n", layer.blob));
    }

    fn proven(&self, layer: &LayerRecord) {
        ui::say(&format!("layer {} is here: {}\n", layer.blob, layer.state));
    }

    fn quarantined(&self, layer: &LayerRecord, why: &str) {
        ui::say(&format!("QUARANTINE: layer {} is not what its image says: {why}\n", layer.blob));
        let Ok(additional) = AdditionalStore::open(&place(&self.0)) else { return };
        let withdrawn = Store::open(&self.0)
            .map_err(anyhow::Error::from)
            .and_then(|store| Ok(additional.withdraw(&store, &layer.toc_digest, layer.diff_id)?));
        match withdrawn {
            Ok(gone) => {
                gone.iter().for_each(|id| ui::say(&format!("engines do not find layer {id} any more\n")))
            }
            Err(error) => ui::say(&format!("engines still find it: {error:#}\n")),
        }
    }
}

/// Says what went to make room.
pub(super) fn made_room(made: &anyhow::Result<Option<Evicted>>) {
    match made {
        Ok(Some(Evicted { contents, disk_len, .. })) => {
            ui::say(&format!("made room: {contents} file contents, {}, are gone\n", Bytes(*disk_len)));
        }
        Ok(None) => ui::say("there is no room, and others use the store\n"),
        Err(error) => ui::say(&format!("cannot make room: {error:#}\n")),
    }
}
