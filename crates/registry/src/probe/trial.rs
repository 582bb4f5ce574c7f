//! Requests for one range, for two, and for more and more.

use std::time::{Duration, Instant};

use chunked::BlobRange;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE};
use serde::Serialize;

use super::{Probe, seconds};
use crate::byteranges::{Byteranges, ContentRange, is_multipart};
use crate::client::Answer;
use crate::error::Error;
use crate::hosts::{Asked, Served};
use crate::remote::header_value;

/// Lengths of `Range` headers that are tried: what everybody takes, what nginx takes, and more than that.
const HEADER_LENS: [usize; 5] = [1000, 4000, 7500, 15_000, 30_000];
/// Requests for one range, of which the fastest counts: the first one makes a connection.
const SINGLE_TRIALS: usize = 4;

/// A request for ranges of one byte each, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// Ranges asked for.
    pub ranges: usize,
    /// Bytes of the `Range` header's value.
    pub header_len: usize,
    /// The status of the answer.
    pub status: u16,
    /// What the answer was.
    pub answered: Answered,
    /// Time until it was there.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub elapsed: Duration,
}

/// What an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// The one range that was asked for.
    Range,
    /// All of several ranges.
    Parts,
    /// Only some of several ranges, or none that can be read.
    Fewer,
    /// The whole blob, which was not read.
    Whole,
    /// No.
    Refused,
}

/// What the first answer tells beside the ranges.
#[derive(Debug)]
pub(super) struct First {
    pub(super) host: String,
    pub(super) http: String,
}

impl Probe<'_> {
    /// Asks for one range, for two, and for more until there is another answer.
    pub(super) fn trials(&self) -> Result<(First, Vec<Trial>), Error> {
        let (first, trial) = self.ask(1)?;
        let mut trials = vec![trial];
        while trials.len() < SINGLE_TRIALS && trials.iter().all(|trial| trial.answered == Answered::Range) {
            trials.push(self.ask(1)?.1);
        }
        let len = self.layer.len;
        let range_len = "0-0,".len() + 2 * (len.to_string().len() - 1);
        let counts = HEADER_LENS.iter().map(|header_len| header_len / range_len);
        // Ranges that are next to each other might be merged.
        let counts = std::iter::once(2).chain(counts).filter(|count| *count >= 2 && len / 3 >= *count as u64);
        for count in counts {
            if trials.last().is_some_and(|last| !matches!(last.answered, Answered::Range | Answered::Parts)) {
                break;
            }
            trials.push(self.ask(count)?.1);
        }
        Ok((first, trials))
    }

    /// Asks for single bytes all over the blob.
    fn ask(&self, count: usize) -> Result<(First, Trial), Error> {
        let stride = self.layer.len / count as u64;
        let ranges: Vec<_> =
            (0..count as u64).map(|number| BlobRange::saturating(number * stride + stride / 2, 1)).collect();
        let value = header_value(&ranges);
        let asked = Asked { ranges: count, header_len: value.len() };
        let start = Instant::now();
        let answer = self.repository.get_blob(&self.layer.digest, Some(&value))?;
        let retries = answer.retries;
        let first = First { host: answer.host.clone(), http: format!("{:?}", answer.version) };
        let status = answer.status.as_u16();
        let answered = self.judge(answer, &ranges);
        let elapsed = start.elapsed();
        self.learn(&first.host, asked, status, answered);
        if count == 1 && retries == 0 {
            self.hosts.answered(&first.host, elapsed);
        }
        Ok((first, Trial { ranges: count, header_len: value.len(), status, answered, elapsed }))
    }

    /// Reads an answer as far as it is short.
    fn judge(&self, answer: Answer, ranges: &[BlobRange]) -> Answered {
        let header = |name| {
            answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (content_type, content_range) = (header(CONTENT_TYPE), header(CONTENT_RANGE));
        match (answer.status.as_u16(), ranges) {
            (200, _) => Answered::Whole,
            (206, _) if is_multipart(&content_type) => {
                let parts = Byteranges::new(answer.body, &content_type, self.layer.len, ranges.len());
                let are_all = parts.is_ok_and(|mut parts| {
                    let all = std::iter::from_fn(|| parts.next_part().ok().flatten());
                    all.fold(0, |sum, part| sum + ranges.iter().filter(|range| holds(part, **range)).count())
                        >= ranges.len()
                });
                if are_all { Answered::Parts } else { Answered::Fewer }
            }
            (206, [range]) => {
                let part = ContentRange::parse(&content_range).and_then(|part| part.of_blob(self.layer.len));
                let is_right = part.is_ok_and(|part| holds(part, *range));
                answer.body.drain();
                if is_right { Answered::Range } else { Answered::Fewer }
            }
            (206, _) => Answered::Fewer,
            _ => Answered::Refused,
        }
    }

    fn learn(&self, host: &str, asked: Asked, status: u16, answered: Answered) {
        let served = match answered {
            Answered::Range | Answered::Parts => Served::All,
            Answered::Fewer => Served::Fewer,
            Answered::Whole => Served::Whole,
            Answered::Refused => Served::Refused(status),
        };
        // A header longer than what is ever sent may well be refused.
        if served == Served::All || asked.header_len <= crate::hosts::HEADER_LEN_MAX {
            self.hosts.learn(host, asked, served);
        }
    }
}

fn holds(part: BlobRange, range: BlobRange) -> bool {
    part.start() <= range.start() && range.end() <= part.end()
}

/// Returns the shortest time that one range took.
pub(super) fn round_trip(trials: &[Trial]) -> Duration {
    trials.iter().filter(|trial| trial.ranges == 1).map(|trial| trial.elapsed).min().unwrap_or_default()
}

/// Compares the request with the most ranges with those for one.
pub(super) fn per_range(trials: &[Trial]) -> Option<Duration> {
    let most =
        trials.iter().filter(|trial| trial.answered == Answered::Parts).max_by_key(|trial| trial.ranges)?;
    let further = u32::try_from(most.ranges.saturating_sub(1)).ok().filter(|count| *count > 0)?;
    Some(most.elapsed.saturating_sub(round_trip(trials)) / further)
}
