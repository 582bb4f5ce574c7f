use super::cuts::{Cuts, Uncut};
use super::tally::Tally;
use crate::digest::{ContentDigest, Hasher};
use crate::entry::{Chunk, ChunkKind, Content, Entry};
use crate::tar_split::shorten;

/// Compares the content of files, as it comes, with what the TOC says of it: where its frames are, and its digests.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Whether the frame of a chunk goes on with padding and headers.
    frames_go_on: bool,
    cuts: Cuts,
    current: Option<Current>,
    pub(super) files: u64,
    pub(super) chunks: u64,
    pub(super) ranges: Tally,
    pub(super) chunk_digests: Tally,
    pub(super) file_digests: Tally,
}

/// A file whose content is coming.
#[derive(Debug)]
struct Current {
    name: String,
    content: Content,
    /// Bytes of the file that came.
    at: u64,
    /// Index of the chunk that is coming.
    chunk: usize,
    file_hasher: Hasher,
    /// Only where there is more than one chunk.
    chunk_hasher: Option<Hasher>,
    /// Whether the chunk is zeros so far.
    zeros: bool,
}

impl Contents {
    /// Starts before the first file.
    pub(super) fn new(frames_go_on: bool) -> Self {
        Self { frames_go_on, ..Self::default() }
    }

    /// Starts the next member, with its row where it has one; its content comes next.
    pub(super) fn start(&mut self, row: Option<Entry>) {
        self.current = None;
        let Some(Entry { name, content: Some(content), .. }) = row else { return };
        self.files = self.files.saturating_add(1);
        self.current = Some(Current::new(&name, content));
        self.start_chunk();
    }

    /// Takes note that the tar goes on by `len` bytes that are not content.
    pub(super) fn raw(&mut self, len: usize) {
        let met = self.cuts.go_on(len);
        self.placed(met);
    }

    /// Takes the next bytes of the current file.
    pub(super) fn content(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = self.current.as_ref().map_or(u64::MAX, Current::left_of_chunk);
            let len = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (now, later) = bytes.split_at_checked(len).unwrap_or_default();
            self.raw(len);
            let ended = self.current.as_mut().is_some_and(|current| current.update(now));
            if ended {
                self.end_chunk();
            }
            bytes = later;
        }
    }

    /// Takes note that a frame ended at `offset` of the blob.
    pub(super) fn cut(&mut self, offset: u64) {
        let met = self.cuts.cut(offset);
        self.placed(met);
    }

    /// Takes note that nothing follows.
    pub(super) fn end(&mut self) {
        self.raw(0);
    }

    fn start_chunk(&mut self) {
        let Some(chunk) = self.current.as_ref().and_then(Current::chunk) else { return };
        self.chunks = self.chunks.saturating_add(1);
        if chunk.inner_offset == 0 {
            self.cuts.expect_here(chunk.blob.start());
        } else {
            let met = self.cuts.check_inside(chunk.blob.start(), chunk.inner_offset);
            self.placed(met);
        }
    }

    fn end_chunk(&mut self) {
        let Some(current) = &mut self.current else { return };
        let Some(chunk) = current.chunk().copied() else { return };
        if self.frames_go_on {
            self.cuts.expect_before(chunk.blob.end());
        } else {
            self.cuts.expect_here(chunk.blob.end());
        }
        let place = || format!("the chunk at byte {} of `{}`", chunk.file.start(), current.name);
        if let Some(hasher) = &mut current.chunk_hasher {
            let found = std::mem::take(hasher).finish_content();
            compare(&mut self.chunk_digests, chunk.digest, found, place);
        }
        if chunk.kind == ChunkKind::Zeros && !current.zeros {
            self.chunk_digests.fail(|| format!("{} is not zeros, as the TOC has it", place()));
        }
        current.zeros = true;
        current.chunk = current.chunk.saturating_add(1);
        if current.chunk < current.content.chunks.len() {
            self.start_chunk();
        } else {
            self.end_file();
        }
    }

    fn end_file(&mut self) {
        let Some(Current { name, content, file_hasher, chunk_hasher, .. }) = self.current.take() else {
            return;
        };
        let found = file_hasher.finish_content();
        if let (None, Some(Chunk { digest: Some(digest), .. })) = (chunk_hasher, content.chunks.first()) {
            compare(&mut self.chunk_digests, Some(*digest), found, || format!("the chunk of `{name}`"));
        }
        compare(&mut self.file_digests, content.digest, found, || format!("`{name}`"));
    }

    fn placed(&mut self, met: Result<(), Uncut>) {
        if let Err(uncut) = met {
            let place = self.current.as_ref().map(|current| (current.name.clone(), current.at));
            self.ranges.fail(|| match place {
                Some((name, at)) => format!("byte {at} of `{name}`: {uncut}"),
                None => format!("after the end of a file: {uncut}"),
            });
        }
    }
}

impl Current {
    fn new(name: &str, content: Content) -> Self {
        Self {
            name: shorten(name.as_bytes()),
            chunk_hasher: (content.chunks.len() > 1).then(Hasher::new),
            content,
            at: 0,
            chunk: 0,
            file_hasher: Hasher::new(),
            zeros: true,
        }
    }

    fn chunk(&self) -> Option<&Chunk> {
        self.content.chunks.get(self.chunk)
    }

    fn left_of_chunk(&self) -> u64 {
        self.chunk().map_or(u64::MAX, |chunk| chunk.file.end().saturating_sub(self.at))
    }

    /// Hashes bytes of one chunk; tells whether it ended.
    fn update(&mut self, bytes: &[u8]) -> bool {
        self.at = self.at.saturating_add(bytes.len() as u64);
        self.file_hasher.update(bytes);
        if let Some(hasher) = &mut self.chunk_hasher {
            hasher.update(bytes);
        }
        self.zeros = self.zeros && bytes.iter().all(|byte| *byte == 0);
        self.left_of_chunk() == 0
    }
}

fn compare(
    tally: &mut Tally,
    expected: Option<ContentDigest>,
    found: ContentDigest,
    place: impl FnOnce() -> String,
) {
    match expected {
        None => tally.skip(),
        Some(expected) if expected == found => tally.pass(),
        Some(expected) => tally.fail(|| format!("{} has the digest {found}, expected {expected}", place())),
    }
}
