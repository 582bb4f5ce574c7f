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

/// Writes what comes. While one batch is hashed and written, the next one is received.
///
/// The upload comes back as far as it got, unless it cannot be gone on with.
pub(super) async fn receive(
    mut body: Body,
    upload: Upload,
    range: Option<BlobRange>,
) -> (Option<Upload>, Result<(), Problem>) {
    let end = range.map(|range| range.end());
    let mut writer = Writer::Idle(upload);
    let mut batch = Batch::default();
    loop {
        let received = next_bytes(&mut body).await;
        let is_over = !matches!(received, Ok(Some(_)));
        if let Ok(Some(bytes)) = &received {
            batch.push(bytes.clone());
        }
        if batch.len >= BATCH_LEN || is_over {
            writer = match writer.join().await {
                Ok(upload) => Writer::start(upload, mem::take(&mut batch)),
                Err(problem) => return (None, Err(problem)),
            };
        }
        if is_over {
            return match writer.join().await {
                Err(problem) => (None, Err(problem)),
                Ok(upload) if received.is_ok() && end.is_some_and(|end| end != upload.len()) => {
                    // The piece is not what it was said to be, and cannot be taken back.
                    (None, Err(other_len()))
                }
                Ok(upload) => (Some(upload), received.map(drop)),
            };
        }
    }
}

fn other_len() -> Problem {
    let message = "the piece is not as long as its `Content-Range` says; the upload has ended";
    Problem::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, message)
}

/// Bytes on their way to the disk.
#[derive(Debug, Default)]
struct Batch {
    pieces: Vec<Bytes>,
    len: usize,
}

impl Batch {
    fn push(&mut self, bytes: Bytes) {
        self.len = self.len.saturating_add(bytes.len());
        self.pieces.push(bytes);
    }
}

/// An upload, or the thread that writes it.
enum Writer {
    Idle(Upload),
    Busy(JoinHandle<Result<Upload, Error>>),
}

impl Writer {
    fn start(mut upload: Upload, batch: Batch) -> Self {
        Self::Busy(spawn_blocking(move || {
            upload.write(&batch.pieces).map_err(at_path("write", "an upload".as_ref()))?;
            Ok(upload)
        }))
    }

    async fn join(self) -> Result<Upload, Problem> {
        match self {
            Self::Idle(upload) => Ok(upload),
            Self::Busy(writing) => Ok(writing.await.map_err(|_| failed())??),
        }
    }
}
