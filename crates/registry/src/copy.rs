//! A blob from one place to another.

use std::io::{self, Read};

use crate::blob::{Blob, read_verified};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::reference::Reference;
use crate::sink::ImageSink;

/// Bytes moved at a time.
const COPY_LEN: usize = 256 << 10;

/// Copies a blob of the image `place`; what differs from `descriptor` is not committed.
pub(crate) fn copy_blob(
    blob: &dyn Blob,
    descriptor: &Descriptor,
    place: &Reference,
    sink: &mut dyn ImageSink,
    progress: impl Fn(u64),
) -> Result<(), Error> {
    let unreadable = |source| Error::ReadBlob {
        place: Box::new(place.clone()),
        digest: Box::new(descriptor.digest),
        source,
    };
    let destination = sink.reference().clone();
    let mut body = read_verified(blob, descriptor).map_err(unreadable)?;
    let mut staged = sink.start_blob()?;
    let mut buffer = vec![0; COPY_LEN];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        staged
            .write_all(buffer.get(..count).unwrap_or_default())
            .map_err(|source| Error::WriteBlob { place: Box::new(destination.clone()), source })?;
        progress(count as u64);
    }
    staged.commit(descriptor.digest).map(drop)
}
