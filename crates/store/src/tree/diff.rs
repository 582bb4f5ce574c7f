//! What a single layer changes: a tree that overlayfs can lay over those of the layers below.

use std::collections::BTreeSet;

use chunked::Entry;

use super::draft::{Body, Draft, ROOT, Slot};
use super::invalid::{Invalid, Problem};
use super::{Builder, Device, Limits, Tree, Xattr};

/// How overlayfs is told that a directory hides those below (kernel documentation, overlayfs, "whiteouts and opaque
/// directories").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// In attributes that only root of the machine can set.
    Trusted,
    /// In attributes that anyone can set, for mounts in user namespaces.
    User,
}

impl Marks {
    /// Returns the attribute of a directory that hides all that is below it.
    pub fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}

/// The device that hides a name of the layers below.
const WHITEOUT: Device = Device { major: 0, minor: 0 };

/// The value of the attribute of a directory that hides those below.
const YES: &[u8] = b"y";

/// The mode of the root where no layer says: that of containers-storage, which gives it to every root, whatever a layer says,
/// unless it pulls in parts.
const ROOT_MODE: u16 = 0o555;

/// Makes the trees of a chain's layers one by one, the lowest first, each with what it hides of those below.
///
/// A directory that a layer has no entry for gets the metadata that the layers below give it, so that nothing changes
/// where nothing was to be changed.
#[derive(Debug, Clone)]
pub struct Diffs {
    merged: Builder,
    limits: Limits,
    marks: Marks,
}

impl Diffs {
    /// Starts below the lowest layer.
    pub fn new(limits: Limits, marks: Marks) -> Self {
        let mut merged = Builder::new(limits);
        merged.draft_mut().node_mut(ROOT).metadata.mode = ROOT_MODE;
        Self { merged, limits, marks }
    }

    /// Makes the tree of the next layer of its entries, in the order of its TOC.
    ///
    /// # Errors
    /// When an entry has no place in a tree, or is a hard link to what is not in its own layer.
    pub fn next(&mut self, entries: &[Entry]) -> Result<Tree, Invalid> {
        let mut diff = Builder::of_diff(self.limits);
        entries.iter().try_for_each(|entry| diff.add(entry))?;
        let tree = diff.finish_diff(self.marks, &self.merged)?;
        self.pass(entries)?;
        Ok(tree)
    }

    /// Goes above a layer whose tree is not needed.
    ///
    /// # Errors
    /// When an entry has no place in a tree.
    pub fn pass(&mut self, entries: &[Entry]) -> Result<(), Invalid> {
        self.merged.layer(entries.iter().cloned())
    }
}

/// What is known of a single layer while it is built.
#[derive(Debug, Clone, Default)]
pub(super) struct Diff {
    /// Directories whose content below is hidden, or of which one name is, in the order they came.
    hidden: Vec<Hidden>,
    /// Directories that the layer has no entry for. The root counts unless it has one.
    implied: BTreeSet<Slot>,
    has_root: bool,
}

/// Something that the layer hides of those below.
#[derive(Debug, Clone)]
pub(super) struct Hidden {
    directory: Vec<Box<str>>,
    /// `None` for all that is there.
    name: Option<Box<str>>,
}

impl Diff {
    /// Notes that the layer hides a name of a directory, or all of them.
    pub(super) fn hide(&mut self, directory: &[&str], name: Option<&str>) {
        let directory = directory.iter().copied().map(Box::from).collect();
        self.hidden.push(Hidden { directory, name: name.map(Box::from) });
    }

    pub(super) fn implied(&mut self, slot: Slot) {
        self.implied.insert(slot);
    }

    pub(super) fn own(&mut self, slot: Slot) {
        self.implied.remove(&slot);
        self.has_root |= slot == ROOT;
    }

    /// Takes out what is hidden.
    pub(super) fn take_hidden(&mut self) -> Vec<Hidden> {
        std::mem::take(&mut self.hidden)
    }

    /// Gives directories without an entry the metadata that they have below.
    pub(super) fn inherit(&self, draft: &mut Draft, below: &Draft) {
        if !self.has_root {
            draft.node_mut(ROOT).metadata = below.node(ROOT).metadata.clone();
        }
        let mut waiting = vec![(ROOT, ROOT)];
        while let Some((own, other)) = waiting.pop() {
            let children = draft.directory(own).into_iter().flat_map(|directory| &directory.children);
            let pairs: Vec<_> = children
                .filter_map(|(name, child)| Some((child.node, below.child(other, name)?.node)))
                .filter(|(own, other)| draft.is_directory(*own) && below.is_directory(*other))
                .collect();
            for (own, other) in pairs {
                if self.implied.contains(&own) {
                    let marks = std::mem::take(&mut draft.node_mut(own).metadata.xattrs);
                    let mut metadata = below.node(other).metadata.clone();
                    metadata.xattrs = metadata.xattrs.into_iter().chain(marks).collect();
                    metadata.xattrs.sort_by(|one, two| one.name.cmp(&two.name));
                    draft.node_mut(own).metadata = metadata;
                }
                waiting.push((own, other));
            }
        }
    }
}

impl Hidden {
    /// Puts a mark where something is hidden. What the layer itself has there hides it already, unless it is a directory.
    pub(super) fn apply(&self, builder: &mut Builder, marks: Marks) -> Result<(), Invalid> {
        let marked = self.mark(builder, marks);
        marked.map_err(|problem| Invalid::new(1, &self.directory.join("/"), problem))
    }

    fn mark(&self, builder: &mut Builder, marks: Marks) -> Result<(), Problem> {
        let path: Vec<&str> = self.directory.iter().map(|name| &**name).collect();
        let Some(directory) = builder.imply_path(&path)? else { return Ok(()) };
        let Some(name) = &self.name else {
            make_opaque(builder.draft_mut(), directory, marks);
            return Ok(());
        };
        match builder.draft_mut().child(directory, name) {
            Some(child) => make_opaque(builder.draft_mut(), child.node, marks),
            None => builder.add_mark(directory, name, Body::CharDevice(WHITEOUT))?,
        }
        Ok(())
    }
}

/// Makes a directory hide those below; anything else does so by itself.
fn make_opaque(draft: &mut Draft, slot: Slot, marks: Marks) {
    if !draft.is_directory(slot) {
        return;
    }
    let metadata = &mut draft.node_mut(slot).metadata;
    let others = metadata.xattrs.iter().filter(|xattr| &*xattr.name != marks.opaque()).cloned();
    let mut xattrs: Vec<_> = others.collect();
    xattrs.push(Xattr { name: marks.opaque().into(), value: YES.into() });
    xattrs.sort_by(|one, two| one.name.cmp(&two.name));
    metadata.xattrs = xattrs.into();
}
