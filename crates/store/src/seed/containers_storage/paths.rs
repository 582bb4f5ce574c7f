//! Which layers of a store have a file of some path.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use super::layer::Layer;
use crate::seed::Root;

/// Most files that are listed: 128 MB in memory.
const FILES_MAX: usize = 8_000_000;

/// The files of layers that have no TOC. They are listed once, as asking each layer for each path would take longer.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Hash of the path, and the place of the layer; sorted.
    rows: Vec<(u64, u32)>,
}

impl Paths {
    /// Lists the files of these layers.
    pub(super) fn load(root: &Root, layers: &[Layer], plain: &[usize]) -> Self {
        let mut rows = Vec::new();
        for number in plain {
            let directory = layers.get(*number).and_then(|layer| root.subdirectory(&layer.files()));
            let (Some(directory), Ok(number)) = (directory, u32::try_from(*number)) else { continue };
            // What cannot be listed is not found.
            let _ = directory.walk(&|_, _| false, &mut |path, _| {
                rows.push((key(path), number));
                if rows.len() < FILES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        }
        rows.sort_unstable();
        Self { rows }
    }

    /// Lists the layers that have a file of that path, by their places. It may be another file after all.
    pub(super) fn find(&self, path: &Path) -> impl Iterator<Item = usize> {
        let key = key(path);
        let start = self.rows.partition_point(|row| row.0 < key);
        let rows = self.rows.get(start..).unwrap_or_default().iter();
        rows.take_while(move |row| row.0 == key).map(|row| row.1 as usize)
    }
}

fn key(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}
