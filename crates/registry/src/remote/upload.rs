//! A blob on its way to a registry.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::{BufMut, Bytes, BytesMut};
use chunked::BlobDigest;

use crate::client::{Failure, Repository, Session};
use crate::error::Error;
use crate::sink::StagedBlob;

/// Bytes sent in one request. Each is kept until it has arrived, so that a broken connection costs no more than this.
/// Smaller blobs are sent when all of them is there, in one request.
const PIECE_LEN: usize = 8 << 20;
/// Longest piece that a registry may insist on, in bytes.
const PIECE_LEN_MAX: u64 = 128 << 20;

/// A blob that is uploaded while it is written. Dropped before its commit, the upload is given up.
#[derive(Debug)]
pub(super) struct Upload {
    repository: Arc<Repository>,
    buffer: BytesMut,
    len: u64,
    sender: Option<Sender>,
}

/// Sends pieces in the background.
#[derive(Debug)]
struct Sender {
    pieces: SyncSender<Bytes>,
    thread: JoinHandle<(Session, Result<(), Failure>)>,
    piece_len: usize,
}

impl Upload {
    pub(super) fn new(repository: Arc<Repository>) -> Self {
        Self { repository, buffer: BytesMut::new(), len: 0, sender: None }
    }

    fn piece_len(&self) -> usize {
        self.sender.as_ref().map_or(PIECE_LEN, |sender| sender.piece_len)
    }

    /// Hands what was written to the sender, which is started with the first piece.
    fn send(&mut self) -> Result<(), Failure> {
        let piece = self.buffer.split().freeze();
        let sender = match self.sender.take() {
            Some(sender) => sender,
            None => Sender::start(self.repository.clone())?,
        };
        if sender.pieces.send(piece).is_ok() {
            self.sender = Some(sender);
            return Ok(());
        }
        // It only ends early when it fails.
        sender.finish(&self.repository).map(drop)
    }

    fn finish(&mut self, digest: &BlobDigest) -> Result<(), Failure> {
        if self.sender.is_none() {
            let blob = self.buffer.split().freeze();
            return match self.repository.holds_blob(digest, self.len)? {
                true => Ok(()),
                false => self.repository.upload(digest, &blob),
            };
        }
        if !self.buffer.is_empty() {
            self.send()?;
        }
        let Some(sender) = self.sender.take() else { return Ok(()) };
        let session = sender.finish(&self.repository)?;
        let finished = self.repository.finish_upload(&session, digest);
        if finished.is_err() {
            self.repository.cancel(&session);
        }
        finished
    }
}

impl Sender {
    fn start(repository: Arc<Repository>) -> Result<Self, Failure> {
        let mut session = repository.start_upload()?;
        let wanted = usize::try_from(session.piece_len_min.min(PIECE_LEN_MAX)).unwrap_or(PIECE_LEN);
        // One piece on its way, one waiting, one being written.
        let (pieces, waiting) = sync_channel::<Bytes>(1);
        let send = move || {
            let sent = waiting.iter().try_for_each(|piece| repository.send_piece(&mut session, &piece));
            (session, sent)
        };
        let thread = thread::Builder::new().name("upload".to_owned()).spawn(send);
        let thread = thread.map_err(|source| Failure::NoThread { source })?;
        Ok(Self { pieces, thread, piece_len: wanted.max(PIECE_LEN) })
    }

    /// Waits until everything was sent.
    fn finish(self, repository: &Repository) -> Result<Session, Failure> {
        drop(self.pieces);
        match self.thread.join() {
            Ok((session, Ok(()))) => Ok(session),
            Ok((session, Err(failure))) => {
                repository.cancel(&session);
                Err(failure)
            }
            Err(_) => Err(Failure::Lost),
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.piece_len().saturating_sub(self.buffer.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or(bytes);
        self.buffer.put_slice(taken);
        self.len = self.len.saturating_add(taken.len() as u64);
        if self.buffer.len() >= self.piece_len() {
            self.send().map_err(|failure| self.repository.error(failure))?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StagedBlob for Upload {
    fn commit(mut self: Box<Self>, digest: BlobDigest) -> Result<u64, Error> {
        self.finish(&digest).map_err(|failure| self.repository.error(failure))?;
        Ok(self.len)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take()
            && let Ok(session) = sender.finish(&self.repository)
        {
            self.repository.cancel(&session);
        }
    }
}
