use chunked::{Entry, EntryKind};

use super::diff::{Diff, Marks};
use super::draft::{self, Body, Child, Directory, Draft, ROOT, Slot};
use super::invalid::{Invalid, Problem, Short};
use super::path::{check_name, elements, steps};
use super::{Dropped, Metadata, Tree, entry};

/// Marks what follows it in a name as hidden (OCI image layer specification, whiteouts).
const WHITEOUT: &str = ".wh.";

/// Marks what lower layers have in a directory as hidden.
const OPAQUE: &str = ".wh..wh..opq";

/// Starts the names that AUFS keeps its own files under; engines leave them out.
const AUFS: &str = ".wh..wh.";

/// Links that one path may lead through, as many as Linux follows.
const MOST_FOLLOWS: u8 = 40;

/// Elements of link targets that are walked for a whole layer, so that no layer takes forever.
const MOST_LINK_STEPS: usize = 1 << 24;

/// Bounds on a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names of files of all types at one time, implied directories included. Default 4 million, at 250 bytes each.
    pub names: u32,
    /// Elements of a path. Default 1024: Linux takes paths of 4095 bytes.
    pub depth: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { names: 4_000_000, depth: 1024 }
    }
}

/// Merges layers into a [`Tree`].
#[derive(Debug, Clone)]
pub struct Builder {
    draft: Draft,
    limits: Limits,
    /// The layer being applied, from 1.
    layer: u32,
    link_steps: usize,
    /// Hard links whose target was not there when they came.
    waiting: Vec<Entry>,
    dropped: Dropped,
    /// What a single layer hides of those below, if that is to be kept.
    diff: Option<Diff>,
}

/// What became of an entry.
enum Applied {
    /// It is in the tree, or it had nothing to hide.
    Done,
    /// It is a hard link to something that is not there yet.
    TargetMissing,
}

/// What to do when a directory of a path is missing, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// Make it one, in place of what is there. Only links of the layer itself are followed.
    Create,
    /// There is nothing then. Only links of the layer itself are followed.
    FindOwn,
    /// Make it when it is missing; there is nothing when it is something else.
    Imply,
    /// There is nothing then. All links are followed.
    Find,
}

impl Builder {
    /// Starts with an empty tree.
    pub fn new(limits: Limits) -> Self {
        let (draft, dropped) = (Draft::new(limits.names), Dropped::default());
        Self { draft, limits, layer: 0, link_steps: 0, waiting: Vec::new(), dropped, diff: None }
    }

    /// Starts with an empty tree for a single layer, which keeps what it hides of layers below.
    pub(super) fn of_diff(limits: Limits) -> Self {
        let mut builder = Self { diff: Some(Diff::default()), ..Self::new(limits) };
        builder.start_layer();
        builder
    }

    /// Starts the next layer, above those that are there.
    pub fn start_layer(&mut self) {
        self.layer = self.layer.saturating_add(1);
        self.link_steps = MOST_LINK_STEPS;
    }

    /// Applies an entry of the layer, in the order of its TOC.
    ///
    /// # Errors
    /// When the entry has no place in a tree; the tree is then good for nothing.
    pub fn add(&mut self, entry: &Entry) -> Result<(), Invalid> {
        match self.apply(entry) {
            Ok(Applied::Done) => Ok(()),
            Ok(Applied::TargetMissing) => {
                self.waiting.push(entry.clone());
                Ok(())
            }
            Err(problem) => Err(Invalid::new(self.layer, &entry.name, problem)),
        }
    }

    /// Ends the layer: hard links that came before their target are made.
    ///
    /// # Errors
    /// When the target of a hard link never came.
    pub fn end_layer(&mut self) -> Result<(), Invalid> {
        for entry in std::mem::take(&mut self.waiting) {
            let problem = match self.apply(&entry) {
                Ok(Applied::Done) => continue,
                Ok(Applied::TargetMissing) => Problem::LinkToNothing(Short(&entry.link_name).to_string()),
                Err(problem) => problem,
            };
            return Err(Invalid::new(self.layer, &entry.name, problem));
        }
        Ok(())
    }

    /// Ends a single layer, and returns what it is: with marks where it hides something of the layers below, which are
    /// merged in `below`.
    pub(super) fn finish_diff(mut self, marks: Marks, below: &Self) -> Result<Tree, Invalid> {
        self.end_layer()?;
        let hidden = self.diff.as_mut().map(Diff::take_hidden).unwrap_or_default();
        hidden.iter().try_for_each(|hidden| hidden.apply(&mut self, marks))?;
        if let Some(diff) = self.diff.take() {
            diff.inherit(&mut self.draft, &below.draft);
        }
        Ok(self.finish())
    }

    /// Applies a whole layer.
    ///
    /// # Errors
    /// Those of [`Builder::add`] and [`Builder::end_layer`].
    pub fn layer(&mut self, entries: impl IntoIterator<Item = Entry>) -> Result<(), Invalid> {
        self.start_layer();
        entries.into_iter().try_for_each(|entry| self.add(&entry))?;
        self.end_layer()
    }

    /// Returns the tree that all layers make.
    pub fn finish(self) -> Tree {
        super::freeze::freeze(self.draft, self.dropped)
    }

    fn apply(&mut self, entry: &Entry) -> Result<Applied, Problem> {
        let path = elements(&entry.name, self.limits.depth)?;
        let Some((base, parents)) = path.split_last() else { return self.root(entry) };
        if *base == OPAQUE {
            return self.hide_all(parents);
        }
        if path.iter().any(|element| element.starts_with(AUFS)) {
            return Ok(Applied::Done);
        }
        if let Some(hidden) = base.strip_prefix(WHITEOUT) {
            return self.hide(parents, hidden);
        }
        let directory = self.walk(ROOT, parents, Walk::Create, MOST_FOLLOWS)?.unwrap_or(ROOT);
        if entry.kind != EntryKind::Hardlink {
            return self.place(directory, base, entry);
        }
        match self.target(&entry.link_name)? {
            Some(target) => self.link(directory, base, target, entry),
            None => Ok(Applied::TargetMissing),
        }
    }

    fn root(&mut self, entry: &Entry) -> Result<Applied, Problem> {
        if entry.kind != EntryKind::Directory {
            return Err(Problem::Root);
        }
        self.draft.node_mut(ROOT).metadata = entry::metadata(entry, &mut self.dropped)?;
        self.note_own(ROOT);
        Ok(Applied::Done)
    }

    fn hide_all(&mut self, path: &[&str]) -> Result<Applied, Problem> {
        if let Some(diff) = &mut self.diff {
            diff.hide(path, None);
            return Ok(Applied::Done);
        }
        if let Some(directory) = self.walk(ROOT, path, Walk::FindOwn, MOST_FOLLOWS)? {
            self.draft.hide_below(directory, self.layer);
        }
        Ok(Applied::Done)
    }

    fn hide(&mut self, parents: &[&str], hidden: &str) -> Result<Applied, Problem> {
        if matches!(hidden, "" | "." | "..") {
            return Err(Problem::EmptyWhiteout);
        }
        if let Some(diff) = &mut self.diff {
            diff.hide(parents, Some(hidden));
            return Ok(Applied::Done);
        }
        if let Some(directory) = self.walk(ROOT, parents, Walk::FindOwn, MOST_FOLLOWS)? {
            self.draft.hide(directory, hidden, self.layer);
        }
        Ok(Applied::Done)
    }

    /// Puts an entry into a directory, in place of what is there; directories merge.
    fn place(&mut self, directory: Slot, name: &str, entry: &Entry) -> Result<Applied, Problem> {
        let metadata = entry::metadata(entry, &mut self.dropped)?;
        let there = self.draft.child(directory, name).filter(|child| self.draft.is_directory(child.node));
        if let (EntryKind::Directory, Some(child)) = (entry.kind, there) {
            self.draft.node_mut(child.node).metadata = metadata;
            self.draft.renew(directory, name, self.layer);
            self.note_own(child.node);
            return Ok(Applied::Done);
        }
        let body = match entry.kind {
            EntryKind::Directory => self.new_directory(directory)?,
            EntryKind::Symlink => Body::Symlink(entry::target(entry)?),
            EntryKind::CharDevice => Body::CharDevice(entry::device(entry)?),
            EntryKind::BlockDevice => Body::BlockDevice(entry::device(entry)?),
            EntryKind::Fifo => Body::Fifo,
            EntryKind::Regular | EntryKind::Hardlink => Body::File(entry::content(entry)?),
        };
        let node = self.draft.add(body, metadata);
        self.note_own(node);
        self.draft.name(directory, name, Child { node, layer: self.layer })?;
        Ok(Applied::Done)
    }

    /// Notes that the layer has an entry for a node.
    fn note_own(&mut self, node: Slot) {
        if let Some(diff) = &mut self.diff {
            diff.own(node);
        }
    }

    /// Gives a node one more name.
    fn link(&mut self, directory: Slot, name: &str, target: Slot, entry: &Entry) -> Result<Applied, Problem> {
        if self.draft.is_directory(target) {
            return Err(Problem::LinkToDirectory(Short(&entry.link_name).to_string()));
        }
        let mut metadata = entry::metadata(entry, &mut self.dropped)?;
        let node = self.draft.node_mut(target);
        let mut xattrs = std::mem::take(&mut node.metadata.xattrs);
        // Attributes are only ever added by a link, as podman has it.
        entry::add_xattrs(&mut xattrs, std::mem::take(&mut metadata.xattrs))?;
        node.metadata = Metadata { xattrs, ..metadata };
        self.draft.name(directory, name, Child { node: target, layer: self.layer })?;
        Ok(Applied::Done)
    }

    /// Finds what a hard link leads to.
    fn target(&mut self, link_name: &str) -> Result<Option<Slot>, Problem> {
        let path = elements(link_name, self.limits.depth)?;
        let Some((base, parents)) = path.split_last() else { return Ok(Some(ROOT)) };
        let directory = self.walk(ROOT, parents, Walk::Find, MOST_FOLLOWS)?;
        Ok(directory.and_then(|directory| self.draft.child(directory, base)).map(|child| child.node))
    }

    /// Returns the directory of a path, making what is missing of it; `None` when something else is there.
    pub(super) fn imply_path(&mut self, path: &[&str]) -> Result<Option<Slot>, Problem> {
        self.walk(ROOT, path, Walk::Imply, MOST_FOLLOWS)
    }

    pub(super) fn draft_mut(&mut self) -> &mut Draft {
        &mut self.draft
    }

    /// Gives a name of the layer to something that has no entry.
    pub(super) fn add_mark(&mut self, directory: Slot, name: &str, body: Body) -> Result<(), Problem> {
        check_name(name)?;
        let node = self.draft.add(body, draft::implied());
        self.draft.name(directory, name, Child { node, layer: self.layer })
    }

    /// Goes from one directory to another, never above the root.
    fn walk(
        &mut self,
        mut at: Slot,
        path: &[&str],
        mode: Walk,
        follows: u8,
    ) -> Result<Option<Slot>, Problem> {
        for (index, name) in path.iter().enumerate() {
            let child = self.draft.child(at, name);
            at = match child.map(|child| (child, &self.draft.node(child.node).body)) {
                _ if *name == ".." => self.draft.directory(at).map_or(ROOT, |directory| directory.parent),
                Some((child, Body::Directory(_))) => child.node,
                Some((child, Body::Symlink(target))) if mode == Walk::Find || child.layer == self.layer => {
                    let target = target.clone();
                    let rest = path.get(index + 1..).unwrap_or_default();
                    return self.follow(at, &target, rest, mode, follows);
                }
                _ if mode == Walk::Create => self.imply(at, name)?,
                None if mode == Walk::Imply => self.imply(at, name)?,
                _ => return Ok(None),
            };
        }
        Ok(Some(at))
    }

    fn follow(
        &mut self,
        at: Slot,
        target: &str,
        rest: &[&str],
        mode: Walk,
        follows: u8,
    ) -> Result<Option<Slot>, Problem> {
        let path: Vec<_> = steps(target).chain(rest.iter().copied()).collect();
        let start = if target.starts_with('/') { ROOT } else { at };
        let follows = follows.checked_sub(1).ok_or(Problem::LinkLoop)?;
        self.link_steps = self.link_steps.checked_sub(path.len()).ok_or(Problem::LinkLoop)?;
        self.walk(start, &path, mode, follows)
    }

    /// Makes a directory that the layer has no entry for.
    fn imply(&mut self, parent: Slot, name: &str) -> Result<Slot, Problem> {
        // It may be an element of a link's target, which has no bounds but that of the whole.
        check_name(name)?;
        let body = self.new_directory(parent)?;
        let node = self.draft.add(body, draft::implied());
        if let Some(diff) = &mut self.diff {
            diff.implied(node);
        }
        self.draft.name(parent, name, Child { node, layer: self.layer })?;
        Ok(node)
    }

    fn new_directory(&self, parent: Slot) -> Result<Body, Problem> {
        let depth = self.draft.directory(parent).map_or(0, |directory| directory.depth);
        if depth >= self.limits.depth {
            return Err(Problem::TooDeep { limit: self.limits.depth });
        }
        Ok(Body::Directory(Directory::new(parent, depth.saturating_add(1))))
    }
}
