//! Moves the blobs of an image: converted, each source blob once, or as they are.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::iter;

use chunked::annotations::{self, Annotations};
use chunked::convert::{SelfCheck, Source};
use chunked::digest::{BlobDigest, Digest};
use chunked::verifying::Mismatch;

use super::examine::is_intact;
use super::memo::{ConvertedLayer, Memo};
use super::plan::Layer;
use super::progress::{OfLayer, Progress};
use super::report::Origin;
use crate::blob::{Blob, FileBlob, read_verified};
use crate::copy::copy_blob;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::reference::Reference;
use crate::sink::{ImageSink, StagedBlob};
use crate::source::ImageSource;

/// Moves blobs from a source to a sink.
pub(super) struct Mover<'a> {
    pub(super) source: &'a dyn ImageSource,
    pub(super) sink: Box<dyn ImageSink>,
    options: &'a chunked::convert::Options,
    memo: Option<Memo>,
    progress: &'a dyn Progress,
    /// What was converted in this run.
    done: HashMap<BlobDigest, ConvertedLayer>,
    /// What was copied in this run, or found intact.
    copied: HashSet<(BlobDigest, u64)>,
    /// Failures of the memo, which cost nothing but time.
    pub(super) warnings: Vec<String>,
}

impl<'a> Mover<'a> {
    pub(super) fn new(
        source: &'a dyn ImageSource,
        sink: Box<dyn ImageSink>,
        options: &'a super::Options,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let memo = options.cache.as_deref().map(|path| Memo::open(path, &options.layer)).transpose()?;
        let options = &options.layer;
        Ok(Self {
            source,
            sink,
            options,
            memo,
            progress,
            done: HashMap::new(),
            copied: HashSet::new(),
            warnings: Vec::new(),
        })
    }

    /// Converts a layer, or takes what became of its blob before.
    pub(super) fn convert(&mut self, layer: &Layer) -> Result<(ConvertedLayer, Origin), Error> {
        let digest = layer.descriptor.digest;
        if let Some(converted) = self.done.get(&digest) {
            check_diff_id(self.source.reference(), layer, converted)?;
            self.progress.layer_advanced(layer.descriptor.len);
            return Ok((converted.clone(), Origin::Run));
        }
        let (converted, origin) = match self.recall(layer)? {
            Some(converted) => (converted, Origin::Cache),
            None => (self.convert_blob(layer)?, Origin::Fresh),
        };
        self.done.insert(digest, converted.clone());
        Ok((converted, origin))
    }

    /// Copies a blob as it is; `false` when the source does not have it.
    pub(super) fn copy(&mut self, descriptor: &Descriptor, progress: impl Fn(u64)) -> Result<bool, Error> {
        let key = (descriptor.digest, descriptor.len);
        if self.copied.contains(&key) || self.sink.has_blob(&descriptor.digest, descriptor.len)? {
            self.copied.insert(key);
            progress(descriptor.len);
            return Ok(true);
        }
        let Some(blob) = self.source.blob(descriptor)? else { return Ok(false) };
        if self.sink.adopt_blob(&descriptor.digest, self.source.reference())? {
            self.copied.insert(key);
            progress(descriptor.len);
            return Ok(true);
        }
        copy_blob(&*blob, descriptor, self.source.reference(), &mut *self.sink, progress)?;
        self.copied.insert(key);
        Ok(true)
    }

    /// Takes the result of an earlier run. One that turns out to be damaged counts as none.
    fn recall(&mut self, layer: &Layer) -> Result<Option<ConvertedLayer>, Error> {
        let found = self.memo.as_ref().and_then(|memo| memo.find(&layer.descriptor.digest));
        let Some((converted, blob)) = found else { return Ok(None) };
        check_diff_id(self.source.reference(), layer, &converted)?;
        if self.options.self_check == SelfCheck::On && !is_verified(&blob, &converted, layer) {
            self.warnings.push(format!(
                "the cache holds something else than layer {}, which is converted anew",
                layer.descriptor.digest
            ));
            return Ok(None);
        }
        match self.take(&converted, &blob) {
            Ok(()) => {
                self.progress.layer_advanced(layer.descriptor.len);
                Ok(Some(converted))
            }
            Err(error @ Error::ReadBlob { .. }) => {
                self.warnings
                    .push(format!("the cache holds a damaged blob, which is converted anew: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, converted: &ConvertedLayer, blob: &FileBlob) -> Result<(), Error> {
        let descriptor = converted.descriptor();
        if self.sink.has_blob(&descriptor.digest, descriptor.len)? {
            return Ok(());
        }
        copy_blob(blob, &descriptor, self.source.reference(), &mut *self.sink, |_| {})
    }

    fn convert_blob(&mut self, layer: &Layer) -> Result<ConvertedLayer, Error> {
        let Self { source, sink, options, memo, progress, warnings, .. } = self;
        let place = source.reference();
        let descriptor = &layer.descriptor;
        let unreadable = |error| source.read_error(descriptor, error);
        let blob = source.blob(descriptor)?.ok_or_else(|| source.no_blob(descriptor))?;
        let input = open_input(&*blob, descriptor).map_err(unreadable)?;
        let memory = memo.as_ref().map(Memo::start).transpose();
        let memory = memory.unwrap_or_else(|error| {
            warnings.push(not_remembered(&error));
            None
        });
        let mut output = Tee { blob: sink.start_blob()?, memory, failure: None };
        let converted = chunked::convert::convert(input, &mut output, options, &OfLayer(*progress))
            .map_err(|error| not_converted(place, descriptor, error))?;
        check_source(descriptor, &converted.source).map_err(unreadable)?;
        let converted = ConvertedLayer::from(converted);
        check_diff_id(place, layer, &converted)?;
        let Tee { blob, memory, failure } = output;
        warnings.extend(failure.as_ref().map(|error| not_remembered(error)));
        blob.commit(converted.digest)?;
        if let Some((memo, memory)) = memo.as_ref().zip(memory) {
            let remembered = memo.remember(&descriptor.digest, memory, &converted);
            warnings.extend(remembered.err().as_ref().map(|error| not_remembered(error)));
        }
        Ok(converted)
    }
}

/// Verifies a remembered layer: whoever can write to the directory can write a record, but not make a layer of it.
fn is_verified(blob: &FileBlob, converted: &ConvertedLayer, layer: &Layer) -> bool {
    if !converted.annotations.keys().all(|key| annotations::ALL_KEYS.contains(&key.as_str())) {
        return false;
    }
    let annotations = Annotations::parse(|key| converted.annotations.get(key).map(String::as_str));
    annotations.is_ok_and(|toc| is_intact(blob, converted.digest, toc.as_ref(), layer.diff_id))
}

/// Writes a blob to its place and to the memo, which may fail without harm.
struct Tee<'a, M> {
    blob: Box<dyn StagedBlob + 'a>,
    memory: Option<M>,
    /// Why the memo was given up.
    failure: Option<io::Error>,
}

impl<M: Write> Write for Tee<'_, M> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blob.write_all(bytes)?;
        if let Some(Err(error)) = self.memory.as_mut().map(|memory| memory.write_all(bytes)) {
            self.memory = None;
            self.failure = Some(error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

/// Opens the bytes of a layer. The converter hashes what it reads with SHA-256; any other digest is checked here.
fn open_input<'a>(blob: &'a dyn Blob, descriptor: &Descriptor) -> io::Result<Box<dyn Read + Send + 'a>> {
    match descriptor.digest.0 {
        Digest::Sha256(_) => {
            let whole = chunked::BlobRange::with_len(0, blob.blob_len()).ok_or(io::ErrorKind::InvalidData)?;
            blob.read_range(whole)
        }
        Digest::Sha512(_) => Ok(Box::new(read_verified(blob, descriptor)?)),
    }
}

/// Compares what was read with what the descriptor promises.
fn check_source(descriptor: &Descriptor, source: &Source) -> io::Result<()> {
    let Digest::Sha256(_) = descriptor.digest.0 else { return Ok(()) };
    if source.digest == descriptor.digest {
        return Ok(());
    }
    let mismatch = Mismatch::Digest { expected: descriptor.digest.0, found: source.digest.0 };
    Err(io::Error::new(io::ErrorKind::InvalidData, mismatch))
}

fn check_diff_id(place: &Reference, layer: &Layer, converted: &ConvertedLayer) -> Result<(), Error> {
    if converted.diff_id == layer.diff_id {
        return Ok(());
    }
    Err(Error::DiffId {
        place: Box::new(place.clone()),
        layer: Box::new(layer.descriptor.digest),
        expected: Box::new(layer.diff_id),
        found: Box::new(converted.diff_id),
    })
}

fn not_converted(place: &Reference, layer: &Descriptor, error: chunked::Error) -> Error {
    Error::Layer { place: Box::new(place.clone()), layer: Box::new(layer.digest), source: Box::new(error) }
}

/// Says why, down to the first cause: nobody else will.
fn not_remembered(error: &dyn std::error::Error) -> String {
    let causes = iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    format!("the cache does not remember a layer: {}", causes.collect::<Vec<_>>().join(": "))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    struct Nowhere;

    impl Write for Nowhere {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl StagedBlob for Nowhere {
        fn commit(self: Box<Self>, _: BlobDigest) -> Result<u64, Error> {
            Ok(0)
        }
    }

    #[test]
    fn a_full_cache_is_given_up_and_says_why() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut tee = Tee { blob: Box::new(Nowhere), memory: Some(full), failure: None };
        tee.write_all(&vec![7; 1 << 20]).unwrap();
        tee.write_all(b"more").unwrap();
        assert!(tee.memory.is_none());
        insta::assert_snapshot!(not_remembered(&tee.failure.unwrap()), @"the cache does not remember a layer: No space left on device (os error 28)");
        let source = io::Error::other("the disk is gone");
        let error = Error::Io { action: "write", path: "/cache".into(), source };
        insta::assert_snapshot!(not_remembered(&error), @"the cache does not remember a layer: cannot write `/cache`: the disk is gone");
    }
}
