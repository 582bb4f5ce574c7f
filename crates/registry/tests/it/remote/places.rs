//! Mirrors and other places.

use std::fs;
use std::path::Path;

use morsel_registry::client::Options;
use morsel_registry::config::Files;
use testkit::scripted::{Fault, Misdeed, Script, Scripted, Target};

use super::{failure, layout, open, options, read_all};

fn with_registries(dir: &Path, text: &str) -> Options {
    let path = dir.join("registries.conf");
    fs::write(&path, text).unwrap();
    Options { places: Files { registries: vec![path], hosts: Vec::new() }, ..options() }
}

fn mirrored(dir: &Path, mirror: &Scripted, server: &Scripted) -> Options {
    let (mirror, server) = (mirror.host(), server.host());
    with_registries(
        dir,
        &format!(
            "[[registry]]\nprefix = \"example.com\"\nlocation = \"{server}\"\n[[registry.mirror]]\nlocation = \"{mirror}/proxy\""
        ),
    )
}

#[test]
fn a_mirror_that_has_it_serves_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, server) = (Scripted::start(Script::default()), Scripted::start(Script::default()));
    mirror.add_layout("proxy/app", &layout(dir.path()));
    let source = open("example.com/app", mirrored(dir.path(), &mirror, &server)).unwrap();
    assert_eq!(read_all(&*source).unwrap(), 4);
    assert_eq!(source.reference().to_string(), "docker://example.com/app:latest");
    assert_eq!(server.counters().requests, 0);
}

#[test]
fn what_a_mirror_lacks_comes_from_the_registry() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, server) = (Scripted::start(Script::default()), Scripted::start(Script::default()));
    let layout = layout(dir.path());
    server.add_layout("app", &layout);
    let options = mirrored(dir.path(), &mirror, &server);
    assert_eq!(read_all(&*open("example.com/app", options.clone()).unwrap()).unwrap(), 4);

    // Of one that breaks, nothing more is asked.
    let broken = Scripted::start(Script {
        faults: vec![Fault::new(Target::Any, Misdeed::Status { status: 500, retry_after: None }).always()],
        ..Script::default()
    });
    let options = mirrored(dir.path(), &broken, &server);
    assert_eq!(read_all(&*open("example.com/app", options).unwrap()).unwrap(), 4);
    let asked = broken.requests().iter().filter(|request| request.path.contains("/app/")).count();
    assert_eq!(asked, 1);
}

#[test]
fn when_all_fail_each_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let denied = Script {
        faults: vec![
            Fault::new(Target::Manifests, Misdeed::Status { status: 403, retry_after: None }).always(),
        ],
        ..Script::default()
    };
    let (mirror, server) = (Scripted::start(denied), Scripted::start(Script::default()));
    let options = mirrored(dir.path(), &mirror, &server);
    let (first, second) = (mirror.host(), server.host());
    let hosts = [(first.as_str(), "MIRROR"), (second.as_str(), "SERVER")];
    insta::assert_snapshot!(failure(open("example.com/app", options), &hosts), @"cannot access `docker://example.com/app:latest`: none of 2 places has it: MIRROR: `http://MIRROR/v2/proxy/app/manifests/latest` refuses: 403 Forbidden: this is what the script says (there are no credentials for it); SERVER: it is not there");
}

#[test]
fn blocked_and_malformed_places_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = with_registries(dir.path(), "[[registry]]\nprefix = \"*.example.com\"\nblocked = true");
    insta::assert_snapshot!(failure(open("a.example.com/app", blocked), &[]), @"cannot access `docker://a.example.com/app:latest`: `a.example.com/app:latest` is blocked by `registries.conf`");
    let malformed = with_registries(dir.path(), "[[registry]]\nlocation = 7");
    let dir = dir.path().display().to_string();
    insta::assert_snapshot!(failure(open("a.example.com/app", malformed), &[(&dir, "DIR")]), @"cannot access `docker://a.example.com/app:latest`: `DIR/registries.conf` is malformed: invalid type: integer `7`, expected a string in line 2");
}

#[test]
fn containerd_mirrors_are_told_whom_they_stand_for() {
    let dir = tempfile::tempdir().unwrap();
    let (mirror, server) = (Scripted::start(Script::default()), Scripted::start(Script::default()));
    let layout = layout(dir.path());
    mirror.add_layout("app", &layout);
    server.add_layout("app", &layout);
    let hosts = dir.path().join("example.com:5000");
    fs::create_dir(&hosts).unwrap();
    let text = format!(
        "server = \"http://{}\"\n[host.\"http://{}\"]\ncapabilities = [\"pull\"]",
        server.host(),
        mirror.host()
    );
    fs::write(hosts.join("hosts.toml"), text).unwrap();
    let places = Files { registries: Vec::new(), hosts: vec![dir.path().to_owned()] };
    let source = open("example.com:5000/app", Options { places, ..options() }).unwrap();
    assert_eq!(read_all(&*source).unwrap(), 4);
    let paths =
        |registry: &Scripted| registry.requests().into_iter().map(|request| request.path).collect::<Vec<_>>();
    // It may not say what tags mean.
    assert_eq!(paths(&server), ["/v2/app/manifests/latest?ns=example.com%3A5000"]);
    assert_eq!(paths(&mirror).len(), 3);
    assert!(
        paths(&mirror).iter().all(|path| path.ends_with("?ns=example.com%3A5000")),
        "{:?}",
        paths(&mirror)
    );
}
