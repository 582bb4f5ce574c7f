//! Fetches a batch of chunks, unless they are here: asks for them, decodes, verifies and stores each as it comes.

use std::io::{self, Read};
use std::sync::Arc;

use chunked::digest::Hasher;
use chunked::frame::{self, Decoder};
use chunked::plan::{FetchPlan, plan};
use chunked::{BlobRange, ChunkKind, Class, ContentDigest};

use super::queue::{Job, Urgency};
use super::{Failure, Fetcher, Layer, Place, is_small};

/// Longest chunk that is decoded in memory. What a content without a boundary makes longer is decoded piece by piece.
pub(super) const SMALL_LEN_MAX: u64 = 4 << 20;
/// Longest frame of such a chunk: a frame hardly grows beyond its content.
const FRAME_LEN_MAX: u64 = 2 * SMALL_LEN_MAX;
/// Bytes of a longer chunk that are written at once.
const PIECE_LEN: usize = 1 << 20;
/// Plans without anything new before a source that can do less each time is given up.
const PLANS_MAX: usize = 6;

/// A thread's worth of fetching.
pub(super) struct Carrier<'f, 's> {
    pub(super) fetcher: &'f Fetcher<'s>,
    decoder: Decoder,
    frame: Vec<u8>,
    pub(super) content: Vec<u8>,
}

impl<'f, 's> Carrier<'f, 's> {
    pub(super) fn new(fetcher: &'f Fetcher<'s>) -> Self {
        Self { fetcher, decoder: Decoder::new(), frame: Vec::new(), content: Vec::new() }
    }

    /// Fetches chunks of one layer. Each of them ends: it is here, or failed, or is put back.
    pub(super) fn carry(&mut self, urgency: Urgency, mut jobs: Vec<Job>) {
        self.copy_known(&mut jobs);
        if jobs.is_empty() {
            return;
        }
        jobs.sort_unstable_by_key(|job| job.chunk.blob.start());
        let layer = jobs.first().and_then(|job| self.fetcher.layer(job.source));
        let Some(layer) = layer else {
            return self.fail(&jobs, &Failure::NoLayer);
        };
        if urgency != Urgency::Fill && layer.is_resting() {
            self.fetcher.go_elsewhere(&mut jobs);
            if jobs.is_empty() {
                return;
            }
        }
        let mut failure = Failure::NoLayer;
        for place in layer.places() {
            match self.carry_from(&place, &layer, urgency, jobs) {
                Ok(()) => return,
                Err((left, why)) => (jobs, failure) = (left, why),
            }
        }
        self.fetcher.put_off(&layer, &failure);
        self.fail(&jobs, &failure);
    }

    /// Fetches chunks from one place. Returns those that did not come, and why.
    fn carry_from(
        &mut self,
        place: &Place,
        layer: &Layer,
        urgency: Urgency,
        mut jobs: Vec<Job>,
    ) -> Result<(), (Vec<Job>, Failure)> {
        let mut fruitless = 0;
        while fruitless < PLANS_MAX {
            let plan = self.plan(place, layer, urgency, &jobs);
            let (now, mut later) = split(&plan, jobs);
            if urgency != Urgency::Fill {
                // Other carriers take the other requests.
                self.fetcher.put_back(&later);
                later.clear();
            }
            let ranges = plan.requests.into_iter().next().map(|request| request.ranges).unwrap_or_default();
            let mut left = now.as_slice();
            let ended = self.request(place, layer, urgency, &ranges, &mut left);
            self.fetcher.counters().request(ended.is_ok());
            fruitless = if left.len() < now.len() { 0 } else { fruitless + 1 };
            jobs = left.iter().chain(&later).copied().collect();
            match ended {
                Ok(()) if jobs.is_empty() => return Ok(()),
                Ok(()) if left.is_empty() => {}
                // What can do less is asked for less.
                Err(failure) if failure.class() == Class::Unsupported => {}
                Err(failure) => return Err((jobs, failure)),
                Ok(()) => return Err((jobs, Failure::source(&io::ErrorKind::ConnectionAborted.into()))),
            }
        }
        Err((jobs, Failure::source(&io::ErrorKind::Unsupported.into())))
    }

    fn plan(&self, place: &Place, layer: &Layer, urgency: Urgency, jobs: &[Job]) -> FetchPlan {
        let mut missing: Vec<BlobRange> = jobs.iter().map(|job| job.chunk.blob).collect();
        missing.dedup();
        let payload = BlobRange::saturating(0, layer.record().payload_len);
        let mut abilities = self.fetcher.supply.abilities(place, layer.record());
        self.fetcher.note_link(&abilities.link);
        if urgency == Urgency::Fill {
            // Several carriers fill in, each with one request after another.
            abilities.parallelism = 1;
        }
        plan(&missing, payload, &abilities)
    }

    /// Sends one request. What came is taken off `left`.
    fn request(
        &mut self,
        place: &Place,
        layer: &Layer,
        urgency: Urgency,
        ranges: &[BlobRange],
        left: &mut &[Job],
    ) -> Result<(), Failure> {
        let fetcher = self.fetcher;
        let read = fetcher.supply.read(place, layer.record(), ranges, &mut |inner| {
            let mut body = Body { inner, at: 0 };
            for range in ranges {
                body.at = range.start();
                while let Some((job, rest)) = left.split_first()
                    && job.chunk.blob.end() <= range.end()
                {
                    fetcher.give_way(urgency, &job.key);
                    body.skip_to(job.chunk.blob.start())?;
                    let brought = self.bring(job, &mut body)?;
                    *left = rest;
                    fetcher.ended(urgency, job, brought);
                    if fetcher.is_stopped() {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
                body.skip_to(range.end())?;
            }
            Ok(())
        });
        read.map_err(|error| Failure::source(&error))
    }

    /// Reads one chunk. An error of the inside is that chunk's alone, one of the outside that of the source.
    fn bring(&mut self, job: &Job, body: &mut Body<'_>) -> io::Result<Result<(), Failure>> {
        if job.chunk.file.len() > SMALL_LEN_MAX {
            return self.bring_giant(job, body);
        }
        let len = usize::try_from(job.chunk.blob.len().min(FRAME_LEN_MAX)).unwrap_or(usize::MAX);
        self.frame.resize(len, 0);
        body.read_exact(&mut self.frame)?;
        // What a TOC claims to belong to a frame besides is passed over.
        body.skip_to(job.chunk.blob.end())?;
        Ok(self.decode(job).and_then(|()| self.store(job)))
    }

    fn decode(&mut self, job: &Job) -> Result<(), Failure> {
        self.content.resize(usize::try_from(job.chunk.file.len()).unwrap_or(usize::MAX), 0);
        let decoded = self.decoder.frame_into(&self.frame, &mut self.content);
        decoded.map_err(|error| damaged(job, &error))?;
        check(job, ContentDigest::of(&self.content))
    }

    pub(super) fn store(&self, job: &Job) -> Result<(), Failure> {
        if is_small(&job.content) {
            self.fetcher.store.objects().put(&job.content.digest, &self.content)?;
            self.fetcher.counters().object();
            return Ok(());
        }
        let held = self.fetcher.held(job.key.node, &job.content)?;
        held.write(job.key.chunk as usize, &self.content)?;
        self.fetcher.ripen(&held);
        Ok(())
    }

    /// Decodes a chunk that is too long to be held in memory, while it comes. Its last piece, which says that it is here, is
    /// written when the digest of all is right.
    fn bring_giant(&mut self, job: &Job, body: &mut Body<'_>) -> io::Result<Result<(), Failure>> {
        let held = match self.fetcher.held(job.key.node, &job.content) {
            Ok(held) => held,
            Err(failure) => return Ok(Err(failure)),
        };
        let end = job.chunk.blob.end();
        let mut broken = None;
        let limited = Broken { inner: body.take(job.chunk.blob.len()), error: &mut broken };
        let decoded = frame::content(limited).map_err(|error| damaged(job, &error)).and_then(|content| {
            let mut content = content.take(job.chunk.file.len().saturating_add(1));
            let (mut hasher, mut at) = (Hasher::new(), job.chunk.file.start());
            let (mut held_back, mut left) = (Vec::new(), job.chunk.file.len());
            loop {
                let mut piece = Vec::with_capacity(PIECE_LEN);
                let read = content.by_ref().take(PIECE_LEN as u64).read_to_end(&mut piece);
                let len = read.map_err(|error| damaged(job, &error))? as u64;
                if len == 0 {
                    break;
                }
                left = left.checked_sub(len).ok_or_else(|| wrong_len(job))?;
                hasher.update(&piece);
                let earlier = std::mem::replace(&mut held_back, piece);
                write_piece(&held, job, &mut at, &earlier)?;
            }
            if left > 0 {
                return Err(wrong_len(job));
            }
            check(job, hasher.finish_content())?;
            write_piece(&held, job, &mut at, &held_back)?;
            self.fetcher.ripen(&held);
            Ok(())
        });
        if let Some(error) = broken {
            return Err(error);
        }
        body.skip_to(end)?;
        Ok(decoded)
    }

    fn fail(&self, jobs: &[Job], failure: &Failure) {
        for job in jobs {
            self.fetcher.ended(Urgency::Fill, job, Err(failure.clone()));
        }
    }
}

fn write_piece(held: &Arc<super::Held<'_>>, job: &Job, at: &mut u64, piece: &[u8]) -> Result<(), Failure> {
    if !piece.is_empty() {
        held.write_piece(job.key.chunk as usize, *at, piece)?;
        *at = at.saturating_add(piece.len() as u64);
    }
    Ok(())
}

/// Splits jobs, which ascend, into those of the first request of a plan, and the others.
fn split(plan: &FetchPlan, jobs: Vec<Job>) -> (Vec<Job>, Vec<Job>) {
    let ranges = plan.requests.first().map(|request| request.ranges.as_slice()).unwrap_or_default();
    let is_in = |job: &Job| {
        let blob = job.chunk.blob;
        ranges.iter().any(|range| range.start() <= blob.start() && blob.end() <= range.end())
    };
    jobs.into_iter().partition(is_in)
}

fn check(job: &Job, found: ContentDigest) -> Result<(), Failure> {
    let expected = match job.chunk.digest {
        Some(digest) if job.content.chunk_count > 1 => digest,
        _ if job.content.chunk_count == 1 => job.content.digest,
        // Such a layer is not served in parts.
        _ => return Err(Failure::Contradiction { digest: job.content.digest }),
    };
    debug_assert_eq!(job.chunk.kind, ChunkKind::Data, "holes are not fetched");
    if found == expected { Ok(()) } else { Err(Failure::Wrong { expected, found }) }
}

fn wrong_len(job: &Job) -> Failure {
    let expected = job.chunk.file.len();
    let text = format!("it does not hold {expected} bytes");
    Failure::Frame { digest: job.content.digest, text: text.into() }
}

fn damaged(job: &Job, error: &io::Error) -> Failure {
    let text = crate::error::shorten(&error.to_string()).into();
    Failure::Frame { digest: job.content.digest, text }
}

/// The bytes of an answer, with their place in the blob.
struct Body<'b> {
    inner: &'b mut dyn Read,
    at: u64,
}

impl Body<'_> {
    fn skip_to(&mut self, start: u64) -> io::Result<()> {
        let gap = start.saturating_sub(self.at);
        let skipped = io::copy(&mut self.by_ref().take(gap), &mut io::sink())?;
        if skipped == gap { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

/// Tells failures to read from failures to decode.
struct Broken<'e, R> {
    inner: io::Take<R>,
    error: &'e mut Option<io::Error>,
}

impl<R: Read> Read for Broken<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let error = match self.inner.read(buffer) {
            Ok(0) if self.inner.limit() > 0 && !buffer.is_empty() => io::ErrorKind::ConnectionAborted.into(),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => error,
            other => return other,
        };
        let kind = error.kind();
        *self.error = Some(error);
        Err(kind.into())
    }
}
