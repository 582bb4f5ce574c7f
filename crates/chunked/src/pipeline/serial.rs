//! What goes from start to end and cannot be shared out: the digest of the tar, and files too long for one worker.

use crossbeam_channel::{Receiver, Sender};

use super::sink::Staged;
use super::slab::Stretch;
use crate::digest::{ContentDigest, DiffId, Hasher, update_both};
use crate::error::Error;

/// The next thing in the tar.
pub(super) enum Serial<'s> {
    /// Bytes of the tar.
    Tar(Stretch),
    /// A file starts, which may be kept.
    Open(Option<Staged<'s>>),
    /// Bytes of the tar that are content of that file.
    Content(Stretch),
    /// Zeros of that file that are not in the tar.
    Zeros(Stretch),
    /// The file is whole; its digest is awaited.
    Close(Sender<ContentDigest>),
}

/// Hashes and stores until there is no more, and returns the digest and the length of the tar.
pub(super) fn run(serial: Receiver<Serial<'_>>) -> Result<(DiffId, u64), Error> {
    let (mut tar, mut len) = (Hasher::new(), 0u64);
    let (mut file, mut staged) = (Hasher::new(), None);
    for next in serial {
        if let Serial::Tar(bytes) | Serial::Content(bytes) = &next {
            len = len.saturating_add(bytes.len() as u64);
        }
        if let (Serial::Content(bytes) | Serial::Zeros(bytes), Some(staged)) = (&next, &mut staged) {
            bytes.slices().try_for_each(|slice| Staged::write(staged, slice))?;
        }
        match next {
            Serial::Tar(bytes) => bytes.slices().for_each(|slice| tar.update(slice)),
            Serial::Content(bytes) => {
                bytes.slices().for_each(|slice| update_both(&mut tar, &mut file, slice));
            }
            Serial::Zeros(bytes) => bytes.slices().for_each(|slice| file.update(slice)),
            Serial::Open(opened) => (file, staged) = (Hasher::new(), opened),
            Serial::Close(reply) => {
                let digest = std::mem::take(&mut file).finish_content();
                if let Some(staged) = staged.take() {
                    staged.commit(digest)?;
                }
                // Nobody waits when another stage has failed.
                let _ = reply.send(digest);
            }
        }
    }
    Ok((DiffId(tar.finish()), len))
}
