//! Blobs on their way in: what has come of each, and who writes it.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chunked::digest::{BlobDigest, Digest, Hasher};
use registry::staged::Staged;

use crate::route::RepositoryName;
use crate::verified;

/// Most uploads at once. Each has a file open.
const UPLOADS_MAX: usize = 256;
/// How long an upload is kept that nobody goes on with.
const IDLE_MAX: Duration = Duration::from_secs(15 * 60);

/// What identifies an upload: nothing that could be guessed, as whoever knows it may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct UploadId([u8; 16]);

impl UploadId {
    fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        let count = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
        if count == bytes.len() { Ok(Self(bytes)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for UploadId {
    type Err = NotThere;

    fn from_str(text: &str) -> Result<Self, NotThere> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex).ok_or(NotThere::Unknown)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// Says why an upload cannot be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotThere {
    /// There is none: it never began, it ended, or it was idle for too long.
    Unknown,
    /// Another request writes to it.
    Busy,
}

/// The uploads that have begun.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    sessions: Mutex<HashMap<UploadId, Session>>,
}

#[derive(Debug)]
struct Session {
    repository: RepositoryName,
    touched: Instant,
    /// Nothing while a request writes to it.
    upload: Option<Upload>,
}

impl Uploads {
    /// Begins an upload; `None` when there are too many.
    pub(crate) fn begin(&self, repository: &RepositoryName, upload: Upload) -> io::Result<Option<UploadId>> {
        let id = UploadId::random()?;
        let mut sessions = self.sessions();
        sessions.retain(|_, session| session.upload.is_none() || session.touched.elapsed() < IDLE_MAX);
        if sessions.len() >= UPLOADS_MAX {
            return Ok(None);
        }
        let session =
            Session { repository: repository.clone(), touched: Instant::now(), upload: Some(upload) };
        sessions.insert(id, session);
        Ok(Some(id))
    }

    /// Takes an upload, so that nobody else writes to it.
    pub(crate) fn take(&self, repository: &RepositoryName, id: UploadId) -> Result<Upload, NotThere> {
        let mut sessions = self.sessions();
        let session = sessions.get_mut(&id).filter(|session| session.repository == *repository);
        session.ok_or(NotThere::Unknown)?.upload.take().ok_or(NotThere::Busy)
    }

    /// Gives an upload back, or ends it.
    pub(crate) fn give_back(&self, id: UploadId, upload: Option<Upload>) {
        let mut sessions = self.sessions();
        match upload {
            None => drop(sessions.remove(&id)),
            Some(upload) => {
                if let Some(session) = sessions.get_mut(&id) {
                    session.touched = Instant::now();
                    session.upload = Some(upload);
                }
            }
        }
    }

    /// Says how many bytes have come.
    pub(crate) fn len(&self, repository: &RepositoryName, id: UploadId) -> Result<u64, NotThere> {
        let sessions = self.sessions();
        let session = sessions.get(&id).filter(|session| session.repository == *repository);
        session.ok_or(NotThere::Unknown)?.upload.as_ref().map(Upload::len).ok_or(NotThere::Busy)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<UploadId, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A blob that is being written, and hashed on the way. Dropped, it leaves nothing.
pub(crate) struct Upload {
    staged: Staged,
    hasher: Hasher,
    len: u64,
}

impl Upload {
    /// Starts with nothing.
    pub(crate) fn new(staged: Staged) -> Self {
        Self { staged, hasher: Hasher::new(), len: 0 }
    }

    /// Counts the bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Adds bytes. After an error nothing is known of what is there.
    pub(crate) fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            self.staged.write_all(piece)?;
            self.hasher.update(piece);
            self.len = self.len.saturating_add(piece.len() as u64);
        }
        Ok(())
    }

    /// Returns the file if it is the blob of that digest.
    pub(crate) fn finish(self, digest: &BlobDigest) -> io::Result<Option<Staged>> {
        let is_blob = match digest.0 {
            Digest::Sha256(_) => self.hasher.finish() == digest.0,
            // It was not known beforehand that it would be asked for.
            Digest::Sha512(_) => verified::holds(self.staged.file(), self.len, digest)?,
        };
        Ok(is_blob.then_some(self.staged))
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("staged", &self.staged).field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use registry::directory::Directory;

    use super::*;

    fn upload(bytes: &'static [u8]) -> Upload {
        let dir = tempfile::tempdir().unwrap();
        let mut upload = Upload::new(Directory::open(dir.path()).unwrap().stage().unwrap());
        upload.write(&[Bytes::from_static(bytes)]).unwrap();
        upload
    }

    #[test]
    fn one_request_at_a_time_writes() {
        let (uploads, name) = (Uploads::default(), "a".parse().unwrap());
        let id = uploads.begin(&name, upload(b"abc")).unwrap().unwrap();
        assert_eq!(uploads.len(&name, id), Ok(3));
        assert_eq!(uploads.len(&"b".parse().unwrap(), id), Err(NotThere::Unknown));
        let taken = uploads.take(&name, id).unwrap();
        assert_eq!(uploads.take(&name, id).unwrap_err(), NotThere::Busy);
        assert_eq!(uploads.len(&name, id), Err(NotThere::Busy));
        uploads.give_back(id, Some(taken));
        assert_eq!(uploads.len(&name, id), Ok(3));
        uploads.give_back(id, None);
        assert_eq!(uploads.take(&name, id).unwrap_err(), NotThere::Unknown);
    }

    #[test]
    fn there_is_an_end_to_how_many_can_begin() {
        let (uploads, name) = (Uploads::default(), "a".parse().unwrap());
        let begun = (0..UPLOADS_MAX + 1).filter_map(|_| uploads.begin(&name, upload(b"")).unwrap());
        assert_eq!(begun.count(), UPLOADS_MAX);
    }

    #[test]
    fn ids_round_trip() {
        let id = UploadId::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "+0000000000000000000000000000000", "../x", &"A".repeat(32), &"0".repeat(33)] {
            assert_eq!(text.parse::<UploadId>(), Err(NotThere::Unknown), "{text}");
        }
    }

    #[test]
    fn only_the_right_digest_ends_an_upload() {
        let sha512 = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert!(upload(b"abc").finish(&BlobDigest::of(b"abc")).unwrap().is_some());
        assert!(upload(b"abc").finish(&BlobDigest::of(b"abd")).unwrap().is_none());
        assert!(upload(b"abc").finish(&sha512.parse().unwrap()).unwrap().is_some());
        assert!(upload(b"abd").finish(&sha512.parse().unwrap()).unwrap().is_none());
    }
}
