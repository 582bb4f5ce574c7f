//! Removes what a check found to be bad, so that the next pull fetches it again.

use serde::Serialize;

use super::{Findings, ImageProblem, LayerProblem};
use crate::error::Error;
use crate::exclusive::Exclusive;
use crate::index;
use crate::layers::LayerState;
use crate::store::Store;

/// What was done about findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Repairs {
    /// Objects that were removed.
    pub objects_removed: u64,
    /// Layers that were removed.
    pub layers_removed: u64,
    /// Layers that are not called complete any more.
    pub layers_downgraded: u64,
    /// Images that were removed, as their documents are damaged.
    pub images_removed: u64,
    /// Whether the dedup index was made anew.
    pub index_rebuilt: bool,
}

/// Removes what is bad, and takes back what was said of layers that need it.
///
/// # Errors
/// Those of the file system.
pub fn repair(store: &Exclusive, findings: &Findings) -> Result<Repairs, Error> {
    repair_with(store, findings)
}

pub(crate) fn repair_with(store: &Store, findings: &Findings) -> Result<Repairs, Error> {
    let mut repairs = Repairs::default();
    // Layers first: at no moment is one called complete that is known not to be.
    for bad in &findings.bad_layers {
        match bad.problem {
            LayerProblem::Damaged(_) => {
                repairs.layers_removed += u64::from(store.layers().remove(&bad.toc_digest)?);
            }
            LayerProblem::Lacks(_) => {
                let record = store.layers().get(&bad.toc_digest)?;
                if let Some(record) = record.filter(|record| record.state > LayerState::Indexed) {
                    store.layers().set_state(&record, LayerState::Indexed)?;
                    repairs.layers_downgraded += 1;
                }
            }
        }
    }
    for bad in &findings.bad_objects {
        repairs.objects_removed += u64::from(store.objects().remove(&bad.digest)?);
    }
    for bad in &findings.bad_images {
        if let ImageProblem::Document(_) = bad.problem {
            repairs.images_removed += u64::from(store.images().remove(&bad.name)?);
        }
    }
    if findings.bad_index || repairs.objects_removed > 0 {
        index::rebuild(store)?;
        repairs.index_rebuilt = true;
    }
    store.sync()?;
    Ok(repairs)
}
