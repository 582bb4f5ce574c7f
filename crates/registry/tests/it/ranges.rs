//! Blobs of registries read in ranges, from servers good and bad.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use chunked::plan::{FetchPlan, plan};
use chunked::{BlobRange, Ranges, Traffic};
use morsel_registry::blob::Blob;
use morsel_registry::client::{Options, Registries};
use morsel_registry::descriptor::Descriptor;
use morsel_registry::http::{self, Retries};
use morsel_registry::image::Document;
use morsel_registry::probe::{self, Report};
use morsel_registry::transport::{self, Access};
use morsel_registry::{Hosts, ImageSource, Name};
use testkit::data;
use testkit::nginx::Nginx;
use testkit::oci::{Compression, Layout};
use testkit::registry::{self, Registry};
use testkit::scripted::{
    self, Auth, Blobs, Fault, Headers, Misdeed, Multipart, Script, Scripted, Start, Target,
};
use testkit::tar::Tar;
use testkit::tools::Tier;

/// A layout with an image whose only layer has 2 MB.
fn layout(dir: &Path) -> Layout {
    let layout = Layout::create(dir.join("image"));
    let tar = Tar::new().file("data", data::stream(3, 2_000_000)).finish();
    layout.add_image("latest", Compression::Gzip, &[&tar]);
    layout
}

/// A registry client that gives up on silent servers soon.
fn access(hosts: &Hosts) -> Access {
    let retries = Retries { first_wait: Duration::ZERO, ..Retries::default() };
    let http =
        http::Options { stall_timeout: Duration::from_millis(300), retries, ..http::Options::default() };
    let options = Options { http, hosts: hosts.clone(), ..Options::default() };
    Access { scratch: std::env::temp_dir(), registries: Registries::new(options) }
}

fn open(host: &str, hosts: &Hosts) -> Box<dyn ImageSource> {
    transport::open(&format!("docker://{host}/image").parse().unwrap(), &access(hosts)).unwrap()
}

fn layer(image: &dyn ImageSource) -> Descriptor {
    let document = image.document(image.root()).unwrap().unwrap();
    let Document::Manifest(manifest) = document else { panic!("an index") };
    manifest.value().layers[0].clone()
}

/// Every third stretch of 1,000 bytes in the first half.
fn wanted() -> Vec<BlobRange> {
    (0..300).map(|number| BlobRange::with_len(number * 3000 + 100, 1000).unwrap()).collect()
}

/// Carries out plans until all is read, as an executor does; returns the bytes, and the last plan.
fn fetch(blob: &dyn Blob, wanted: &[BlobRange]) -> io::Result<(Vec<u8>, FetchPlan)> {
    'again: loop {
        let payload = BlobRange::new(0, blob.blob_len()).unwrap();
        let plan = plan(wanted, payload, &blob.abilities());
        let mut got = Vec::new();
        for request in &plan.requests {
            let mut bytes = Vec::new();
            match blob.read_ranges(&request.ranges) {
                Ok(mut body) => _ = body.read_to_end(&mut bytes)?,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => continue 'again,
                Err(error) => return Err(error),
            }
            let mut rest = bytes.as_slice();
            for range in &request.ranges {
                let (part, after) = rest.split_at(range.len() as usize);
                got.push((*range, part.to_vec()));
                rest = after;
            }
            assert!(rest.is_empty());
        }
        let cut = |want: &BlobRange| {
            let holds = |range: &BlobRange| range.start() <= want.start() && want.end() <= range.end();
            let (range, bytes) = got.iter().find(|(range, _)| holds(range)).unwrap();
            bytes[(want.start() - range.start()) as usize..(want.end() - range.start()) as usize].to_vec()
        };
        return Ok((wanted.iter().flat_map(cut).collect(), plan));
    }
}

fn expected(layout: &Layout, wanted: &[BlobRange]) -> Vec<u8> {
    let blob = layout.blob(layout.layers("latest")[0]["digest"].as_str().unwrap());
    wanted.iter().flat_map(|range| &blob[range.start() as usize..range.end() as usize]).copied().collect()
}

/// Fetches from a scripted registry; says what was learned, and what it took.
fn told(name: &str, layout: &Layout, script: Script) -> String {
    let (registry, hosts) = (Scripted::start(script), Hosts::default());
    registry.add_layout("image", layout);
    let image = open(&registry.host(), &hosts);
    let layer = layer(&*image);
    let blob = image.blob(&layer).unwrap().unwrap();
    registry.forget_requests();
    let (bytes, plan) = fetch(&*blob, &wanted()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(bytes == expected(layout, &wanted()), "{name}");
    let Traffic { requests, retries, bytes } = blob.traffic();
    let seen = registry.counters();
    assert_eq!(requests, seen.requests, "{name}");
    // What is refused or breaks off may have been sent and not be read.
    assert!(bytes == seen.sent || (requests > 1 && bytes < seen.sent), "{name}: {bytes} of {}", seen.sent);
    let ranges = match blob.abilities().ranges {
        Ranges::Many { count, .. } => format!("{count} ranges"),
        Ranges::One => "one range".to_owned(),
        Ranges::None => "no ranges".to_owned(),
    };
    format!("{name}: {ranges}; {} by {requests} requests, {retries} retries\n", plan.strategy)
}

#[test]
fn every_kind_of_server_is_read_from() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let ranges = |ranges| Script { ranges, ..Script::default() };
    let fault = |target, misdeed| Script { faults: vec![Fault::new(target, misdeed)], ..Script::default() };
    let nginx = Multipart { start: Start::BlankLine, headers: Headers::TypeFirst };
    let go = Multipart { start: Start::Boundary, headers: Headers::RangeFirst };
    let told = [
        ("many", Script::default()),
        ("like nginx", Script { multipart: nginx, header_limit: Some((8192, 400)), ..Script::default() }),
        ("like docker-registry", Script { multipart: go, ..Script::default() }),
        ("unquoted boundary", ranges(scripted::Ranges::ManyUnquotedBoundary)),
        ("coalesced", ranges(scripted::Ranges::Coalesced { gap: 2000 })),
        ("reordered", ranges(scripted::Ranges::Reordered)),
        ("one part for many", ranges(scripted::Ranges::OnePartForMany)),
        ("whole to several", ranges(scripted::Ranges::IgnoresMany)),
        ("whole to any", ranges(scripted::Ranges::IgnoresAll)),
        ("400", ranges(scripted::Ranges::Refuses(400))),
        ("416", ranges(scripted::Ranges::Refuses(416))),
        ("431", ranges(scripted::Ranges::Refuses(431))),
        ("501", ranges(scripted::Ranges::Refuses(501))),
        ("100 ranges, then 400", Script { range_limit: Some((100, 400)), ..Script::default() }),
        ("2 KiB of headers, then 431", Script { header_limit: Some((2048, 431)), ..Script::default() }),
        ("redirects", Script { blobs: Blobs::Signed { uses: None }, ..Script::default() }),
        (
            "redirects that work once",
            Script {
                blobs: Blobs::Signed { uses: Some(1) },
                ranges: scripted::Ranges::Refuses(501),
                ..Script::default()
            },
        ),
        ("truncated", fault(Target::Blobs, Misdeed::Truncate { after: 100_000 })),
        ("stalled", fault(Target::Blobs, Misdeed::Stall { after: 100_000 })),
        ("reset", fault(Target::Blobs, Misdeed::Reset { after: 100_000 })),
        ("hung up", fault(Target::Blobs, Misdeed::HangUp)),
        ("silent", fault(Target::Blobs, Misdeed::Silence)),
        ("busy", fault(Target::Blobs, Misdeed::Status { status: 429, retry_after: None })),
        (
            "whole and truncated",
            Script {
                ranges: scripted::Ranges::IgnoresAll,
                ..fault(Target::Blobs, Misdeed::Truncate { after: 100_000 })
            },
        ),
    ]
    .map(|(name, script)| told(name, &layout, script));
    insta::assert_snapshot!(told.concat(), @"
    many: 380 ranges; ranges by 1 requests, 0 retries
    like nginx: 380 ranges; ranges by 1 requests, 0 retries
    like docker-registry: 380 ranges; ranges by 1 requests, 0 retries
    unquoted boundary: 380 ranges; ranges by 1 requests, 0 retries
    coalesced: 380 ranges; ranges by 1 requests, 0 retries
    reordered: 380 ranges; ranges by 1 requests, 0 retries
    one part for many: 380 ranges; ranges by 1 requests, 0 retries
    whole to several: one range; stream by 2 requests, 0 retries
    whole to any: one range; stream by 2 requests, 0 retries
    400: one range; stream by 4 requests, 0 retries
    416: one range; stream by 2 requests, 0 retries
    431: one range; stream by 4 requests, 0 retries
    501: one range; stream by 2 requests, 0 retries
    100 ranges, then 400: 64 ranges; ranges by 8 requests, 0 retries
    2 KiB of headers, then 431: 150 ranges; ranges by 4 requests, 0 retries
    redirects: 380 ranges; ranges by 2 requests, 0 retries
    redirects that work once: one range; stream by 4 requests, 0 retries
    truncated: 380 ranges; ranges by 2 requests, 1 retries
    stalled: 380 ranges; ranges by 2 requests, 1 retries
    reset: 380 ranges; ranges by 2 requests, 1 retries
    hung up: 380 ranges; ranges by 2 requests, 1 retries
    silent: 380 ranges; ranges by 2 requests, 1 retries
    busy: 380 ranges; ranges by 2 requests, 1 retries
    whole and truncated: one range; stream by 2 requests, 0 retries
    ");
}

#[test]
fn a_host_is_asked_for_what_it_can_do_from_the_start_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let file = dir.path().join("hosts.json");
    let blobs = Blobs::Signed { uses: None };
    let registry =
        Scripted::start(Script { ranges: scripted::Ranges::IgnoresMany, blobs, ..Script::default() });
    registry.add_layout("image", &layout);
    let refused = || {
        registry.requests().iter().filter(|request| request.range.is_some() && request.status == 200).count()
    };
    for (run, expected) in [(1, 1), (2, 0)] {
        let hosts = Hosts::load(&file);
        let image = open(&registry.host(), &hosts);
        let blob = image.blob(&layer(&*image)).unwrap().unwrap();
        registry.forget_requests();
        fetch(&*blob, &wanted()).unwrap();
        assert_eq!(refused(), expected, "run {run}");
        hosts.save(&file).unwrap();
    }
}

#[test]
fn a_server_that_never_finishes_is_given_up_on() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let never = Fault::new(Target::Blobs, Misdeed::Truncate { after: 10 }).always();
    let registry = Scripted::start(Script {
        ranges: scripted::Ranges::Refuses(501),
        faults: vec![never],
        ..Script::default()
    });
    registry.add_layout("image", &layout);
    let image = open(&registry.host(), &Hosts::default());
    let blob = image.blob(&layer(&*image)).unwrap().unwrap();
    let error = fetch(&*blob, &wanted()).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(error.to_string().contains("also when tried 5 more times"), "{error}");
}

/// Fetches from a real server, in few bytes.
fn fetch_frugally(host: &str, layout: &Layout) {
    let image = open(host, &Hosts::default());
    let blob = image.blob(&layer(&*image)).unwrap().unwrap();
    let (bytes, plan) = fetch(&*blob, &wanted()).unwrap();
    assert!(bytes == expected(layout, &wanted()));
    assert!(matches!(blob.abilities().ranges, Ranges::Many { .. }));
    let Traffic { bytes, retries, .. } = blob.traffic();
    assert_eq!(retries, 0);
    assert!(bytes <= plan.fetched() + 200 * plan.range_count() as u64, "{bytes} bytes for {plan}");
}

#[test]
fn tool_docker_registry_serves_many_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start(Tier::Tool, dir.path()) else { return };
    let layout = layout(dir.path());
    let repository = format!("{}/image", registry.host());
    if registry::push(Tier::Tool, &layout, "latest", &repository, &[]).is_some() {
        fetch_frugally(registry.host(), &layout);
    }
}

#[test]
fn tool_nginx_serves_many_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let Some(nginx) = Nginx::start(Tier::Tool, dir.path(), layout.dir(), None) else { return };
    let blobs = Blobs::At(format!("http://{}/blobs", nginx.host()));
    let registry = Scripted::start(Script { blobs, ..Script::default() });
    registry.add_layout("image", &layout);
    fetch_frugally(&registry.host(), &layout);
}

#[test]
fn a_probe_tells_servers_apart_and_leaves_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    let ranges = |ranges| Script { ranges, ..Script::default() };
    let told = [
        ("many", Script::default()),
        ("header limit", Script { header_limit: Some((8192, 400)), ..Script::default() }),
        ("2 KiB of header", Script { header_limit: Some((2048, 431)), ..Script::default() }),
        ("one", ranges(scripted::Ranges::Refuses(501))),
        ("whole to several", ranges(scripted::Ranges::IgnoresMany)),
        ("whole to any", ranges(scripted::Ranges::IgnoresAll)),
        ("redirected", Script { blobs: Blobs::Signed { uses: None }, ..Script::default() }),
        ("with a token", Script { auth: Auth::Bearer { login: None, uses: None }, ..Script::default() }),
    ]
    .map(|(name, script)| {
        let (registry, hosts) = (Scripted::start(script), Hosts::default());
        registry.add_layout("image", &layout);
        let image: Name = format!("{}/image", registry.host()).parse().unwrap();
        let report = probe::probe(&image, &access(&hosts).registries, &probe::Options::default()).unwrap();
        let is_elsewhere = report.host != report.registry;
        let counts: Vec<_> = report.trials.iter().map(|trial| (trial.ranges, trial.status)).collect();
        let Report { ranges, login, http, stream, parallel, .. } = report;
        assert!(stream.bytes > 0 && parallel.is_none(), "the blob is too short for several connections");
        let source = open(&registry.host(), &hosts);
        let layer = layer(&*source);
        let planned_with = source.blob(&layer).unwrap().unwrap().abilities().ranges;
        format!(
            "{name}: {ranges:?}, {login:?}, {http}, elsewhere: {is_elsewhere}\n  {counts:?}\n  {planned_with:?}\n"
        )
    });
    insta::assert_snapshot!(told.concat(), @"
    many: Many { count: 380, header_len: 7500, served: 1875 }, None, HTTP/1.1, elsewhere: false
      [(1, 206), (1, 206), (1, 206), (1, 206), (2, 206), (62, 206), (250, 206), (468, 206), (937, 206), (1875, 206)]
      Many { count: 380, header_len: 7500 }
    header limit: Many { count: 380, header_len: 7500, served: 468 }, None, HTTP/1.1, elsewhere: false
      [(1, 206), (1, 206), (1, 206), (1, 206), (2, 206), (62, 206), (250, 206), (468, 206), (937, 400)]
      Many { count: 380, header_len: 7500 }
    2 KiB of header: Many { count: 125, header_len: 1864, served: 62 }, None, HTTP/1.1, elsewhere: false
      [(1, 206), (1, 206), (1, 206), (1, 206), (2, 206), (62, 206), (250, 431)]
      Many { count: 125, header_len: 1864 }
    one: One, None, HTTP/1.1, elsewhere: false
      [(1, 206), (1, 206), (1, 206), (1, 206), (2, 501)]
      One
    whole to several: One, None, HTTP/1.1, elsewhere: false
      [(1, 206), (1, 206), (1, 206), (1, 206), (2, 200)]
      One
    whole to any: Whole, None, HTTP/1.1, elsewhere: false
      [(1, 200)]
      None
    redirected: Many { count: 380, header_len: 7500, served: 1875 }, None, HTTP/1.1, elsewhere: true
      [(1, 206), (1, 206), (1, 206), (1, 206), (2, 206), (62, 206), (250, 206), (468, 206), (937, 206), (1875, 206)]
      Many { count: 380, header_len: 7500 }
    with a token: Many { count: 380, header_len: 7500, served: 1875 }, Bearer, HTTP/1.1, elsewhere: false
      [(1, 206), (1, 206), (1, 206), (1, 206), (2, 206), (62, 206), (250, 206), (468, 206), (937, 206), (1875, 206)]
      Many { count: 380, header_len: 7500 }
    ");
}
