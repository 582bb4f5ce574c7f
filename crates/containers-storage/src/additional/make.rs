//! Making what engines find of a layer.

use std::collections::BTreeSet;

use chunked::Entry;
use mount::overlay::DataDirectory;
use store::tree::{Diffs, Limits, Marks, Tree};
use store::{Image, Store};

use super::place::Place;
use super::publish::{Layer, Made};
use super::stage::Staged;
use crate::error::{Error, Unpublishable};
use crate::record::{LayerId, LayerRecord};

/// A layer that only has to be put in its place and listed.
pub(super) type Ready<'a> = (Staged<'a>, LayerRecord, Made);

/// Makes what engines find of layers, where they do not find it yet.
pub(super) struct Work<'a> {
    place: &'a Place,
    content: &'a Store,
    image: &'a Image,
    /// The layers below the one that comes next, once one of them is needed, and how many these are.
    diffs: Option<(Diffs, usize)>,
}

impl<'a> Work<'a> {
    /// Starts with the lowest layer of an image. Content comes from a store.
    pub(super) fn new(place: &'a Place, content: &'a Store, image: &'a Image) -> Self {
        Self { place, content, image, diffs: None }
    }

    /// Makes the files of a layer.
    pub(super) fn plain(
        &mut self,
        layer: &'a Layer,
        below: &[Layer],
        marks: Marks,
    ) -> Result<Ready<'a>, Error> {
        let staged = Staged::new(self.place, &layer.id)?;
        let tree = self.tree(layer, below, marks)?;
        let report = staged.unpack(&tree, self.content, marks)?;
        staged.describe(&self.lower(below))?;
        let record = self.record(&staged, layer, below, Owners::of(&tree))?;
        Ok((staged, record, Made::Plain { cloned: report.cloned, copied: report.copied }))
    }

    /// Mounts the tree of a layer, and of all below.
    pub(super) fn mounted(
        &self,
        layer: &'a Layer,
        below: &[Layer],
        missing: Option<DataDirectory<'_>>,
    ) -> Result<Ready<'a>, Error> {
        let staged = Staged::new(self.place, &layer.id)?;
        let layers = self.image.layers.iter().take(below.len().saturating_add(1)).copied().collect();
        let image = Image { layers, ..self.image.clone() };
        staged.mount(self.content, &image, missing)?;
        staged.describe(&[])?;
        // Owners say how large a range of users `--userns=auto` needs, which does not work with mounts.
        let record = self.record(&staged, layer, below, Owners::default())?;
        Ok((staged, record, Made::Mounted))
    }

    /// Writes what engines are told of a layer.
    fn record(
        &self,
        staged: &Staged<'_>,
        layer: &Layer,
        below: &[Layer],
        owners: Owners,
    ) -> Result<LayerRecord, Error> {
        let tar_len = staged.write_tar_split(self.content, &layer.record)?;
        let record = layer.listed(below.last().map(|parent| &parent.id), tar_len, owners);
        staged.write_record(&record)?;
        Ok(record)
    }

    /// Lists the layers that containers need below one, the nearest first: none below one that is a mount.
    fn lower<'b>(&self, below: &'b [Layer]) -> Vec<&'b LayerId> {
        let mut ids: Vec<_> = below.iter().rev().map(|layer| &layer.id).collect();
        if let Some(mount) = ids.iter().position(|id| self.place.is_mount(id)) {
            ids.truncate(mount.saturating_add(1));
        }
        ids
    }

    fn tree(&mut self, layer: &Layer, below: &[Layer], marks: Marks) -> Result<Tree, Error> {
        let (mut diffs, from) = match self.diffs.take() {
            Some(diffs) => diffs,
            None => (Diffs::new(Limits::default(), marks), 0),
        };
        let fail = |layer: &Layer, invalid: store::tree::Invalid| {
            layer.unpublishable(Unpublishable::Tree(invalid.to_string()))
        };
        for lower in below.iter().skip(from) {
            diffs.pass(&self.entries(lower)?).map_err(|invalid| fail(lower, invalid))?;
        }
        let tree = diffs.next(&self.entries(layer)?).map_err(|invalid| fail(layer, invalid))?;
        self.diffs = Some((diffs, below.len().saturating_add(1)));
        Ok(tree)
    }

    fn entries(&self, layer: &Layer) -> Result<Vec<Entry>, Error> {
        Ok(self.content.layers().toc(&layer.record)?.entries)
    }
}

/// Who has files of a layer.
#[derive(Default)]
pub(super) struct Owners {
    pub(super) users: BTreeSet<u32>,
    pub(super) groups: BTreeSet<u32>,
}

impl Owners {
    fn of(tree: &Tree) -> Self {
        let mut owners = Self::default();
        for (_, node) in tree.nodes() {
            owners.users.insert(node.metadata.uid);
            owners.groups.insert(node.metadata.gid);
        }
        owners
    }
}
