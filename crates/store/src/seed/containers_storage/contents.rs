//! What the layers of a store hold, by digest, as their TOCs tell.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use chunked::{ChunkKind, ContentDigest, Entry, FileRange, Limits, toc};
use serde::Deserialize;

use super::cache::ManifestCache;
use super::layer::Layer;
use crate::seed::Root;
use crate::seed::side_by_side::side_by_side;
use crate::seed::table::Table;

/// Most rows in memory: 96 MB, with the names about twice that. Layers beyond are found by path.
const ROWS_MAX: usize = 2_000_000;
/// Longest index of one layer that is read.
const CACHE_LEN_MAX: u64 = 64 << 20;
/// Longest TOC of one layer that is read, as JSON.
const TOC_LEN_MAX: u64 = 512 << 20;
/// Longest `zstd-chunked-layer-data`.
const FORMAT_LEN_MAX: u64 = 4 << 10;

// The names of files that belong to a layer: `=`, and what they are called in base64.
const CACHE: &str = "=Y2h1bmtlZC1tYW5pZmVzdC1jYWNoZQ==";
const TOC: &str = "=enN0ZC1jaHVua2VkLW1hbmlmZXN0";
const FORMAT: &str = "=enN0ZC1jaHVua2VkLWxheWVyLWRhdGE=";

/// Where some content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Which layer.
    pub(super) layer: usize,
    /// Its file's name, as a place in [`Contents::names`].
    name: u32,
    /// Which of the file's bytes.
    pub(super) range: FileRange,
}

/// The contents of all layers that have a TOC.
#[derive(Debug)]
pub(super) struct Contents {
    table: Table<Place>,
    names: Vec<Box<Path>>,
    /// Layers that have none that can be read, by their place.
    pub(super) plain: Vec<usize>,
}

impl Contents {
    /// Reads the TOCs of all layers.
    pub(super) fn load(root: &Root, layers: &[Layer]) -> Self {
        let rows = AtomicUsize::new(0);
        let read = side_by_side(layers, |number, layer| {
            let has_room = rows.load(Ordering::Relaxed) < ROWS_MAX;
            let draft = has_room.then(|| Draft::of_layer(root, number, layer)).flatten()?;
            rows.fetch_add(draft.rows.len(), Ordering::Relaxed);
            Some(draft)
        });
        let (mut all, mut plain) = (Draft::default(), Vec::new());
        for (number, draft) in read {
            match draft {
                Some(draft) => all.append(draft),
                None => plain.push(number),
            }
        }
        Self { table: Table::new(all.rows), names: all.names, plain }
    }

    /// Finds some content: which layer, the file below its directory, and which bytes.
    pub(super) fn find(&self, digest: &ContentDigest) -> Option<(Place, &Path)> {
        let place = self.table.get(digest)?;
        Some((place, self.names.get(place.name as usize)?))
    }
}

/// Rows that are being collected.
#[derive(Debug, Default)]
struct Draft {
    rows: Vec<(ContentDigest, Place)>,
    names: Vec<Box<Path>>,
}

impl Draft {
    /// Reads what a layer holds; `None` when it has no TOC, or one that cannot be read.
    fn of_layer(root: &Root, number: usize, layer: &Layer) -> Option<Self> {
        let file = |name: &str| layer.big_data(name);
        // composefs keeps a layer's files under their digests, of which the index of names knows nothing.
        let is_flat = root.read(&file(FORMAT), FORMAT_LEN_MAX).is_some_and(|json| is_flat(&json));
        let cache = root.read(&file(CACHE), CACHE_LEN_MAX).filter(|_| !is_flat);
        if let Some(cache) = cache.as_deref().and_then(ManifestCache::parse) {
            return Some(Self::of_cache(number, cache));
        }
        Self::of_toc(number, root.find(&file(TOC))?.open()?, is_flat)
    }

    fn of_cache(layer: usize, cache: ManifestCache<'_>) -> Self {
        let mut draft = Self::default();
        let mut known: HashMap<&str, u32> = HashMap::new();
        for place in cache.places() {
            let name = *known.entry(place.name).or_insert_with(|| draft.name(relative(place.name)));
            draft.rows.push((place.digest, Place { layer, name, range: place.range }));
        }
        draft
    }

    fn of_toc(layer: usize, json: File, is_flat: bool) -> Option<Self> {
        let mut draft = Self::default();
        let limits = Limits { toc_len: TOC_LEN_MAX, entries: ROWS_MAX as u64, ..Limits::default() };
        // The blob is not here, and where in it things were makes no difference.
        let visited = toc::visit(json, u64::MAX, &limits, |entry| draft.entry(layer, &entry, is_flat));
        visited.is_ok().then_some(draft)
    }

    fn entry(&mut self, layer: usize, entry: &Entry, is_flat: bool) {
        let Some(content) = &entry.content else { return };
        let path = match (is_flat, content.digest) {
            (false, _) => relative(&entry.name),
            (true, Some(digest)) => flat_path(&digest),
            (true, None) => return,
        };
        let name = self.name(path);
        let whole = content.digest.map(|digest| (digest, FileRange::saturating(0, entry.size)));
        let chunks = content.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Data);
        let chunks = chunks.filter_map(|chunk| Some((chunk.digest?, chunk.file)));
        let places = whole.into_iter().chain(chunks);
        self.rows.extend(places.map(|(digest, range)| (digest, Place { layer, name, range })));
    }

    /// Keeps a name. There are fewer than rows.
    fn name(&mut self, path: PathBuf) -> u32 {
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(path.into_boxed_path());
        number
    }

    fn append(&mut self, mut layer: Self) {
        let before = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.append(&mut layer.names);
        let shift = |(digest, place): (ContentDigest, Place)| {
            (digest, Place { name: place.name.saturating_add(before), ..place })
        };
        self.rows.extend(layer.rows.into_iter().map(shift));
    }
}

/// Makes the name of a TOC one below the layer's directory.
fn relative(name: &str) -> PathBuf {
    PathBuf::from(name.trim_start_matches('/'))
}

/// Returns where composefs keeps a content.
fn flat_path(digest: &ContentDigest) -> PathBuf {
    let hex = chunked::Digest::Sha256(digest.0).hex();
    let (fan, rest) = hex.split_at_checked(2).unwrap_or_default();
    [fan, rest].iter().collect()
}

/// Tells whether a layer is kept as composefs has it.
fn is_flat(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct LayerData {
        format: u64,
    }
    serde_json::from_slice::<LayerData>(json).is_ok_and(|data| data.format == 1)
}
