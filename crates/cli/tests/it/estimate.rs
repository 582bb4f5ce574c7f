//! What `estimate` says, and that `pull` then does it.

use serde_json::Value;
use testkit::data;
use testkit::oci::{Compression, Layout};
use testkit::registry::{self, Registry};
use testkit::tar::{Member, Tar};
use testkit::tools::Tier;

use crate::sandbox::Sandbox;

/// Returns a file that is cut into four chunks, of which `seed` says what the second holds.
fn chunked(seed: u64) -> Vec<u8> {
    let pieces = [1, seed, 2, 3].map(|seed| [data::stream(seed, 50_000), data::cut()].concat());
    pieces.concat()
}

fn file(name: &str, seed: u64, len: usize) -> Member {
    Member::file(name, data::stream(seed, len)).modified(1_700_000_000, 0)
}

fn base() -> Vec<u8> {
    Tar::new().dir("./").member(file("./base", 10, 30_000)).finish()
}

fn old() -> Vec<u8> {
    let files = [
        file("./bin/same", 20, 40_000),
        file("./bin/older", 21, 41_000),
        file("./bin/mode", 22, 42_000),
        file("./bin/from", 23, 43_000),
        file("./lib/small", 24, 300_000),
    ];
    Tar::new().members(files).member(Member::file("./lib/chunked", chunked(7))).finish()
}

fn new() -> Vec<u8> {
    let files = [
        file("./bin/same", 20, 40_000),
        file("./bin/older", 21, 41_000).modified(1_800_000_000, 0),
        file("./bin/mode", 22, 42_000).mode(0o755),
        file("./bin/to", 23, 43_000),
        file("./lib/small", 25, 300_000),
    ];
    Tar::new()
        .members(files)
        .member(Member::file("./lib/chunked", chunked(8)))
        .member(file("./new", 30, 35_000))
        .member(file("./new.copy", 30, 35_000))
        .finish()
}

/// Makes the images `old` and `new`, converted, in the layout `images`.
fn images(sandbox: &Sandbox) -> Layout {
    let source = Layout::create(sandbox.path("source"));
    let upper = Tar::new().member(file("./top", 40, 20_000)).member(file("./top.copy", 30, 35_000)).finish();
    source.add_image("old", Compression::Gzip, &[&base(), &old()]);
    source.add_image("new", Compression::Gzip, &[&base(), &new(), &upper]);
    for tag in ["old", "new"] {
        sandbox.stdout(&format!("morsel convert --quiet oci:source:{tag} oci:images:{tag}"));
    }
    Layout::open(sandbox.path("images"))
}

fn json(sandbox: &Sandbox, line: &str) -> Value {
    serde_json::from_slice(&sandbox.stdout(line)).unwrap()
}

/// Checks that each layer came as it was estimated.
fn agree(estimate: &Value, receipt: &Value) {
    let (layers, came) = (estimate["layers"].as_array().unwrap(), receipt["layers"].as_array().unwrap());
    assert_eq!(layers.len(), came.len());
    for (layer, came) in layers.iter().zip(came) {
        for field in ["blob", "blob_len", "how", "why"] {
            assert_eq!(layer[field], came[field], "{field} of {layer:#}\n{came:#}");
        }
        if layer["how"] == "parts" {
            let strategy = came["strategy"].as_str().unwrap_or("nothing");
            assert_eq!(layer["strategy"], strategy, "{layer:#}\n{came:#}");
            assert_eq!(
                [&layer["needed"], &layer["wasted"]],
                [&came["needed"], &came["wasted"]],
                "{layer:#}\n{came:#}"
            );
        }
    }
    for field in ["blob_len", "needed", "wasted"] {
        assert_eq!(estimate["total"][field], receipt["total"][field], "{field}");
    }
}

/// Pulls both images from below `from` into an empty store. Every estimate has to come true.
fn estimates_come_true(sandbox: &Sandbox, from: &str, options: &str) -> [(Value, Value); 2] {
    let [old, new] = ["old", "new"].map(|tag| format!("{from}:{tag} {options}"));
    let cold = json(sandbox, &format!("morsel estimate --json --plan --root store {old}"));
    assert!(!sandbox.path("store").exists(), "an estimate leaves no store");
    let first = json(sandbox, &format!("morsel pull --json --root store {old}"));
    agree(&cold, &first);

    let update = json(sandbox, &format!("morsel estimate --json --plan --root store {new}"));
    let between = json(sandbox, &format!("morsel estimate --json {new} --from {from}:old"));
    assert_eq!(update["total"], between["total"]);
    let second = json(sandbox, &format!("morsel pull --json --root store {new}"));
    agree(&update, &second);

    let again = json(sandbox, &format!("morsel estimate --json --root store {new}"));
    assert_eq!(again["total"]["bytes"], 0);
    assert!(again["layers"].as_array().unwrap().iter().all(|layer| layer["how"] == "present"));
    [(cold, first), (update, second)]
}

fn share<'v>(estimate: &'v Value, kind: &str) -> [&'v Value; 2] {
    let share = &estimate["total"]["shares"][kind];
    [&share["files"], &share["len"]]
}

#[test]
fn a_pull_from_a_layout_does_what_was_estimated() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    let [_, (update, _)] = estimates_come_true(&sandbox, "oci:images", "");
    let total = &update["total"];
    assert_eq!(update["layers"][0]["how"], "present");
    let chunked_len = chunked(7).len();
    for (kind, files, len) in [
        ("unchanged", 1, 40_000),
        ("times", 1, 41_000),
        ("metadata", 1, 42_000),
        ("moved", 1, 43_000),
        ("duplicate", 2, 70_000),
        ("changed", 2, 300_000 + chunked_len),
        ("new", 2, 55_000),
    ] {
        assert_eq!(share(&update, kind), [&Value::from(files), &Value::from(len)], "{kind}");
    }
    let known = total["shares"]["changed"]["known_len"].as_u64().unwrap();
    assert!(known >= 3 * 50_000, "three of four chunks are known, {known} bytes");
    assert_eq!(total["largest"][0]["path"], "./lib/small");
}

#[test]
fn layers_without_a_toc_are_read_whole() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    let [(cold, _), (update, _)] = estimates_come_true(&sandbox, "oci:source", "");
    assert_eq!(cold["total"]["needed"], cold["total"]["blob_len"]);
    assert_eq!(update["layers"][0]["how"], "present");
    // The tar is the same, whatever it is compressed with.
    let converted = json(&sandbox, "morsel estimate --json --root store oci:images:new");
    assert_eq!(converted["total"]["bytes"], 0);
}

#[test]
fn tool_a_pull_from_a_registry_does_what_was_estimated() {
    let sandbox = Sandbox::new();
    let layout = images(&sandbox);
    let Some(server) = Registry::start(Tier::Tool, &sandbox.path("registry")) else { return };
    let repository = format!("{}/app", server.host());
    for tag in ["old", "new"] {
        if registry::push(Tier::Tool, &layout, tag, &repository, &[]).is_none() {
            return;
        }
    }
    for (estimate, receipt) in estimates_come_true(&sandbox, &repository, "--tls-verify=false") {
        let (total, traffic) = (&estimate["total"], &receipt["total"]["traffic"]);
        assert_eq!(total["requests"], traffic["requests"], "{estimate:#}\n{receipt:#}");
        // Each of several parts of an answer has a head.
        let requests =
            estimate["layers"].as_array().unwrap().iter().filter_map(|layer| layer["plan"].as_array());
        let ranges = requests.flatten().map(|request| request.as_array().unwrap().len() as u64);
        let heads = ranges.filter(|count| *count > 1).map(|count| count * 200).sum::<u64>();
        let [estimated, came] = [&total["bytes"], &traffic["bytes"]].map(|bytes| bytes.as_u64().unwrap());
        assert!((estimated..=estimated + heads).contains(&came), "{estimated} {came}");
    }
}

#[test]
fn seconds_depend_on_the_link() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    let seconds = |link: &str| {
        let estimate = json(&sandbox, &format!("morsel estimate --json --root store oci:images:new {link}"));
        estimate["total"]["seconds"].as_f64()
    };
    assert_eq!(seconds(""), None);
    let [slow, fast] = ["--link 1Mbit,20ms", "--link 1Gbit,20ms"].map(|link| seconds(link).unwrap());
    assert!(slow > 4.0 && fast < 1.0, "{slow} {fast}");
}

#[test]
fn people_read_why() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    insta::assert_snapshot!(sandbox.run("morsel estimate oci:images:new --from oci:images:old --link 100Mbit,20ms --plan"), @"
    $ morsel estimate oci:images:new --from oci:images:old --link 100Mbit,20ms --plan
    oci:images:new: linux/amd64, 3 layers, sha256:e515fa..
    compared with `oci:images:old`
      layer         comes         blob  metadata     needed  wasted  requests    time
      027dbdbbf78f  is here   30.2 KiB         -          -       -         -       -
      f5f6d3b7dd14  ranges   722.5 KiB   2.4 KiB  376.2 KiB     0 B         2  [time]
      1f5d8f824e45  ranges    54.6 KiB     566 B   19.5 KiB     0 B         2  [time]
      f5f6d3b7dd14 request 1: 376.2 KiB, bytes=166574-466667,516843-566916,667161-702170
      1f5d8f824e45 request 1: 19.5 KiB, bytes=87-20096
      files      count    content      known   to fetch
      unchanged      1   39.1 KiB   39.1 KiB        0 B  the same file at the same path
      times          1   40.0 KiB   40.0 KiB        0 B  the same but for its times
      metadata       1   41.0 KiB   41.0 KiB        0 B  the same content with another owner, mode or attributes
      moved          1   42.0 KiB   42.0 KiB        0 B  the content is here, but not of that path
      duplicate      2   68.4 KiB   68.4 KiB        0 B  the content comes with another file
      changed        2  488.5 KiB  146.7 KiB  342.0 KiB  other content at the same path
      new            2   53.7 KiB        0 B   53.7 KiB  neither the path nor the content is here
      largest   to fetch  path
      changed  293.1 KiB  ./lib/small
      changed   48.9 KiB  ./lib/chunked
      new       34.2 KiB  ./new
      new       19.5 KiB  ./top
    fetch  398.6 KiB of 807.2 KiB (49.4 %) in 4 requests
    takes  about 0.11 s, over 100.0 Mbit/s with a round trip of 20.0 ms
    ");
    insta::assert_snapshot!(sandbox.run("morsel estimate oci:source:old --root nowhere"), @"
    $ morsel estimate oci:source:old --root nowhere
    oci:source:old: linux/amd64, 2 layers, sha256:e2383d..
    compared with nothing: there is no store at `nowhere`
      layer         comes       blob  metadata     needed  wasted  requests  time
      cc66f3b283f7  whole   29.5 KiB       0 B   29.5 KiB     0 B         1     -
      a4a177b4808c  whole  651.6 KiB       0 B  651.6 KiB     0 B         1     -
      cc66f3b283f7 is read whole: neither annotations nor a footer tell of a TOC
      a4a177b4808c is read whole: neither annotations nor a footer tell of a TOC
    fetch  681.1 KiB of 681.1 KiB (100.0 %) in 2 requests
    takes  unknown, as nothing is known of the link; `--link 100Mbit,20ms` says what it is
    ");
    insta::assert_snapshot!(sandbox.run("morsel estimate oci:images:old --from oci:source:old"), @"
    $ morsel estimate oci:images:old --from oci:source:old
    oci:images:old: linux/amd64, 2 layers, sha256:f671ea..
    compared with `oci:source:old`, of which 2 layers have no TOC: what is in there counts as not here
      layer         comes         blob  metadata  needed  wasted  requests  time
      027dbdbbf78f  is here   30.2 KiB         -       -       -         -     -
      b1584b083a2e  is here  653.4 KiB         -       -       -         -     -
    fetch  0 B of 683.6 KiB (0.0 %) in 0 requests
    ");
    insta::assert_snapshot!(sandbox.run("morsel pull --quiet --root store oci:images:old"), @"$ morsel pull --quiet --root store oci:images:old");
    insta::assert_snapshot!(sandbox.run("morsel estimate --root store oci:images:new"), @"
    $ morsel estimate --root store oci:images:new
    oci:images:new: linux/amd64, 3 layers, sha256:e515fa..
    compared with the store at `store`, and with the paths of `oci:images:old` in it
      layer         comes         blob  metadata     needed  wasted  requests  time
      027dbdbbf78f  is here   30.2 KiB         -          -       -         -     -
      f5f6d3b7dd14  ranges   722.5 KiB   2.4 KiB  376.2 KiB     0 B         4     -
      1f5d8f824e45  ranges    54.6 KiB     566 B   19.5 KiB     0 B         2     -
      files      count    content      known   to fetch
      unchanged      1   39.1 KiB   39.1 KiB        0 B  the same file at the same path
      times          1   40.0 KiB   40.0 KiB        0 B  the same but for its times
      metadata       1   41.0 KiB   41.0 KiB        0 B  the same content with another owner, mode or attributes
      moved          1   42.0 KiB   42.0 KiB        0 B  the content is here, but not of that path
      duplicate      2   68.4 KiB   68.4 KiB        0 B  the content comes with another file
      changed        2  488.5 KiB  146.7 KiB  342.0 KiB  other content at the same path
      new            2   53.7 KiB        0 B   53.7 KiB  neither the path nor the content is here
      largest   to fetch  path
      changed  293.1 KiB  ./lib/small
      changed   48.9 KiB  ./lib/chunked
      new       34.2 KiB  ./new
      new       19.5 KiB  ./top
    fetch  398.6 KiB of 807.2 KiB (49.4 %) in 6 requests
    takes  unknown, as nothing is known of the link; `--link 100Mbit,20ms` says what it is
    ");
    insta::assert_snapshot!(sandbox.run("morsel estimate oci:images:new --link fast"), @"
    $ morsel estimate oci:images:new --link fast
    --- stderr
    error: invalid value 'fast' for '--link <RATE,RTT>': expected a rate and a round trip, such as `100Mbit,20ms` or `12.5MB,0.02s`; after them may come `jitter=5ms`, `each=10Mbit` (a connection) and `connections=8`; or `none`

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(sandbox.run("morsel estimate oci:images:new --link 1Gbit,1ms,jitter=5ms,connections=8"), @"
    $ morsel estimate oci:images:new --link 1Gbit,1ms,jitter=5ms,connections=8
    --- stderr
    error: an estimate takes rate and round trip of a link, and nothing else; expected `--link 1Gbit,1ms`, found `1Gbit,1ms,jitter=5ms,connections=8`
    --- exit 2
    ");
    insta::assert_snapshot!(sandbox.run("morsel estimate ./layer.tar"), @"
    $ morsel estimate ./layer.tar
    --- stderr
    error: `./layer.tar` is a single layer, expected an image
    --- exit 2
    ");
    insta::assert_snapshot!(sandbox.run("morsel estimate oci:images:new --from oci:images:older"), @"
    $ morsel estimate oci:images:new --from oci:images:older
    --- stderr
    error: cannot compare with `oci:images:older`
      cause: there is no image `oci:images:older`; names there: old, new
    --- exit 4
    ");
}
