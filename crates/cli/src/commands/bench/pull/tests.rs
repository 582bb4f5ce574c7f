//! What pulls of the made-up image fetch from hosts of several kinds, over several links: a change that fetches more shows.
//!
//! Links are told, not measured, so that the numbers are the same each time.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chunked::{Abilities, BlobRange, Link, RangeSource, Ranges, Traffic};
use registry::blob::Blob;
use registry::convert::NoProgress;
use registry::{Instance, Reference, transport};
use store::pull::{How, Task};
use store::{Store, fetch, pull};

use super::images::write;
use super::sample::{Sample, Version};
use crate::access::access;
use crate::args::RegistryArgs;
use crate::commands::pull::choose;

/// A blob of a layout, as if it were far away.
struct Far<'a> {
    blob: Box<dyn Blob + 'a>,
    abilities: Abilities,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Far<'_> {
    fn count(&self, ranges: &[BlobRange]) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(ranges.iter().map(BlobRange::len).sum(), Ordering::Relaxed);
    }
}

impl RangeSource for Far<'_> {
    fn blob_len(&self) -> u64 {
        self.blob.blob_len()
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        self.count(&[range]);
        self.blob.read_range(range)
    }

    fn read_ranges(&self, ranges: &[BlobRange]) -> io::Result<Box<dyn Read + Send + '_>> {
        self.count(ranges);
        self.blob.read_ranges(ranges)
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn traffic(&self) -> Traffic {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic { requests: load(&self.requests), retries: 0, bytes: load(&self.bytes) }
    }
}

fn no_args() -> RegistryArgs {
    RegistryArgs { authfile: None, cert_dir: None, tls_verify: true, timeout: None }
}

/// Makes both images up, a twelfth of their size, and converts them; returns them with what they consist of.
fn images(dir: &Path) -> [(Reference, String); 2] {
    let access = access(&no_args()).unwrap();
    [Version::Old, Version::New].map(|version| {
        let tag = Some(format!("{version:?}"));
        let made_up = Reference::OciLayout { dir: dir.join("made-up"), tag: tag.clone() };
        write(Sample { version, divisor: 12 }, &made_up, &access).unwrap();
        let converted = Reference::OciLayout { dir: dir.join("converted"), tag };
        let (source, sink) =
            (transport::open(&made_up, &access).unwrap(), transport::create(&converted, &access).unwrap());
        let report = registry::convert::convert(&*source, sink, &Default::default(), &NoProgress).unwrap();
        let report = serde_json::to_value(report).unwrap();
        let layers = report["manifests"][0]["layers"].as_array().unwrap();
        let sum =
            |pointer: &str| layers.iter().filter_map(|layer| layer.pointer(pointer)?.as_u64()).sum::<u64>();
        let [files, chunks, frames] =
            ["files", "chunks", "frames"].map(|name| sum(&format!("/counts/{name}")));
        let facts = format!("{} bytes, {files} files, {chunks} chunks, {frames} frames", sum("/result/size"));
        (converted, facts)
    })
}

/// Pulls one layer after the other, and returns what that took, in a line.
fn pull_from(store: &Store, reference: &Reference, abilities: Abilities) -> String {
    let access = access(&no_args()).unwrap();
    let source = transport::open(reference, &access).unwrap();
    let instance: Instance = choose(&*source, None).unwrap();
    let tasks: Vec<Task<'_>> = instance
        .layers()
        .map(|(descriptor, diff_id)| {
            let blob = source.expect_blob(descriptor).unwrap();
            let far = Far { blob, abilities, requests: AtomicU64::new(0), bytes: AtomicU64::new(0) };
            let annotations = descriptor.annotations.clone().into_iter().collect();
            Task { blob: descriptor.digest, source: Box::new(far), annotations, diff_id }
        })
        .collect();
    let options = pull::Options { layers: Some(NonZeroUsize::MIN), ..Default::default() };
    let done = pull::pull(store, &tasks, &options, &fetch::NoProgress).unwrap();
    let (mut requests, mut bytes, mut wasted, mut files, mut chunks) = (0, 0, 0, 0, 0);
    for (_, report) in &done {
        requests += report.traffic.requests;
        bytes += report.traffic.bytes;
        let How::Parts(fetched) = &report.how else { panic!("{:?}", report.how) };
        wasted += fetched.wasted;
        files += fetched.reused.objects.count + fetched.reused.same.count + fetched.reused.other_layers.count;
        chunks += fetched.reused.chunks.count;
    }
    format!("{requests} requests, {bytes} bytes, {wasted} wasted; {files} files and {chunks} chunks reused")
}

#[test]
fn no_pull_fetches_more_than_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let [(old, old_facts), (new, new_facts)] = images(dir.path());
    let mut shown = format!("old: {old_facts}\nnew: {new_facts}\n");
    let links = [("1 Gbit, 1 ms", 1000.0, 1), ("20 Mbit, 100 ms", 20.0, 100)];
    for (what, ranges) in [
        ("many ranges", Ranges::Many { count: 380, header_len: 7500 }),
        ("one range", Ranges::One),
        ("no ranges", Ranges::None),
    ] {
        for (link, megabits, millis) in links {
            let link_of = Link::new(Duration::from_millis(millis), megabits * 1e6 / 8.0);
            let abilities = Abilities { ranges, parallelism: 8, link: link_of };
            let store = Store::open(&dir.path().join(format!("store {what} {link}"))).unwrap();
            let _ = writeln!(shown, "{what}, {link}");
            for (phase, image) in [("cold", &old), ("update", &new)] {
                let _ = writeln!(shown, "  {phase}: {}", pull_from(&store, image, abilities));
            }
        }
    }
    insta::assert_snapshot!(shown, @"
    old: 3780234 bytes, 254 files, 279 chunks, 535 frames
    new: 3769848 bytes, 254 files, 284 chunks, 540 frames
    many ranges, 1 Gbit, 1 ms
      cold: 4 requests, 3779907 bytes, 26963 wasted; 0 files and 0 chunks reused
      update: 4 requests, 869461 bytes, 0 wasted; 239 files and 4 chunks reused
    many ranges, 20 Mbit, 100 ms
      cold: 4 requests, 3779907 bytes, 26963 wasted; 0 files and 0 chunks reused
      update: 4 requests, 869461 bytes, 0 wasted; 239 files and 4 chunks reused
    one range, 1 Gbit, 1 ms
      cold: 4 requests, 3780074 bytes, 27130 wasted; 0 files and 0 chunks reused
      update: 17 requests, 869461 bytes, 0 wasted; 239 files and 4 chunks reused
    one range, 20 Mbit, 100 ms
      cold: 4 requests, 3780074 bytes, 27130 wasted; 0 files and 0 chunks reused
      update: 17 requests, 869461 bytes, 0 wasted; 239 files and 4 chunks reused
    no ranges, 1 Gbit, 1 ms
      cold: 4 requests, 3780074 bytes, 27130 wasted; 0 files and 0 chunks reused
      update: 4 requests, 3769688 bytes, 2900227 wasted; 239 files and 4 chunks reused
    no ranges, 20 Mbit, 100 ms
      cold: 4 requests, 3780074 bytes, 27130 wasted; 0 files and 0 chunks reused
      update: 4 requests, 3769688 bytes, 2900227 wasted; 239 files and 4 chunks reused
    ");
}
