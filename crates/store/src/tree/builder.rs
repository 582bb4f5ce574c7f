use std::collections::BTreeMap;

use chunked::{Entry, EntryKind};

use super::draft::{self, Body, Child, Directory, Draft, ROOT, Slot};
use super::invalid::{Invalid, Problem, Short};
use super::path::{elements, steps};
use super::{Device, Dropped, FileContent, Metadata, Tree, Xattr};

/// Marks what follows it in a name as hidden (OCI image layer specification, whiteouts).
const WHITEOUT: &str = ".wh.";

/// Marks what lower layers have in a directory as hidden.
const OPAQUE: &str = ".wh..wh..opq";

/// Starts the names that AUFS keeps its own files under; engines leave them out.
const AUFS: &str = ".wh..wh.";

/// Starts of the attributes by which overlayfs knows what is hidden, moved or elsewhere.
const OVERLAY_XATTRS: [&str; 2] = ["trusted.overlay.", "user.overlay."];

/// Longest target of a symbolic link on Linux: `PATH_MAX` without the NUL.
const TARGET_LEN: usize = 4095;

/// Links that one path may lead through, as many as Linux follows.
const MOST_FOLLOWS: u8 = 40;

/// Elements of link targets that are walked for a whole layer, so that no layer takes forever.
const MOST_LINK_STEPS: usize = 1 << 24;

/// Attributes left out that are remembered by name.
const MOST_DROPPED: usize = 20;

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
}

/// What to do when a directory of a path is missing, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// Make it one, in place of what is there. Only links of the layer itself are followed.
    Create,
    /// There is nothing then. Only links of the layer itself are followed.
    FindOwn,
    /// There is nothing then. All links are followed.
    Find,
}

impl Builder {
    /// Starts with an empty tree.
    pub fn new(limits: Limits) -> Self {
        let (draft, dropped) = (Draft::new(limits.names), Dropped::default());
        Self { draft, limits, layer: 0, link_steps: 0, waiting: Vec::new(), dropped }
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
    pub fn add(&mut self, entry: Entry) -> Result<(), Invalid> {
        let layer = self.layer;
        let name = entry.name.clone();
        self.apply(entry, true).map_err(|problem| Invalid::new(layer, &name, problem))
    }

    /// Ends the layer: hard links that came before their target are made.
    ///
    /// # Errors
    /// When the target of a hard link never came.
    pub fn end_layer(&mut self) -> Result<(), Invalid> {
        for entry in std::mem::take(&mut self.waiting) {
            let name = entry.name.clone();
            self.apply(entry, false).map_err(|problem| Invalid::new(self.layer, &name, problem))?;
        }
        Ok(())
    }

    /// Applies a whole layer.
    ///
    /// # Errors
    /// Those of [`Builder::add`] and [`Builder::end_layer`].
    pub fn layer(&mut self, entries: impl IntoIterator<Item = Entry>) -> Result<(), Invalid> {
        self.start_layer();
        entries.into_iter().try_for_each(|entry| self.add(entry))?;
        self.end_layer()
    }

    /// Returns the tree that all layers make.
    pub fn finish(self) -> Tree {
        super::freeze::freeze(self.draft, self.dropped)
    }

    fn apply(&mut self, entry: Entry, may_wait: bool) -> Result<(), Problem> {
        let path = elements(&entry.name, self.limits.depth)?;
        let Some((base, parents)) = path.split_last() else { return self.root(&entry) };
        if *base == OPAQUE {
            if let Some(directory) = self.walk(ROOT, parents, Walk::FindOwn, MOST_FOLLOWS)? {
                self.draft.hide_below(directory, self.layer);
            }
            return Ok(());
        }
        if path.iter().any(|element| element.starts_with(AUFS)) {
            return Ok(());
        }
        if let Some(hidden) = base.strip_prefix(WHITEOUT) {
            return self.hide(parents, hidden);
        }
        let Some(directory) = self.walk(ROOT, parents, Walk::Create, MOST_FOLLOWS)? else { return Ok(()) };
        if entry.kind != EntryKind::Hardlink {
            return self.place(directory, base, &entry);
        }
        match self.target(&entry.link_name)? {
            Some(target) => self.link(directory, base, target, &entry),
            None if may_wait => {
                self.waiting.push(entry);
                Ok(())
            }
            None => Err(Problem::LinkToNothing(Short(&entry.link_name).to_string())),
        }
    }

    fn root(&mut self, entry: &Entry) -> Result<(), Problem> {
        if entry.kind != EntryKind::Directory {
            return Err(Problem::Root);
        }
        let metadata = self.metadata(entry)?;
        self.draft.node_mut(ROOT).metadata = metadata;
        Ok(())
    }

    fn hide(&mut self, parents: &[&str], hidden: &str) -> Result<(), Problem> {
        if matches!(hidden, "" | "." | "..") {
            return Err(Problem::EmptyWhiteout);
        }
        if let Some(directory) = self.walk(ROOT, parents, Walk::FindOwn, MOST_FOLLOWS)? {
            self.draft.hide(directory, hidden, self.layer);
        }
        Ok(())
    }

    /// Puts an entry into a directory, in place of what is there; directories merge.
    fn place(&mut self, directory: Slot, name: &str, entry: &Entry) -> Result<(), Problem> {
        let metadata = self.metadata(entry)?;
        let there = self.draft.child(directory, name).filter(|child| self.draft.is_directory(child.node));
        if let (EntryKind::Directory, Some(child)) = (entry.kind, there) {
            self.draft.node_mut(child.node).metadata = metadata;
            self.draft.renew(directory, name, self.layer);
            return Ok(());
        }
        let body = match entry.kind {
            EntryKind::Directory => self.new_directory(directory)?,
            EntryKind::Symlink => Body::Symlink(link_target(&entry.link_name)?),
            EntryKind::CharDevice => Body::CharDevice(device(entry)?),
            EntryKind::BlockDevice => Body::BlockDevice(device(entry)?),
            EntryKind::Fifo => Body::Fifo,
            EntryKind::Regular | EntryKind::Hardlink => Body::File(content(entry)?),
        };
        let node = self.draft.add(body, metadata);
        self.draft.name(directory, name, Child { node, layer: self.layer })
    }

    /// Gives a node one more name.
    fn link(&mut self, directory: Slot, name: &str, target: Slot, entry: &Entry) -> Result<(), Problem> {
        if self.draft.is_directory(target) {
            return Err(Problem::LinkToDirectory(Short(&entry.link_name).to_string()));
        }
        let metadata = self.metadata(entry)?;
        let node = self.draft.node_mut(target);
        let xattrs = std::mem::take(&mut node.metadata.xattrs);
        // Attributes are only ever added by a link, as podman has it.
        let merged: BTreeMap<_, _> =
            xattrs.into_iter().chain(metadata.xattrs).map(|xattr| (xattr.name, xattr.value)).collect();
        let xattrs = merged.into_iter().map(|(name, value)| Xattr { name, value }).collect();
        node.metadata = Metadata { xattrs, ..metadata };
        self.draft.name(directory, name, Child { node: target, layer: self.layer })
    }

    /// Finds what a hard link leads to.
    fn target(&mut self, link_name: &str) -> Result<Option<Slot>, Problem> {
        let path = elements(link_name, self.limits.depth)?;
        let Some((base, parents)) = path.split_last() else { return Ok(Some(ROOT)) };
        let directory = self.walk(ROOT, parents, Walk::Find, MOST_FOLLOWS)?;
        Ok(directory.and_then(|directory| self.draft.child(directory, base)).map(|child| child.node))
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
        let body = self.new_directory(parent)?;
        let node = self.draft.add(body, draft::implied());
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

    fn metadata(&mut self, entry: &Entry) -> Result<Metadata, Problem> {
        let wrong = || Problem::Owner { uid: entry.uid, gid: entry.gid };
        // The largest number means "leave it" to chown(2).
        let id = |id: i64| u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(wrong);
        Ok(Metadata {
            mode: u16::try_from(entry.mode & 0o7777).unwrap_or_default(),
            uid: id(entry.uid)?,
            gid: id(entry.gid)?,
            modified: entry.modified.unwrap_or_default(),
            xattrs: self.xattrs(entry),
        })
    }

    fn xattrs(&mut self, entry: &Entry) -> Box<[Xattr]> {
        let is_overlay = |name: &&String| OVERLAY_XATTRS.iter().any(|prefix| name.starts_with(prefix));
        for name in entry.xattrs.keys().filter(is_overlay) {
            self.dropped.count = self.dropped.count.saturating_add(1);
            if self.dropped.first.len() < MOST_DROPPED {
                self.dropped.first.push((Short(&entry.name).to_string(), Short(name).to_string()));
            }
        }
        let kept = entry.xattrs.iter().filter(|(name, _)| !is_overlay(name));
        kept.map(|(name, value)| Xattr { name: name.as_str().into(), value: value.as_slice().into() })
            .collect()
    }
}

fn link_target(target: &str) -> Result<Box<str>, Problem> {
    match target.len() {
        1..=TARGET_LEN if target.contains('\0') => Err(Problem::Nul),
        1..=TARGET_LEN => Ok(target.into()),
        len => Err(Problem::Target { len }),
    }
}

fn device(entry: &Entry) -> Result<Device, Problem> {
    let number = |number: i64, bits: u32| u32::try_from(number).ok().filter(|number| number >> bits == 0);
    match (number(entry.dev_major, 12), number(entry.dev_minor, 20)) {
        (Some(major), Some(minor)) => Ok(Device { major, minor }),
        _ => Err(Problem::Device { major: entry.dev_major, minor: entry.dev_minor }),
    }
}

fn content(entry: &Entry) -> Result<Option<FileContent>, Problem> {
    let Some(content) = &entry.content else { return Ok(None) };
    let digest = match (content.digest, content.chunks.as_slice()) {
        (Some(digest), _) => Some(digest),
        (None, [only]) => only.digest,
        (None, _) => None,
    };
    Ok(Some(FileContent { digest: digest.ok_or(Problem::NoDigest)?, len: entry.size }))
}
