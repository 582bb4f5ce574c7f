//! How much space images take, by themselves and together.

mod sys;

use std::collections::HashMap;

use chunked::{ContentDigest, TocDigest};
use rustix::fs::Stat;
use serde::Serialize;

use crate::contents;
use crate::error::Error;
use crate::images::Image;
use crate::objects::Found;
use crate::seed::take::CLONE_LEN;
use crate::store::Store;

/// How much space a store takes. Lengths are bytes of content; what file systems add is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Usage {
    /// The images, in the order they came.
    pub images: Vec<ImageUsage>,
    /// Objects that are here.
    pub objects: u64,
    /// Bytes of them.
    pub objects_len: u64,
    /// Bytes of the disk that they take, by themselves or shared.
    pub objects_disk_len: u64,
    /// Bytes of the disk that they share with other files, such as those of seeds, and of unpacked images.
    pub objects_shared_len: u64,
    /// Bytes of them that no image needs.
    pub unused_len: u64,
    /// Bytes that partial files take.
    pub partials_len: u64,
    /// Bytes of TOCs, tar-splits and records of all layers.
    pub layers_len: u64,
}

/// How much space an image takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageUsage {
    /// Its name.
    pub name: String,
    /// Files with content that it has; equal ones count once.
    pub files: u64,
    /// Bytes of their content that only this image needs: what removing it frees.
    pub own_len: u64,
    /// Bytes of content that other images need as well.
    pub shared_len: u64,
    /// Bytes of content that are not here.
    pub missing_len: u64,
}

/// What is known of one content.
#[derive(Debug, Clone, Copy)]
struct Use {
    len: u64,
    is_here: bool,
    images: u32,
    /// The image that was counted last.
    last: usize,
}

/// Adds up what every image takes. Memory grows with the number of different files: some 80 bytes each.
///
/// # Errors
/// [`Error::Damaged`] and [`Error::Toc`] when a layer is damaged; those of the file system.
pub fn measure(store: &Store) -> Result<Usage, Error> {
    let images = store.images().list()?;
    let mut uses = HashMap::new();
    for (number, image) in images.iter().enumerate() {
        count(store, number, image, &mut uses)?;
    }
    let mut usage = Usage::default();
    for (number, image) in images.into_iter().enumerate() {
        usage.images.push(sum(store, number, image, &mut uses)?);
    }
    usage.add_objects(store, &uses)?;
    for toc_digest in store.layers().list()? {
        usage.layers_len = usage.layers_len.saturating_add(store.layers().metadata_len(&toc_digest)?);
    }
    for (_, name) in store.partials().list()? {
        let taken = store.partials().stat(&name)?.as_ref().map_or(0, disk_len);
        usage.partials_len = usage.partials_len.saturating_add(taken);
    }
    Ok(usage)
}

/// Says how much of the disk a file takes; a partial file is mostly holes.
pub(crate) fn disk_len(stat: &Stat) -> u64 {
    /// Bytes of a block in `st_blocks` (stat(2)).
    const BLOCK_LEN: u64 = 512;
    u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK_LEN)
}

/// Counts an image for everything it needs.
fn count(
    store: &Store,
    number: usize,
    image: &Image,
    uses: &mut HashMap<ContentDigest, Use>,
) -> Result<(), Error> {
    for toc_digest in &image.layers {
        each_content(store, toc_digest, |digest, len| {
            if let Some(known) = uses.get_mut(&digest) {
                known.images += u32::from(known.last != number);
                known.last = number;
                return Ok(());
            }
            let is_here = store.objects().len_of(&digest)?.is_some();
            uses.insert(digest, Use { len, is_here, images: 1, last: number });
            Ok(())
        })?;
    }
    Ok(())
}

/// Adds up everything an image needs.
fn sum(
    store: &Store,
    number: usize,
    image: Image,
    uses: &mut HashMap<ContentDigest, Use>,
) -> Result<ImageUsage, Error> {
    let mut usage = ImageUsage { name: image.name, files: 0, own_len: 0, shared_len: 0, missing_len: 0 };
    // Marks of this pass are different from all of the first.
    let mark = usize::MAX - number;
    for toc_digest in &image.layers {
        each_content(store, toc_digest, |digest, _| {
            let Some(known) = uses.get_mut(&digest).filter(|known| known.last != mark) else { return Ok(()) };
            known.last = mark;
            usage.files += 1;
            let sum = match known {
                Use { is_here: false, .. } => &mut usage.missing_len,
                Use { images: 1, .. } => &mut usage.own_len,
                _ => &mut usage.shared_len,
            };
            *sum = sum.saturating_add(known.len);
            Ok(())
        })?;
    }
    Ok(usage)
}

fn each_content(
    store: &Store,
    toc_digest: &TocDigest,
    mut visit: impl FnMut(ContentDigest, u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(record) = store.layers().get(toc_digest)? else { return Ok(()) };
    let mut visited = Ok(());
    store.layers().visit_toc(&record, |entry| {
        if let (Some((digest, len)), Ok(())) = (contents::of(&entry), &visited) {
            visited = visit(digest, len);
        }
    })?;
    visited
}

impl Usage {
    fn add_disk(&mut self, store: &Store, digest: &ContentDigest, len: u64) -> Result<(), Error> {
        let Some(stat) = store.objects().stat(digest)? else { return Ok(()) };
        self.objects_disk_len = self.objects_disk_len.saturating_add(disk_len(&stat));
        // Shorter ones are never made to share.
        if len >= CLONE_LEN
            && let Some(object) = store.objects().open(digest)?
        {
            // Where the file system cannot tell, it cannot share either.
            let shared = sys::shared_len(&object).unwrap_or(0);
            self.objects_shared_len = self.objects_shared_len.saturating_add(shared);
        }
        Ok(())
    }

    fn add_objects(&mut self, store: &Store, uses: &HashMap<ContentDigest, Use>) -> Result<(), Error> {
        for first in 0..=u8::MAX {
            for found in store.objects().list(first)? {
                let Found::Object(digest) = found else { continue };
                let Some(len) = store.objects().len_of(&digest)? else { continue };
                self.objects += 1;
                self.objects_len = self.objects_len.saturating_add(len);
                self.add_disk(store, &digest, len)?;
                if !uses.contains_key(&digest) {
                    self.unused_len = self.unused_len.saturating_add(len);
                }
            }
        }
        Ok(())
    }
}
