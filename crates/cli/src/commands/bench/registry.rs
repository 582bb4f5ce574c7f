//! Measures what a registry gives: how soon, how fast, and in which pieces best.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use chunked::BlobRange;
use registry::blob::Blob;
use registry::probe::{self, Serves};
use registry::{ImageSource, Reference, transport};
use serde::Serialize;

use super::spread::Spread;
use crate::access::{access, remember};
use crate::output::{print, print_text};
use crate::request::BenchRegistry;
use crate::ui::json::to_json;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, count, per_second};

/// Requests for a byte, to see how long an answer takes.
const PINGS: u64 = 20;
/// Connections that are tried.
const CONNECTIONS: [usize; 4] = [1, 2, 4, 8];
/// Lengths of ranges that are tried.
const RANGE_LENS: [u64; 6] = [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20];
/// A range is long enough when it has this share of the best rate.
const LONG_ENOUGH: f64 = 0.9;

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    probe: probe::Report,
    /// Milliseconds until a byte was there.
    latency: Spread,
    /// By connections, each with a range of its own.
    connections: Vec<Rate>,
    /// By lengths of ranges, one after the other over one connection.
    #[serde(rename = "range_lens")]
    ranges: Vec<Rate>,
    /// Ranges of this length get nearly all that the best do; `None` where none were measured.
    best_range_len: Option<u64>,
}

/// What came in a time.
#[derive(Debug, Clone, Copy, Serialize)]
struct Rate {
    connections: usize,
    range_len: u64,
    requests: u64,
    bytes: u64,
    seconds: f64,
}

impl Rate {
    fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds.max(1e-9)
    }
}

/// Measures, and reports. Each measurement ends after the bytes or the seconds that were asked for.
pub(crate) fn run(request: &BenchRegistry) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot measure the registry of `{}`", request.name);
    let access = access(&request.registry)?;
    let bounds = probe::Options { bytes: request.bytes, seconds: request.seconds };
    let probe = probe::probe(&request.name, &access.registries, &bounds).with_context(cannot)?;
    let reference = Reference::Registry(request.name.clone());
    let source = transport::open(&reference, &access).with_context(cannot)?;
    let report = measure(&*source, probe, request).with_context(cannot)?;
    remember(&access);
    match request.json {
        true => print(&to_json(&report)?)?,
        false => print_text(&text(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    source: &dyn ImageSource,
    probe: probe::Report,
    request: &BenchRegistry,
) -> anyhow::Result<Report> {
    let blob = source.expect_blob(&probe.layer)?;
    let bench = Bench { blob: &*blob, bytes: request.bytes, limit: Duration::from_secs(request.seconds) };
    let serves_ranges = !matches!(probe.ranges, Serves::Whole);
    // Without ranges, what is behind the start comes after everything before it.
    let latency = bench.latency(if serves_ranges { blob.blob_len() / PINGS } else { 0 })?;
    let counts = CONNECTIONS.into_iter().filter(|count| *count == 1 || serves_ranges);
    let connections = counts.map(|count| bench.side_by_side(count)).collect::<io::Result<_>>()?;
    let lens = RANGE_LENS.into_iter().filter(|len| serves_ranges && *len <= bench.len());
    let ranges: Vec<_> = lens.map(|len| bench.in_a_row(len)).collect::<io::Result<_>>()?;
    let best_range_len = long_enough(&ranges);
    Ok(Report { probe, latency, connections, ranges, best_range_len })
}

/// Returns the shortest length that gets nearly the best rate.
fn long_enough(ranges: &[Rate]) -> Option<u64> {
    let best = ranges.iter().map(Rate::bytes_per_second).fold(0.0, f64::max);
    ranges.iter().find(|rate| rate.bytes_per_second() >= best * LONG_ENOUGH).map(|rate| rate.range_len)
}

struct Bench<'a> {
    blob: &'a dyn Blob,
    bytes: u64,
    limit: Duration,
}

impl Bench<'_> {
    /// Returns how many bytes there are to read.
    fn len(&self) -> u64 {
        self.blob.blob_len().min(self.bytes)
    }

    /// Reads single bytes, `step` bytes from each other.
    fn latency(&self, step: u64) -> io::Result<Spread> {
        let end = Instant::now() + self.limit;
        let mut times = Vec::new();
        for number in 0..PINGS {
            let start = Instant::now();
            let at = step.saturating_mul(number);
            self.blob.read_range(BlobRange::saturating(at, 1))?.read_exact(&mut [0])?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            if Instant::now() > end {
                break;
            }
        }
        Spread::of(times).ok_or_else(|| io::Error::other("nothing was measured"))
    }

    fn side_by_side(&self, connections: usize) -> io::Result<Rate> {
        let start = Instant::now();
        let range_len = self.len() / connections as u64;
        let read =
            |number: u64| self.read(BlobRange::saturating(number * range_len, range_len), start + self.limit);
        let bytes = thread::scope(|scope| {
            let readers: Vec<_> =
                (0..connections as u64).map(|number| scope.spawn(move || read(number))).collect();
            let join = |reader: thread::ScopedJoinHandle<'_, io::Result<u64>>| {
                reader.join().unwrap_or_else(|_| Err(io::Error::other("a reader has panicked")))
            };
            readers.into_iter().map(join).sum::<io::Result<u64>>()
        })?;
        Ok(Rate {
            connections,
            range_len,
            requests: connections as u64,
            bytes,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    fn in_a_row(&self, range_len: u64) -> io::Result<Rate> {
        let start = Instant::now();
        let mut rate = Rate { connections: 1, range_len, requests: 0, bytes: 0, seconds: 0.0 };
        while rate.bytes + range_len <= self.len() && start.elapsed() < self.limit {
            rate.bytes += self.read(BlobRange::saturating(rate.bytes, range_len), start + self.limit)?;
            rate.requests += 1;
        }
        Ok(Rate { seconds: start.elapsed().as_secs_f64(), ..rate })
    }

    /// Reads a range, or what comes of it until it is time.
    fn read(&self, range: BlobRange, end: Instant) -> io::Result<u64> {
        let mut body = self.blob.read_range(range)?;
        let (mut buffer, mut sum) = (vec![0; 64 << 10], 0_u64);
        while Instant::now() < end {
            match body.read(&mut buffer)? {
                0 => break,
                count => sum = sum.saturating_add(count as u64),
            }
        }
        Ok(sum)
    }
}

fn text(report: &Report) -> String {
    let probe = &report.probe;
    let mut text =
        format!("{}: largest layer of {}, from {}\n", probe.image, Bytes(probe.blob_len), probe.host);
    let Spread { median, least, most } = report.latency;
    let _ = writeln!(text, "  latency   {median:.2} ms ({least:.2} to {most:.2}) until the first byte");
    let ranges = match probe.ranges {
        Serves::Many { served, .. } => format!("many in a request; {served} were served"),
        Serves::One => "one in a request".to_owned(),
        Serves::Whole => "none".to_owned(),
    };
    let _ = writeln!(text, "  ranges    {ranges}");
    if let Some(len) = report.best_range_len {
        let _ = writeln!(text, "  best      ranges of {} or more, one after the other", Bytes(len));
    }
    let mut table = Table::new("  ", [Align::Left, Align::Right, Align::Right, Align::Right]);
    table.row(["", "rate", "requests", "read"].map(str::to_owned));
    for rate in &report.connections {
        table.row(row(count(rate.connections as u64, "connection", "connections"), rate));
    }
    for rate in &report.ranges {
        table.row(row(format!("ranges of {}", Bytes(rate.range_len)), rate));
    }
    text + &table.to_string()
}

fn row(name: String, rate: &Rate) -> [String; 4] {
    let speed = per_second(rate.bytes, Duration::from_secs_f64(rate.seconds.max(0.0)));
    [name, format!("{speed}/s"), rate.requests.to_string(), Bytes(rate.bytes).to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_length_is_the_shortest_of_those_that_are_nearly_as_fast_as_any() {
        let rate = |range_len, bytes| Rate { connections: 1, range_len, requests: 1, bytes, seconds: 1.0 };
        let rates = [rate(64, 100), rate(256, 880), rate(1024, 910), rate(4096, 1000), rate(16_384, 950)];
        assert_eq!(long_enough(&rates), Some(1024));
        assert_eq!(long_enough(&[]), None);
    }
}
