//! Converts images: every layer to zstd:chunked, everything else as it was.
//!
//! [`crate::tree`] reads the documents of an image, `examine` looks at its blobs, `plan` decides what becomes of each of them, `run` does it and reports.
//! Configurations are copied byte for byte, so DiffIDs and image ID stay; only manifests and indexes are new.

mod examine;
mod layer;
mod memo;
mod plan;
mod progress;
mod report;
mod run;

use std::path::PathBuf;

pub use progress::{NoProgress, Progress};
pub use report::{Action, Content, LayerAction, LayerReport, ManifestReport, Origin, Report};

use crate::error::Error;
use crate::platform::Selector;
use crate::selection;
use crate::sink::ImageSink;
use crate::source::ImageSource;
use crate::tree::{self, Others};

/// What to convert, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The platforms to convert; all that are there if empty.
    pub platforms: Vec<Selector>,
    /// What becomes of the manifests that are converted.
    pub originals: Originals,
    /// What becomes of layers that are zstd:chunked already.
    pub chunked: Chunked,
    /// How layers are converted.
    pub layer: chunked::convert::Options,
    /// A directory that remembers converted layers from run to run.
    pub cache: Option<PathBuf>,
}

/// What becomes of the manifests that are converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Originals {
    /// The converted ones take their place.
    #[default]
    Replace,
    /// They stay as they are, and the converted ones follow them in an index.
    Keep,
}

/// What becomes of layers that are zstd:chunked already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Chunked {
    /// Those of the current dialect stay as they are.
    #[default]
    Keep,
    /// They are converted again.
    Redo,
}

/// Converts the image of `source` into `sink`, which is committed.
///
/// # Errors
/// When a document or layer is damaged or lies about its DiffID, when the platforms asked for are not there, and when
/// reading or writing fails. The name of the image in `sink` is then what it was.
pub fn convert(
    source: &dyn ImageSource,
    sink: Box<dyn ImageSink>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let others = match options.originals {
        Originals::Replace => Others::Skip,
        Originals::Keep => Others::Read,
    };
    let mut tree = tree::load(source, &options.platforms, others)?;
    let chunked = examine::examine(source, &mut tree, options)?;
    selection::check(source, &tree, &options.platforms)?;
    let plan = plan::plan(source.reference(), tree, &chunked, options)?;
    run::run(plan, source, sink, options, progress)
}
