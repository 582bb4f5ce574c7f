//! The bytes of an upload, from the socket to the disk.

use std::mem;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use chunked::BlobRange;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{failed, next_bytes};
use crate::error::{Error, at_path};
use crate::problem::{Code, Problem};
use crate::uploads::Upload;

/// Bytes that are collected before they go to a thread that hashes and writes them.
const BATCH_LEN: usize = 1 << 20;
/// Pieces of them, as each takes memory of its own, however few bytes it has.
const BATCH_PIECES: usize = 256;

/// Writes what comes.
///
/// The upload comes back as far as it got, unless it cannot be gone on with.
pub(super) async fn receive(
    body: Body,
    upload: Upload,
    range: Option<BlobRange>,
) -> (Option<Upload>, Result<(), Problem>) {
    let mut writer = Writer::new(upload);
    let received = copy(body, &mut writer).await;
    match writer.finish().await {
        Err(problem) => (None, received.and(Err(problem))),
        // The piece is not what it was said to be, and cannot be taken back.
        Ok(upload) if received.is_ok() && range.is_some_and(|range| range.end() != upload.len()) => {
            (None, Err(other_len()))
        }
        Ok(upload) => (Some(upload), received),
    }
}

async fn copy(mut body: Body, writer: &mut Writer) -> Result<(), Problem> {
    while let Some(bytes) = next_bytes(&mut body).await? {
        writer.push(bytes).await?;
    }
    Ok(())
}

fn other_len() -> Problem {
    let message = "the piece is not as long as its `Content-Range` says; the upload has ended";
    Problem::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, message)
}

/// Collects bytes. While one batch is hashed and written, the next one comes in.
struct Writer {
    batch: Vec<Bytes>,
    batch_len: usize,
    upload: State,
}

enum State {
    Idle(Upload),
    /// A thread writes to it.
    Busy(JoinHandle<Result<Upload, Error>>),
    /// Writing failed.
    Lost,
}

impl Writer {
    fn new(upload: Upload) -> Self {
        Self { batch: Vec::new(), batch_len: 0, upload: State::Idle(upload) }
    }

    async fn push(&mut self, bytes: Bytes) -> Result<(), Problem> {
        self.batch_len = self.batch_len.saturating_add(bytes.len());
        self.batch.push(bytes);
        let is_full = self.batch_len >= BATCH_LEN || self.batch.len() >= BATCH_PIECES;
        if is_full { self.start().await } else { Ok(()) }
    }

    /// Starts to write what was collected, once the batch before is written.
    async fn start(&mut self) -> Result<(), Problem> {
        let mut upload = self.idle().await?;
        let batch = mem::take(&mut self.batch);
        self.batch_len = 0;
        self.upload = State::Busy(spawn_blocking(move || {
            upload.write(&batch).map_err(at_path("write", "an upload".as_ref()))?;
            Ok(upload)
        }));
        Ok(())
    }

    /// Writes the rest, and returns the upload.
    async fn finish(mut self) -> Result<Upload, Problem> {
        self.start().await?;
        self.idle().await
    }

    /// Takes the upload when nobody writes to it any more.
    async fn idle(&mut self) -> Result<Upload, Problem> {
        match mem::replace(&mut self.upload, State::Lost) {
            State::Idle(upload) => Ok(upload),
            State::Busy(writing) => Ok(writing.await.map_err(|_| failed())??),
            State::Lost => Err(failed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use registry::directory::Directory;

    use super::*;

    #[tokio::test]
    async fn small_pieces_are_not_collected_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(Upload::new(Directory::open(dir.path()).unwrap().stage().unwrap()));
        for _ in 0..10 * BATCH_PIECES + 1 {
            writer.push(Bytes::from_static(b"x")).await.unwrap();
            assert!(writer.batch.len() < BATCH_PIECES);
        }
        assert_eq!(writer.finish().await.unwrap().len(), 10 * BATCH_PIECES as u64 + 1);
    }
}
