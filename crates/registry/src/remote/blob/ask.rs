//! One request for ranges, and its answer.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use chunked::{BlobRange, RangeSource, Ranges};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName};

use super::{Answer, BlobServer, Counters, RemoteBlob};
use crate::byteranges::{Byteranges, ContentRange, Invalid, is_multipart};
use crate::hosts::{Asked, Served, Transfer};

/// Bytes before the wanted ones that are read and thrown away rather than asking again.
const SKIP_LEN_MAX: u64 = 1 << 20;

/// Why there is no answer to read from.
#[derive(Debug)]
pub(super) enum Stop {
    /// The host can do less than was asked of it, and that is known now.
    Less,
    /// The answer broke off before there was anything to read.
    Broken(io::Error),
    /// Nothing helps.
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// An answer that is being read, part by part.
#[derive(Debug)]
pub(super) struct Incoming {
    body: Parts,
    /// What is left of the part at hand.
    pub(super) part: BlobRange,
    /// What to learn if the answer turns out not to be readable.
    asked: Asked,
    host: String,
}

#[derive(Debug)]
enum Parts {
    One(Metered),
    Several(Byteranges<Metered>),
}

impl Incoming {
    /// Reads on in the part at hand.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.part.len()).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..wanted).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let count = match &mut self.body {
            Parts::One(body) => body.read(buffer)?,
            Parts::Several(body) => body.read(buffer)?,
        };
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the answer ended early"));
        }
        let start = self.part.start().saturating_add(count as u64);
        self.part = BlobRange::new(start, self.part.end()).unwrap_or(self.part);
        Ok(count)
    }

    /// Goes to the next part; `false` after the last.
    pub(super) fn next_part(&mut self) -> io::Result<bool> {
        let Parts::Several(body) = &mut self.body else { return Ok(false) };
        let next = body.next_part()?;
        self.part = next.unwrap_or(self.part);
        Ok(next.is_some())
    }

    /// Reads what follows the last wanted byte, if that is next to nothing, so that the connection can be used again.
    pub(super) fn finish(self) {
        if let Parts::Several(mut body) = self.body
            && self.part.is_empty()
            && let Ok(None) = body.next_part()
        {
            // An error here means another connection next time, and nothing else.
            let _ = body.into_inner().read(&mut [0; 256]);
        }
    }
}

/// A body that is counted and measured.
pub(super) struct Metered {
    body: Box<dyn Read + Send>,
    transfer: Transfer,
    traffic: Arc<Counters>,
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered").field("transfer", &self.transfer).finish_non_exhaustive()
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.transfer.read(&mut self.body, buffer)?;
        self.traffic.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<S: BlobServer> RemoteBlob<S> {
    /// Sends one request for `ranges`, which are ascending and not empty. `skips` allows to read the blob from its start
    /// where it can be had only so.
    pub(super) fn ask(&self, ranges: &[BlobRange], skips: bool) -> Result<Incoming, Stop> {
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
            return Err(Stop::Failed(io::ErrorKind::InvalidInput.into()));
        };
        let known = self.abilities().ranges;
        let is_whole = first.start() == 0 && first.end() == self.len;
        let value = header_value(ranges);
        let is_within = match known {
            Ranges::Many { count, header_len } => {
                ranges.len() == 1 || (ranges.len() <= count && value.len() <= header_len)
            }
            Ranges::One => ranges.len() == 1,
            Ranges::None => skips || (ranges.len() == 1 && first.start() <= SKIP_LEN_MAX),
        };
        if !is_within {
            return Err(Stop::Less);
        }
        let value = (!is_whole && known != Ranges::None).then_some(value);
        let asked = Asked { ranges: ranges.len(), header_len: value.as_ref().map_or(0, String::len) };
        let answer = self.send(value.as_deref(), asked)?;
        let hull = BlobRange::new(first.start(), last.end()).unwrap_or(*first);
        match (answer.status.as_u16(), value) {
            (200, None) => self.whole(answer, asked),
            (200, Some(_)) => {
                self.hosts.learn(&answer.host, asked, Served::Whole);
                let is_near = ranges.len() == 1 && first.start() <= SKIP_LEN_MAX;
                if is_near { self.whole(answer, asked) } else { Err(Stop::Less) }
            }
            (206, Some(_)) => self.partial(answer, asked, hull),
            (404 | 410, _) => Err(refusal(io::ErrorKind::NotFound, &answer)),
            (401 | 403 | 407 | 451, _) => Err(refusal(io::ErrorKind::PermissionDenied, &answer)),
            (416, Some(_)) if let Some(found) = self.other_len(&answer) => Err(self.wrong_len(found)),
            (status @ (400..=499 | 501), Some(_)) => {
                self.hosts.learn(&answer.host, asked, Served::Refused(status));
                Err(Stop::Less)
            }
            _ => Err(refusal(io::ErrorKind::Other, &answer)),
        }
    }

    fn send(&self, value: Option<&str>, asked: Asked) -> Result<Answer, Stop> {
        let start = Instant::now();
        let answer = self.server.get(&self.digest, value).map_err(io::Error::from)?;
        self.traffic.requests.fetch_add(answer.sent, Ordering::Relaxed);
        self.traffic.retries.fetch_add(answer.retries, Ordering::Relaxed);
        self.hosts.leads_to(self.server.registry(), &answer.host);
        // Waits before retries are no round trips, and several ranges may be looked for before the answer begins.
        if answer.retries == 0 && asked.ranges == 1 {
            self.hosts.answered(&answer.host, start.elapsed());
        }
        Ok(answer)
    }

    fn whole(&self, answer: Answer, asked: Asked) -> Result<Incoming, Stop> {
        if let Some(found) = number(&answer, &CONTENT_LENGTH).filter(|len| *len != self.len) {
            return Err(self.wrong_len(found));
        }
        let part = BlobRange::saturating(0, self.len);
        let host = answer.host.clone();
        Ok(Incoming { body: Parts::One(self.metered(answer, 1)), part, asked, host })
    }

    /// Takes an answer with the status 206 to a request for ranges within `hull`.
    fn partial(&self, answer: Answer, asked: Asked, hull: BlobRange) -> Result<Incoming, Stop> {
        let incoming =
            self.parts(answer, asked).map_err(|(host, error)| self.unreadable(&host, asked, error))?;
        let is_one = matches!(incoming.body, Parts::One(_));
        let part = incoming.part;
        let is_enough = part.start() <= hull.start() && hull.start() < part.end();
        let served = match is_one {
            false => Served::All,
            true if is_enough && (asked.ranges == 1 || hull.end() <= part.end()) => Served::All,
            true => Served::Fewer,
        };
        self.hosts.learn(&incoming.host, asked, served);
        if served == Served::All { Ok(incoming) } else { Err(Stop::Less) }
    }

    fn parts(&self, answer: Answer, asked: Asked) -> Result<Incoming, (String, io::Error)> {
        let host = answer.host.clone();
        let content_type = text(&answer, &CONTENT_TYPE);
        let failed = |error: io::Error| (host.clone(), error);
        let (body, part) = if is_multipart(&content_type) {
            let body = self.metered(answer, asked.ranges);
            let body = Byteranges::new(body, &content_type, self.len, asked.ranges);
            let mut body = body.map_err(|invalid| failed(invalid.into()))?;
            let part = body.next_part().map_err(failed)?.ok_or_else(|| failed(Invalid::NoParts.into()))?;
            (Parts::Several(body), part)
        } else {
            let range =
                ContentRange::parse(&text(&answer, &CONTENT_RANGE)).and_then(|range| range.of_blob(self.len));
            let range = range.map_err(|invalid| failed(invalid.into()))?;
            (Parts::One(self.metered(answer, 1)), range)
        };
        Ok(Incoming { body, part, asked, host })
    }

    /// Judges an answer that cannot be read, or not any further.
    fn unreadable(&self, host: &str, asked: Asked, error: io::Error) -> Stop {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Invalid::BlobLen { .. }) => Stop::Failed(error),
            Some(_) => {
                self.hosts.learn(host, asked, Served::Fewer);
                Stop::Less
            }
            None => match error.kind() {
                ConnectionAborted | ConnectionReset | BrokenPipe | TimedOut | UnexpectedEof => {
                    Stop::Broken(error)
                }
                _ => Stop::Failed(error),
            },
        }
    }

    /// Judges an error in the middle of an answer.
    pub(super) fn judge(&self, incoming: &Incoming, error: io::Error) -> Stop {
        self.unreadable(&incoming.host, incoming.asked, error)
    }

    /// Takes note that the parts of an answer cannot be put in order.
    pub(super) fn disordered(&self, incoming: &Incoming) {
        self.hosts.learn(&incoming.host, incoming.asked, Served::Fewer);
    }

    fn metered(&self, answer: Answer, ranges: usize) -> Metered {
        let transfer = self.hosts.transfer(&answer.host, ranges);
        Metered { body: answer.body, transfer, traffic: self.traffic.clone() }
    }

    /// Returns the blob's length by the answer to a range that cannot be had, if it is not the right one.
    fn other_len(&self, answer: &Answer) -> Option<u64> {
        let range = ContentRange::parse(&text(answer, &CONTENT_RANGE)).ok()?;
        range.blob_len.filter(|len| *len != self.len)
    }

    fn wrong_len(&self, found: u64) -> Stop {
        Stop::Failed(Invalid::BlobLen { expected: self.len, found }.into())
    }
}

/// Writes the value of a `Range` header.
pub(crate) fn header_value(ranges: &[BlobRange]) -> String {
    let ranges: Vec<_> =
        ranges.iter().map(|range| format!("{}-{}", range.start(), range.end().saturating_sub(1))).collect();
    format!("bytes={}", ranges.join(","))
}

fn text(answer: &Answer, name: &HeaderName) -> String {
    answer
        .headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}

fn number(answer: &Answer, name: &HeaderName) -> Option<u64> {
    text(answer, name).parse().ok()
}

fn refusal(kind: io::ErrorKind, answer: &Answer) -> Stop {
    let text = match kind {
        io::ErrorKind::NotFound => format!("`{}` does not have the blob", answer.host),
        _ => format!("`{}` answers {}", answer.host, answer.status),
    };
    Stop::Failed(io::Error::new(kind, text))
}
