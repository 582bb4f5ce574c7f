//! Finds what does not have to stay, and removes it.

use std::collections::BTreeSet;

use chunked::TocDigest;
use serde::Serialize;

use super::{Kept, Plan, Summary, plan};
use crate::directory::Directory;
use crate::error::Error;
use crate::exclusive::Exclusive;
use crate::index::{self, Shape};
use crate::objects::Found;
use crate::staged::UNFINISHED;
use crate::store::Store;
use crate::usage::disk_len;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How much.
    #[serde(flatten)]
    pub removed: Summary,
    /// What the dedup index consists of now.
    pub index: Shape,
}

/// Removes what neither an image needs nor the layers that are `served`.
///
/// # Errors
/// Those of [`plan`]: then nothing was removed. Those of the file system while removing: what was removed until then was
/// garbage, and the rest still is.
pub fn collect(store: &Exclusive, served: &BTreeSet<TocDigest>) -> Result<Report, Error> {
    let plan = plan(store, served)?;
    // A layer goes before its content, so that none is called complete that is not.
    for toc_digest in &plan.layers {
        store.layers().remove(toc_digest)?;
    }
    for digest in &plan.objects {
        store.objects().remove(digest)?;
    }
    for name in &plan.partials {
        store.partials().remove(name)?;
    }
    for (directory, name) in plan.documents.iter().chain(&plan.leftovers).chain(&plan.unseen) {
        directory.remove_any(name)?;
    }
    let index = match plan.summary.is_empty() && store.index().is_sound() {
        true => store.index().shape(),
        false => index::rebuild(store)?,
    };
    store.sync()?;
    Ok(Report { removed: plan.summary, index })
}

impl Plan {
    pub(super) fn add_layers(&mut self, store: &Store, kept: &BTreeSet<TocDigest>) -> Result<(), Error> {
        self.layers = store.layers().list()?;
        self.layers.retain(|toc_digest| !kept.contains(toc_digest));
        self.summary.layers = self.layers.len() as u64;
        self.leftovers.extend(store.layers().stray_files(kept)?);
        self.unseen.extend(store.layers().stray_links(kept)?);
        Ok(())
    }

    pub(super) fn add_objects(&mut self, store: &Store, kept: &Kept) -> Result<(), Error> {
        for first in 0..=u8::MAX {
            for found in store.objects().list(first)? {
                let Found::Object(digest) = found else { continue };
                if kept.has_content(&digest) {
                    continue;
                }
                if let Some(stat) = store.objects().stat(&digest)? {
                    add(&mut self.summary.objects_len, u64::try_from(stat.st_size).unwrap_or(0));
                    self.summary.objects += 1;
                    self.objects.push(digest);
                }
            }
        }
        Ok(())
    }

    pub(super) fn add_partials(&mut self, store: &Store, kept: &Kept) -> Result<(), Error> {
        for (digest, name) in store.partials().list()? {
            let is_needed = match digest {
                Some(digest) => kept.has_content(&digest) && store.objects().len_of(&digest)?.is_none(),
                None => false,
            };
            if !is_needed {
                add(
                    &mut self.summary.partials_len,
                    store.partials().stat(&name)?.as_ref().map_or(0, disk_len),
                );
                self.partials.push(name);
                self.summary.partials += 1;
            }
        }
        Ok(())
    }

    pub(super) fn add_documents(&mut self, store: &Store, kept: &Kept) -> Result<(), Error> {
        for blob in store.images().blobs_here()? {
            if blob.digest.is_some_and(|digest| kept.documents.contains(&digest)) {
                continue;
            }
            let len = blob.directory.stat(&blob.name)?.and_then(|stat| u64::try_from(stat.st_size).ok());
            add(&mut self.summary.documents_len, len.unwrap_or(0));
            self.summary.documents += 1;
            self.documents.push((blob.directory, blob.name));
        }
        Ok(())
    }

    pub(super) fn add_leftovers(&mut self, store: &Store) -> Result<(), Error> {
        let root = store.root();
        if let Some(directory) = root.find_subdirectory("tmp")? {
            let names = directory.names()?;
            self.leftovers.extend(names.into_iter().map(|name| (directory.clone(), name)));
        }
        for directory in [root, store.images().layout()] {
            self.leftovers.extend(unfinished(directory)?);
        }
        self.unseen.extend(store.layers().lock_files()?);
        self.summary.leftovers = self.leftovers.len() as u64;
        Ok(())
    }
}

/// Lists what was made of layers that go, so that their content could be served.
pub(super) fn stray_tables(
    store: &Store,
    kept: &BTreeSet<TocDigest>,
) -> Result<Vec<(Directory, String)>, Error> {
    let Some(tables) = store.root().find_subdirectory("tables")? else { return Ok(Vec::new()) };
    let kept: BTreeSet<_> = kept.iter().map(|toc_digest| toc_digest.0.hex()).collect();
    let names = tables.names()?.into_iter().filter(|name| !kept.contains(name));
    Ok(names.map(|name| (tables.clone(), name)).collect())
}

fn unfinished(directory: &Directory) -> Result<Vec<(Directory, String)>, Error> {
    let names = directory.names()?.into_iter().filter(|name| name.starts_with(UNFINISHED));
    Ok(names.map(|name| (directory.clone(), name)).collect())
}

fn add(sum: &mut u64, len: u64) {
    *sum = sum.saturating_add(len);
}
