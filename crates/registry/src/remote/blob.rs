//! A blob of a registry, one range at a time.

use std::io::{self, Read};

use chunked::{BlobDigest, BlobRange, RangeSource};
use reqwest::StatusCode;

use crate::client::{Answer, Repository};
use crate::descriptor::Descriptor;

/// A blob that is read with a request for each range.
#[derive(Debug)]
pub(super) struct SimpleBlob<'a> {
    repository: &'a Repository,
    digest: BlobDigest,
    len: u64,
}

impl<'a> SimpleBlob<'a> {
    /// Takes what `descriptor` says for true.
    pub(super) fn new(repository: &'a Repository, descriptor: &Descriptor) -> Self {
        Self { repository, digest: descriptor.digest, len: descriptor.len }
    }
}

impl RangeSource for SimpleBlob<'_> {
    fn blob_len(&self) -> u64 {
        self.len
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        if range.end() > self.len {
            let text = format!("bytes {range} reach beyond the blob of {} bytes", self.len);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        if range.is_empty() {
            return Ok(Box::new(io::empty()));
        }
        let is_whole = range.len() == self.len;
        let header = format!("bytes={}-{}", range.start(), range.end().saturating_sub(1));
        let answer = self.repository.get_blob(&self.digest, (!is_whole).then_some(header.as_str()))?;
        let skip = match answer.status {
            StatusCode::OK => range.start(),
            StatusCode::PARTIAL_CONTENT if begins_at(&answer, range.start()) => 0,
            status => return Err(refused(&self.digest, &answer.host, status)),
        };
        let mut body = answer.body;
        io::copy(&mut body.by_ref().take(skip), &mut io::sink())?;
        Ok(Box::new(body.take(range.len())))
    }
}

/// Tells whether an answer with a part of the blob is the part from `start` on (RFC 9110 §14.4).
fn begins_at(answer: &Answer, start: u64) -> bool {
    let header = answer.headers.get(reqwest::header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let first = header.and_then(|text| text.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    first == Some(start)
}

fn refused(digest: &BlobDigest, host: &str, status: StatusCode) -> io::Error {
    let kind = match status.as_u16() {
        404 => io::ErrorKind::NotFound,
        401 | 403 => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Unsupported,
    };
    io::Error::new(kind, format!("`{host}` answers {status} when asked for blob {digest}"))
}
