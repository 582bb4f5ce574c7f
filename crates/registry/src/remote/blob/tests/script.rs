//! A server that answers by a script, and a reader that says what the answers made it do.

use std::fmt::Write as _;
use std::sync::Mutex;

use chunked::digest::Digest;
use reqwest::header::{HeaderName, HeaderValue};

use super::super::*;
use crate::media_type::MediaType;

const LEN: usize = 1000;
/// The ranges that the tests read.
const WANTED: [(u64, u64); 3] = [(10, 20), (30, 45), (500, 520)];
const MULTIPART: &str = "multipart/byteranges; boundary=b";

pub(super) fn content() -> Vec<u8> {
    (0..LEN).map(|at| (at * 7 % 251) as u8).collect()
}

pub(super) fn octets() -> MediaType {
    "application/octet-stream".to_owned().into()
}

fn ranges(of: &[(u64, u64)]) -> Vec<BlobRange> {
    of.iter().map(|(start, end)| BlobRange::new(*start, *end).unwrap()).collect()
}

/// An answer as the script has it.
pub(super) struct Scripted {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// How the connection ends.
    end: Option<io::ErrorKind>,
}

impl Scripted {
    pub(super) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), end: None }
    }

    pub(super) fn whole() -> Self {
        Self { body: content(), ..Self::status(200) }.header("content-length", LEN)
    }

    pub(super) fn one((start, end): (u64, u64)) -> Self {
        Self { body: content()[start as usize..end as usize].to_vec(), ..Self::status(206) }
            .header("content-range", format!("bytes {start}-{}/{LEN}", end - 1))
    }

    pub(super) fn several(parts: &[(u64, u64)]) -> Self {
        let mut body = Vec::new();
        for (start, end) in parts {
            body.extend(format!("--b\r\nContent-Range: bytes {start}-{}/{LEN}\r\n\r\n", end - 1).as_bytes());
            body.extend(&content()[*start as usize..*end as usize]);
            body.extend(b"\r\n");
        }
        body.extend(b"--b--\r\n");
        Self::multipart(body)
    }

    /// What a server that can do everything answers.
    pub(super) fn right(asked: &[(u64, u64)]) -> Self {
        match asked {
            [] => Self::whole(),
            [one] => Self::one(*one),
            several => Self::several(several),
        }
    }

    /// Parts, said to be such, whatever they are.
    pub(super) fn multipart(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(206) }.header("content-type", MULTIPART)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The same, ending after `len` bytes as if that were all.
    pub(super) fn ends_after(mut self, len: usize) -> Self {
        self.body.truncate(len);
        self
    }

    /// The same, breaking off after `len` bytes.
    pub(super) fn cut(self, len: usize, end: io::ErrorKind) -> Self {
        Self { end: Some(end), ..self.ends_after(len) }
    }
}

/// A server that answers as a function says: of the number of the request, from 0, and the ranges asked for.
pub(super) struct Script<F> {
    pub(super) answer: F,
    pub(super) log: Mutex<Vec<Vec<(u64, u64)>>>,
}

impl<F: Fn(usize, &[(u64, u64)]) -> Scripted + Send + Sync> BlobServer for &Script<F> {
    fn registry(&self) -> &str {
        "registry"
    }

    fn get(&self, _: &BlobDigest, range: Option<&str>) -> Result<Answer, Error> {
        let asked: Vec<_> = range.map_or(Vec::new(), |range| {
            let ranges = range.strip_prefix("bytes=").unwrap().split(',');
            ranges
                .map(|range| range.split_once('-').unwrap())
                .map(|(first, last)| (first.parse().unwrap(), last.parse::<u64>().unwrap() + 1))
                .collect()
        });
        let number = {
            let mut log = self.log.lock().unwrap();
            log.push(asked.clone());
            log.len() - 1
        };
        let Scripted { status, headers, body, end } = (self.answer)(number, &asked);
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        Ok(Answer {
            status: StatusCode::from_u16(status).unwrap(),
            host: "blobs".to_owned(),
            headers: headers.collect(),
            body: Box::new(io::Cursor::new(body).chain(End(end))),
            sent: 1,
            retries: 0,
        })
    }
}

/// Ends a body.
struct End(Option<io::ErrorKind>);

impl Read for End {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.map_or(Ok(0), |kind| Err(kind.into()))
    }
}

/// Reads as an executor of plans does: by what the source can do by now.
fn read(blob: &impl RangeSource, wanted: &[BlobRange]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut left = wanted;
    while !left.is_empty() {
        let (now, rest) = match blob.abilities().ranges {
            Ranges::Many { .. } => (left, &left[..0]),
            Ranges::One => left.split_at(1),
            Ranges::None => {
                let mut whole = Vec::new();
                blob.read_range(BlobRange::new(0, blob.blob_len()).unwrap())?.read_to_end(&mut whole)?;
                bytes.extend(
                    left.iter().flat_map(|range| &whole[range.start() as usize..range.end() as usize]),
                );
                break;
            }
        };
        match blob.read_ranges(now) {
            Ok(mut body) => _ = body.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => continue,
            Err(error) => return Err(error),
        }
        left = rest;
    }
    Ok(bytes)
}

/// Reads the wanted ranges from a server, and says what it took.
pub(super) fn told(name: &str, answer: impl Fn(usize, &[(u64, u64)]) -> Scripted + Send + Sync) -> String {
    let script = Script { answer, log: Mutex::default() };
    let digest = BlobDigest(Digest::of(&content()));
    let descriptor = Descriptor::new(octets(), digest, LEN as u64);
    let mut blob = RemoteBlob::new(&script, &descriptor, Hosts::default());
    blob.first_wait = Duration::ZERO;
    let read = read(&blob, &ranges(&WANTED));
    if let Ok(bytes) = &read {
        let expected: Vec<u8> = WANTED
            .iter()
            .flat_map(|(start, end)| content()[*start as usize..*end as usize].to_vec())
            .collect();
        assert_eq!(*bytes, expected, "{name}");
    }
    let Traffic { requests, retries, bytes } = blob.traffic();
    let log = script.log.lock().unwrap();
    assert_eq!(requests, log.len() as u64);
    let mut text = format!("{name}: {requests} requests, {retries} retries, {bytes} bytes");
    match read {
        Ok(_) => {}
        Err(error) => write!(text, "\n  {:?}: {error}", error.kind()).unwrap(),
    }
    writeln!(text, "\n  {:?}", blob.abilities().ranges).unwrap();
    for asked in log.iter() {
        writeln!(text, "  {asked:?}").unwrap();
    }
    text
}
