//! Mirrors images: chosen platforms, the original index byte for byte, and an account of what is missing.
//!
//! ```text
//!             survey        beside            plan                       run
//! source  ->  documents  +  what is said  ->  blobs, documents, sums  ->  blobs, then documents, then the name
//!             select         about them        (asks the destination)
//! ```
//!
//! An index that lists what is not there is *sparse*. Its bytes, and so its digest and all signatures of it, stay; a
//! record beside it, an [`Intent`], says what is missing on purpose. [`completeness`] compares the two.

pub mod completeness;
pub mod list;

mod advice;
mod beside;
mod budget;
mod check;
mod crew;
mod decide;
mod destination;
mod intent;
mod plan;
mod refusal;
mod run;
mod select;
mod survey;
mod trim;
mod upstream;

use std::num::NonZeroUsize;

pub use decide::plan;
pub use destination::{Destination, Placed};
pub use intent::{Entry, INTENT, Intent, read as intents};
pub use plan::{BlobFate, BlobStep, Child, ChildFate, DocumentStep, Plan, Role, Tally, Totals, Trimmed};
pub use refusal::{Missing, Refusal};
pub use run::{Done, NoProgress, Progress, run};
pub use select::{Children, Encoding, InvalidEncoding, NoPlatform, Selection, Why};
pub use upstream::Completed;

use crate::platform::Selector;

/// Requests at once, unless told otherwise: as many as browsers send to a host.
const JOBS: NonZeroUsize = NonZeroUsize::new(6).unwrap();

/// What to mirror, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which children are wanted.
    pub selection: Selection,
    /// Platforms without which nothing is done.
    pub require: Vec<Selector>,
    /// What becomes of the index.
    pub shape: Shape,
    /// Whether the purpose is recorded beside the index.
    pub record: Record,
    /// Whether a registry that says nothing about sparse indexes is given a small one first.
    pub trial: Trial,
    /// Requests at once.
    pub jobs: NonZeroUsize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            require: Vec::new(),
            shape: Shape::default(),
            record: Record::default(),
            trial: Trial::default(),
            jobs: JOBS,
        }
    }
}

/// What becomes of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Shape {
    /// It stays, byte for byte.
    #[default]
    Exact,
    /// A new one lists what is mirrored.
    Trimmed,
}

/// Whether the purpose of a sparse mirror is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Record {
    /// It is.
    On {
        /// Who wants it so.
        by: Option<String>,
    },
    /// It is not.
    Off,
}

impl Default for Record {
    fn default() -> Self {
        Self::On { by: None }
    }
}

/// Whether a registry is given a small sparse index first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Trial {
    /// It is, under no tag, and it is removed where the registry allows.
    On,
    /// It is not.
    #[default]
    Off,
}
