//! Finds out what the host of an image's blobs can do, by asking it for some of them.
//!
//! What a probe asks is bounded: some dozens of requests, and the bytes in [`Options`].

mod throughput;
mod trial;

use std::time::Duration;

use chunked::{BlobDigest, Ranges};
use serde::{Serialize, Serializer};

pub use throughput::Throughput;
pub use trial::{Answered, Trial};

pub use crate::auth::Login;
use crate::client::{Registries, Repository};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::hosts::Hosts;
use crate::image::Document;
use crate::name::Name;
use crate::remote::RemoteImage;
use crate::source::ImageSource;

/// How much to ask for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Most bytes to read over one connection, and again over several.
    pub bytes: u64,
    /// Longest time to read over one connection, and again over several.
    pub seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { bytes: 32 << 20, seconds: 5 }
    }
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The image.
    pub image: String,
    /// The blob that was asked for: the largest layer.
    pub blob: BlobDigest,
    /// Its length in bytes.
    pub blob_len: u64,
    /// The layer that was read.
    #[serde(skip)]
    pub layer: Descriptor,
    /// The host that the image's name says.
    pub registry: String,
    /// The host that sends the bytes.
    pub host: String,
    /// The version of HTTP that it speaks.
    pub http: String,
    /// What the registry wanted of us.
    pub login: Login,
    /// What it serves.
    pub ranges: Serves,
    /// The requests that showed it.
    pub trials: Vec<Trial>,
    /// Time from a request to its answer.
    #[serde(serialize_with = "seconds", rename = "round_trip_seconds")]
    pub round_trip: Duration,
    /// Time for each further range of a request, where several can be had.
    #[serde(serialize_with = "some_seconds", rename = "per_range_seconds")]
    pub per_range: Option<Duration>,
    /// What one connection has.
    pub stream: Throughput,
    /// What several have together, where there are ranges to ask for.
    pub parallel: Option<Throughput>,
}

/// What a host serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "serves", rename_all_fields = "snake_case")]
pub enum Serves {
    /// Several ranges in a request.
    Many {
        /// Most ranges that are asked for from now on.
        count: usize,
        /// Most bytes of a `Range` header from now on.
        header_len: usize,
        /// Most ranges that were tried and served.
        served: usize,
    },
    /// One range in a request.
    One,
    /// Only whole blobs.
    Whole,
}

/// Probes the host of the blobs of the image `name`, and remembers what was found out.
///
/// # Errors
/// Those of opening the image, and those of blobs that cannot be read at all.
pub fn probe(name: &Name, registries: &Registries, options: &Options) -> Result<Report, Error> {
    let image = RemoteImage::open(registries, name)?;
    let layer = largest_layer(&image)?;
    // What was learned before would keep us from asking.
    let hosts = Hosts::default();
    let probe = Probe { repository: image.repository(), layer: &layer, hosts: &hosts };
    let (first, trials) = probe.trials()?;
    let (stream, parallel) = probe.throughput(options).map_err(|error| image.read_error(&layer, error))?;
    let per_range = trial::per_range(&trials);
    let mut known = hosts.known(&first.host).unwrap_or_default();
    per_range.into_iter().for_each(|per_range| known.per_range.time(per_range.as_secs_f64()));
    registries.hosts().replace(name.host(), &first.host, known.clone());
    let served =
        trials.iter().filter(|trial| trial.answered == Answered::Parts).max_by_key(|trial| trial.ranges);
    let report = Report {
        image: name.to_string(),
        blob: layer.digest,
        blob_len: layer.len,
        layer: layer.clone(),
        registry: name.host().to_owned(),
        host: first.host,
        http: first.http,
        login: image.repository().login(),
        ranges: match (known.ranges, served) {
            (Ranges::Many { count, header_len }, Some(trial)) => {
                Serves::Many { count, header_len, served: trial.ranges }
            }
            (Ranges::None, _) => Serves::Whole,
            _ => Serves::One,
        },
        round_trip: trial::round_trip(&trials),
        per_range,
        trials,
        stream,
        parallel,
    };
    Ok(report)
}

/// What is probed, and with what.
struct Probe<'a> {
    repository: &'a Repository,
    layer: &'a Descriptor,
    hosts: &'a Hosts,
}

/// Finds the largest layer of the first image that is there.
fn largest_layer(image: &RemoteImage) -> Result<Descriptor, Error> {
    let no_images = || Error::NoImages { place: Box::new(image.reference().clone()) };
    let mut left = vec![image.root().clone()];
    while let Some(descriptor) = left.pop() {
        match image.document(&descriptor)? {
            Some(Document::Manifest(manifest)) => {
                let layers = manifest.value().layers.iter();
                return layers.max_by_key(|layer| layer.len).cloned().ok_or_else(no_images);
            }
            // Only one level: what an index of indexes lists is of no use here.
            Some(Document::Index(index)) if descriptor.digest == image.root().digest => {
                left.extend(index.value().manifests.iter().rev().cloned());
            }
            _ => {}
        }
    }
    Err(no_images())
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn some_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}
