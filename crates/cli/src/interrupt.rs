//! Being asked to stop: Ctrl-C, a closed terminal, a supervisor's SIGTERM.

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chunked::{Abilities, BlobDigest, BlobRange, RangeSource, Traffic};
use registry::blob::Blob;
use registry::{Descriptor, Document, ImageSource, Reference};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// Knows whether the process was asked to stop.
///
/// The first signal makes reading fail, so that everything ends as after any other failure and takes its unfinished
/// files away. The second one kills.
#[derive(Debug)]
pub(crate) struct Interrupt {
    signal: Arc<AtomicUsize>,
    /// Becomes readable with the first signal, to wake who waits for input.
    wake: PipeReader,
}

impl Interrupt {
    /// Takes over the signals that ask a process to stop.
    pub(crate) fn install() -> io::Result<Self> {
        let (wake, waker) = io::pipe()?;
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            let again = Arc::new(AtomicBool::new(false));
            // In this order: the default action is taken when the flag was set by an earlier signal.
            flag::register_conditional_default(number, Arc::clone(&again))?;
            flag::register(number, again)?;
            flag::register_usize(number, Arc::clone(&signal), usize::try_from(number).unwrap_or_default())?;
            low_level::pipe::register(number, waker.try_clone()?)?;
        }
        Ok(Self { signal, wake })
    }

    /// Ends the process by the signal that it got, as its parent expects; does nothing when there was none.
    pub(crate) fn die_if_asked(&self) {
        if self.was_asked() {
            let signal = self.signal.load(Ordering::Relaxed);
            // An error means that there is no such signal, and then there is nothing to die of.
            let _ = low_level::emulate_default_handler(i32::try_from(signal).unwrap_or(SIGTERM));
        }
    }

    /// Waits until the process is asked to stop.
    pub(crate) fn wait_for_signal(&self) {
        let mut ready = [PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        while !self.was_asked() && retry_on_intr(|| poll(&mut ready, None)).is_ok() {}
    }

    /// Reads `file` until the process is asked to stop.
    pub(crate) fn guard(&self, file: File) -> Guarded<'_> {
        Guarded { file, interrupt: self }
    }

    /// Reads the blobs of `image` until the process is asked to stop.
    pub(crate) fn guard_image<'a>(&'a self, image: &'a dyn ImageSource) -> GuardedImage<'a> {
        GuardedImage { image, interrupt: self }
    }

    /// Reads `blob` until the process is asked to stop.
    pub(crate) fn guard_blob<'a>(&'a self, blob: Box<dyn Blob + 'a>) -> GuardedBlob<'a> {
        GuardedBlob { blob, interrupt: self }
    }

    /// Fails once the process was asked to stop.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.was_asked() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }

    fn was_asked(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// Waits for input or for a signal.
    fn wait(&self, file: &File) -> io::Result<()> {
        let mut ready = [
            PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut ready, None))?;
        self.check()
    }
}

/// A file whose reading ends with an error once the process is asked to stop.
#[derive(Debug)]
pub(crate) struct Guarded<'a> {
    file: File,
    interrupt: &'a Interrupt,
}

impl Read for Guarded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt.wait(&self.file)?;
        self.file.read(buffer)
    }
}

/// An image whose blobs cannot be read any more once the process is asked to stop.
pub(crate) struct GuardedImage<'a> {
    image: &'a dyn ImageSource,
    interrupt: &'a Interrupt,
}

impl ImageSource for GuardedImage<'_> {
    fn reference(&self) -> &Reference {
        self.image.reference()
    }

    fn root(&self) -> &Descriptor {
        self.image.root()
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, registry::Error> {
        self.image.document(descriptor)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Blob + '_>>, registry::Error> {
        let blob = self.image.blob(descriptor)?;
        Ok(blob.map(|blob| Box::new(self.interrupt.guard_blob(blob)) as Box<dyn Blob>))
    }

    fn expect_blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Blob + '_>, registry::Error> {
        Ok(Box::new(self.interrupt.guard_blob(self.image.expect_blob(descriptor)?)))
    }

    fn referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, registry::Error> {
        self.image.referrers(subject)
    }

    fn tagged(&self, tag: &str) -> Result<Option<Descriptor>, registry::Error> {
        self.image.tagged(tag)
    }

    fn small_blob(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, registry::Error> {
        self.image.small_blob(descriptor)
    }
}

/// A blob that cannot be read any more once the process is asked to stop.
pub(crate) struct GuardedBlob<'a> {
    blob: Box<dyn Blob + 'a>,
    interrupt: &'a Interrupt,
}

impl RangeSource for GuardedBlob<'_> {
    fn blob_len(&self) -> u64 {
        self.blob.blob_len()
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.blob.read_range(range)?;
        Ok(Box::new(GuardedRead { bytes, interrupt: self.interrupt }))
    }

    fn read_ranges(&self, ranges: &[BlobRange]) -> io::Result<Box<dyn Read + Send + '_>> {
        self.interrupt.check()?;
        let bytes = self.blob.read_ranges(ranges)?;
        Ok(Box::new(GuardedRead { bytes, interrupt: self.interrupt }))
    }

    fn abilities(&self) -> Abilities {
        self.blob.abilities()
    }

    fn traffic(&self) -> Traffic {
        self.blob.traffic()
    }
}

struct GuardedRead<'a> {
    bytes: Box<dyn Read + Send + 'a>,
    interrupt: &'a Interrupt,
}

impl Read for GuardedRead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt.check()?;
        self.bytes.read(buffer)
    }
}
