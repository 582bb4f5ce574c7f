//! Makes room: removes content that images need and that can be fetched again.
//!
//! A layer that loses content is only indexed from then on: its files are known, and what is missing is fetched when the image
//! is pulled again, or read through a mount. The layers that were written down longest ago lose theirs first.

use std::collections::{BTreeSet, HashMap, HashSet};

use chunked::{ContentDigest, TocDigest};
use serde::Serialize;

use crate::chains::ChainId;
use crate::contents;
use crate::error::Error;
use crate::exclusive::Exclusive;
use crate::images::Image;
use crate::index;
use crate::layers::{LayerRecord, LayerState, Origin};
use crate::objects::Found;
use crate::store::Store;
use crate::usage::disk_len;

/// How much room file content may take.
#[derive(Debug, Clone, Copy)]
pub struct Quota<'a> {
    /// Most bytes of the disk that file content may take.
    pub len: u64,
    /// Tells whether the content of an image can be fetched again.
    pub is_refetchable: fn(&Image) -> bool,
    /// Layers that are served besides those of mounts: nothing of them goes.
    pub served: &'a BTreeSet<TocDigest>,
    /// Layers that were served since somebody began to: nothing of them goes if it cannot be told who has them mounted.
    pub remembered: &'a BTreeSet<TocDigest>,
}

/// What has to go to make room.
#[derive(Debug, Default)]
pub struct Eviction {
    /// Layers that something goes of.
    layers: Vec<LayerRecord>,
    objects: Vec<ContentDigest>,
    partials: Vec<String>,
    summary: Evicted,
}

/// How much has to go to make room, or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Evicted {
    /// Layers whose content is not all here any more.
    pub layers: u64,
    /// File contents, complete or partial.
    pub contents: u64,
    /// Bytes of the disk that they took.
    pub disk_len: u64,
    /// Bytes of the disk that are beyond the quota all the same: of images that are mounted, or cannot be fetched again.
    pub beyond_len: u64,
}

impl Eviction {
    /// Says how much has to go.
    pub fn summary(&self) -> &Evicted {
        &self.summary
    }
}

/// Finds out what has to go so that the content of all files takes no more than a quota. Others may use the store meanwhile:
/// [`evict`] makes a plan of its own.
///
/// Nothing goes that a mount could reach, even one that has no name any more or is below another one, or a layer that is
/// served, whether it is mounted or not.
///
/// # Errors
/// Those of [`plan`](super::plan()).
pub fn plan_eviction(store: &Store, quota: &Quota<'_>) -> Result<Eviction, Error> {
    let taken = Taken::of(store)?;
    let mut eviction = Eviction::default();
    let mut used = taken.sum();
    if used > quota.len {
        let candidates = candidates(store, quota)?;
        let mut gone = HashSet::new();
        for digest in contents_by_age(store, &candidates)? {
            if used <= quota.len {
                break;
            }
            let Some(place) = taken.places.get(&digest) else { continue };
            used = used.saturating_sub(place.disk_len);
            eviction.add(digest, place);
            gone.insert(digest);
        }
        for record in candidates.into_iter().filter(|record| record.state >= LayerState::Complete) {
            if has_any(store, &record, &gone)? {
                eviction.layers.push(record);
            }
        }
    }
    eviction.summary.layers = eviction.layers.len() as u64;
    eviction.summary.beyond_len = used.saturating_sub(quota.len);
    Ok(eviction)
}

/// Removes content until that of all files takes no more than a quota.
///
/// # Errors
/// Those of [`plan_eviction`], and of the file system while removing: what is gone until then is known to be missing.
pub fn evict(store: &Exclusive, quota: &Quota<'_>) -> Result<Evicted, Error> {
    let eviction = plan_eviction(store, quota)?;
    // A layer is known to be incomplete before it is.
    for record in &eviction.layers {
        store.layers().set_state(record, LayerState::Indexed)?;
    }
    for digest in &eviction.objects {
        store.objects().remove(digest)?;
    }
    for name in &eviction.partials {
        store.partials().remove(name)?;
    }
    if !eviction.layers.is_empty() {
        index::rebuild(store)?;
        store.sync()?;
    }
    Ok(eviction.summary)
}

impl Eviction {
    fn add(&mut self, digest: ContentDigest, place: &Place) {
        match &place.partial {
            None => self.objects.push(digest),
            Some(name) => self.partials.push(name.clone()),
        }
        self.summary.contents += 1;
        self.summary.disk_len = self.summary.disk_len.saturating_add(place.disk_len);
    }
}

/// What takes space, by content.
struct Taken {
    places: HashMap<ContentDigest, Place>,
}

/// Where a content is.
struct Place {
    disk_len: u64,
    /// The name of the partial file; `None` for an object.
    partial: Option<String>,
}

impl Taken {
    fn of(store: &Store) -> Result<Self, Error> {
        let mut places = HashMap::new();
        for (digest, name) in store.partials().list()? {
            let disk_len = store.partials().stat(&name)?.as_ref().map_or(0, disk_len);
            places.extend(digest.map(|digest| (digest, Place { disk_len, partial: Some(name) })));
        }
        for first in 0..=u8::MAX {
            for found in store.objects().list(first)? {
                let Found::Object(digest) = found else { continue };
                // To remove one that has another name elsewhere frees nothing.
                let stat = store.objects().stat(&digest)?.filter(|stat| stat.st_nlink == 1);
                places.extend(stat.map(|stat| (digest, Place { disk_len: disk_len(&stat), partial: None })));
            }
        }
        Ok(Self { places })
    }

    fn sum(&self) -> u64 {
        self.places.values().fold(0, |sum, place| sum.saturating_add(place.disk_len))
    }
}

/// Lists the layers that may lose content, the oldest first.
fn candidates(store: &Store, quota: &Quota<'_>) -> Result<Vec<LayerRecord>, Error> {
    let images = store.images().list()?;
    let pinned = pinned(store, &images, quota)?;
    let images = images.into_iter().filter(|image| (quota.is_refetchable)(image));
    let layers: BTreeSet<_> = images.flat_map(|image| image.layers).collect();
    let mut candidates = Vec::new();
    for toc_digest in layers.difference(&pinned) {
        let record = store.layers().get(toc_digest)?.filter(|record| record.origin == Origin::Chunked);
        candidates.extend(record.map(|record| Ok((store.layers().changed(toc_digest)?, record))));
    }
    let mut candidates: Vec<_> = candidates.into_iter().collect::<Result<_, Error>>()?;
    candidates.sort_by_key(|(changed, record)| (*changed, record.toc_digest));
    Ok(candidates.into_iter().map(|(_, record)| record).collect())
}

/// Lists the layers that have to stay as they are.
fn pinned(store: &Store, images: &[Image], quota: &Quota<'_>) -> Result<BTreeSet<TocDigest>, Error> {
    let mounted: Vec<_> = store.mounts().list()?.into_iter().map(|record| record.image).collect();
    let mut pinned: BTreeSet<_> = mounted.iter().flat_map(|image| image.layers.iter().copied()).collect();
    pinned.extend(quota.served);
    let mut uses = store.chains().uses()?;
    for image in images.iter().chain(&mounted) {
        let chain = ChainId::of(&image.layers);
        if uses.mounted.remove(&chain) {
            pinned.extend(&image.layers);
        }
        if uses.unknown.contains(&chain) {
            pinned.extend(image.layers.iter().filter(|layer| quota.remembered.contains(layer)));
        }
    }
    // What else is mounted is of an image that is not in the list any more.
    if !uses.mounted.is_empty() {
        pinned.extend(quota.remembered);
    }
    Ok(pinned)
}

/// Lists the contents that no other layer needs than these. Each counts for the youngest layer that has it.
fn contents_by_age(store: &Store, candidates: &[LayerRecord]) -> Result<Vec<ContentDigest>, Error> {
    let mut seen = HashSet::new();
    for toc_digest in store.layers().list()? {
        if candidates.iter().any(|record| record.toc_digest == toc_digest) {
            continue;
        }
        if let Some(record) = store.layers().get(&toc_digest)? {
            store.layers().visit_toc(&record, |entry| {
                seen.extend(contents::of(&entry).map(|(digest, _)| digest));
            })?;
        }
    }
    let mut youngest_first = Vec::new();
    for record in candidates.iter().rev() {
        store.layers().visit_toc(record, |entry| {
            let content = contents::of(&entry).map(|(digest, _)| digest);
            youngest_first.extend(content.filter(|digest| seen.insert(*digest)));
        })?;
    }
    youngest_first.reverse();
    Ok(youngest_first)
}

fn has_any(store: &Store, record: &LayerRecord, contents: &HashSet<ContentDigest>) -> Result<bool, Error> {
    let mut found = false;
    store.layers().visit_toc(record, |entry| {
        found |= contents::of(&entry).is_some_and(|(digest, _)| contents.contains(&digest));
    })?;
    Ok(found)
}
