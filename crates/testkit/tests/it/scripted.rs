//! A scripted registry does what its script says, and counts what it did.

use std::io::ErrorKind;

use morsel_testkit::data;
use morsel_testkit::link::{self, Link};
use morsel_testkit::oci::{Compression, Layout, digest};
use morsel_testkit::process::run;
use morsel_testkit::scripted::{Auth, Blobs, Fault, Host, Login, Misdeed, Ranges, Script, Scripted, Target};
use morsel_testkit::tar::sample;
use morsel_testkit::tools::{self, Tier};

use crate::client::{Client, get};

/// Starts a registry with one blob of 10 000 bytes, and returns the path and bytes of it.
fn with_blob(script: Script) -> (Scripted, String, Vec<u8>) {
    let (registry, bytes) = (Scripted::start(script), data::stream(7, 10_000));
    let path = format!("/v2/image/blobs/{}", registry.add_blob("image", &bytes));
    (registry, path, bytes)
}

fn faulty(misdeed: Misdeed) -> Script {
    Script { faults: vec![Fault::new(Target::Blobs, misdeed)], ..Script::default() }
}

#[test]
fn a_good_registry_answers_on_a_connection_that_is_kept() {
    let (registry, path, bytes) = with_blob(Script::default());
    let mut client = Client::connect(&registry.host());

    assert_eq!(client.send("GET", "/v2/", &[], b"").status, 200);
    let head = client.send("HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, "10000"));
    assert_eq!(client.send("GET", &path, &[], b"").body, bytes);
    let part = client.send("GET", &path, &["Range: bytes=5-9"], b"");
    assert_eq!((part.status, part.header("content-range")), (206, "bytes 5-9/10000"));
    assert_eq!(part.body, bytes[5..10]);
    assert_eq!(client.send("GET", "/v2/image/blobs/sha256:00", &[], b"").status, 404);

    let requests = registry.requests();
    assert_eq!(registry.counters().connections, 1);
    assert_eq!(requests.iter().map(|r| r.status).collect::<Vec<_>>(), [200, 200, 200, 206, 404]);
    assert_eq!(requests[2].sent, 10_000);
    assert_eq!((requests[3].sent, requests[3].range.as_deref()), (5, Some("bytes=5-9")));
}

#[test]
fn a_client_that_tries_tls_is_told_at_once() {
    let registry = Scripted::start(Script::default());
    let answer = Client::connect(&registry.host()).send("\u{16}", "/", &[], b"");
    assert_ne!(answer.error, Some(ErrorKind::WouldBlock));
    assert_eq!((answer.status, registry.counters().requests), (0, 0));
}

#[test]
fn bodies_break_off_as_told_and_only_as_often_as_told() {
    let table = [
        (Misdeed::Truncate { after: 100 }, 200, 100, Some(ErrorKind::UnexpectedEof)),
        (Misdeed::Stall { after: 100 }, 200, 100, Some(ErrorKind::WouldBlock)),
        (Misdeed::Reset { after: 100 }, 200, 100, Some(ErrorKind::ConnectionReset)),
        (Misdeed::HangUp, 0, 0, Some(ErrorKind::ConnectionReset)),
        (Misdeed::Silence, 0, 0, Some(ErrorKind::WouldBlock)),
        (Misdeed::Flip { offset: 100 }, 200, 10_000, None),
    ];
    for (misdeed, status, len, error) in table {
        let (registry, path, bytes) = with_blob(faulty(misdeed.clone()));
        let first = get(&registry.host(), &path, &[]);
        assert_eq!((first.status, first.error), (status, error), "{misdeed:?}");
        assert_ne!(first.body, bytes, "{misdeed:?}");
        // A reset may overtake bytes that were sent before it.
        assert!(first.body.len() == len || error == Some(ErrorKind::ConnectionReset), "{misdeed:?}");
        assert_eq!(registry.requests()[0].sent, len as u64, "{misdeed:?}");
        assert_eq!(get(&registry.host(), &path, &[]).body, bytes, "{misdeed:?}");
    }
}

#[test]
fn a_flipped_byte_is_flipped_in_every_range_that_has_it() {
    let flip = Fault::new(Target::Blobs, Misdeed::Flip { offset: 100 }).always();
    let (registry, path, bytes) = with_blob(Script { faults: vec![flip], ..Script::default() });
    let part = |range: &str| get(&registry.host(), &path, &[range]).body;
    assert_eq!(part("Range: bytes=90-99"), bytes[90..100]);
    assert_eq!(part("Range: bytes=100-100"), [bytes[100] ^ 1]);
    assert_eq!(part("Range: bytes=99-101"), [bytes[99], bytes[100] ^ 1, bytes[101]]);
}

#[test]
fn statuses_skip_requests_and_say_when_to_come_back() {
    let busy = Misdeed::Status { status: 429, retry_after: Some(1) };
    let faults = vec![Fault::new(Target::Blobs, busy).after(1).times(2)];
    let (registry, path, _) = with_blob(Script { faults, ..Script::default() });
    let answers: Vec<_> = (0..4).map(|_| get(&registry.host(), &path, &[])).collect();
    assert_eq!(answers.iter().map(|a| a.status).collect::<Vec<_>>(), [200, 429, 429, 200]);
    assert_eq!(answers[1].header("retry-after"), "1");
}

#[test]
fn limits_have_their_own_statuses() {
    let script = Script {
        header_limit: Some((100, 431)),
        range_limit: Some((2, 200)),
        connection_limit: Some(1),
        ..Script::default()
    };
    let (registry, path, bytes) = with_blob(script);
    let mut client = Client::connect(&registry.host());
    let long = format!("Range: bytes=0-1,{}", "5-6,".repeat(30));
    assert_eq!(client.send("GET", &path, &[&long], b"").status, 431);
    assert_eq!(client.send("GET", &path, &["Range: bytes=0-1,5-6,8-9"], b"").body, bytes);
    assert_eq!(client.send("GET", &path, &["Range: bytes=0-1,5-6"], b"").status, 206);
    assert_eq!(get(&registry.host(), &path, &[]).status, 503);
    assert_eq!(registry.counters().most_connections, 2);
}

#[test]
fn refused_ranges_may_come_with_a_length_that_is_a_lie() {
    let (registry, path, _) = with_blob(Script { ranges: Ranges::Refuses(416), ..Script::default() });
    let answer = get(&registry.host(), &path, &["Range: bytes=0-1,5-6"]);
    assert_eq!((answer.status, answer.header("content-length")), (416, "10000"));
    assert_eq!((answer.body.len(), answer.error), (0, Some(ErrorKind::UnexpectedEof)));
}

#[test]
fn signed_addresses_expire_and_take_no_credentials() {
    let script = Script { blobs: Blobs::Signed { uses: Some(2) }, ..Script::default() };
    let (registry, path, bytes) = with_blob(script);
    let location = || {
        let answer = get(&registry.host(), &path, &[]);
        assert_eq!(answer.status, 307);
        answer
            .header("location")
            .strip_prefix(&format!("http://{}", registry.blob_host()))
            .unwrap()
            .to_owned()
    };
    let ask = |path: &str, headers: &[&str]| get(&registry.blob_host(), path, headers);

    let first = location();
    assert_eq!(ask(&first, &["Authorization: Bearer x"]).status, 400);
    assert_eq!(ask(&first, &[]).body, bytes);
    assert_eq!(ask(&first, &["Range: bytes=1-2"]).body, bytes[1..3]);
    assert_eq!(ask(&first, &[]).status, 403);
    let second = location();
    registry.expire_addresses();
    assert_eq!(ask(&second, &[]).status, 403);

    let refused = registry.requests().into_iter().filter(|r| r.host == Host::Blobs && r.authorization);
    assert_eq!(refused.count(), 1);
}

#[test]
fn tokens_are_for_a_repository_and_an_action_and_wear_out() {
    let login = Some(Login::new("ann", "secret"));
    let script = Script { auth: Auth::Bearer { login, uses: Some(2) }, ..Script::default() };
    let (registry, path, _) = with_blob(script);
    let host = registry.host();
    let token = |scope: &str, headers: &[&str]| {
        let answer = get(&host, &format!("/token?service=scripted&scope={scope}"), headers);
        let text = String::from_utf8(answer.body).unwrap();
        let token = text.split_once("\"token\":\"").map_or("", |(_, rest)| rest.split('"').next().unwrap());
        (answer.status, format!("Authorization: Bearer {token}"))
    };

    let challenge = get(&host, &path, &[]);
    assert_eq!(challenge.status, 401);
    let expected =
        format!("Bearer realm=\"http://{host}/token\",service=\"scripted\",scope=\"repository:image:pull\"");
    assert_eq!(challenge.header("www-authenticate"), expected);

    assert_eq!(token("repository:image:pull", &[]).0, 401);
    // The name and the password, as base64 has them.
    let basic = "Authorization: Basic YW5uOnNlY3JldA==";
    let (status, good) = token("repository%3Aimage%3Apull", &[basic]);
    assert_eq!(status, 200);
    assert_eq!(get(&host, &path, &[&good]).status, 200);
    let push = Client::connect(&host).send("POST", "/v2/image/blobs/uploads/", &[&good], b"");
    assert!(push.header("www-authenticate").ends_with(":pull,push\",error=\"insufficient_scope\""));
    assert_eq!(get(&host, &path, &[&good]).status, 200);
    assert!(get(&host, &path, &[&good]).header("www-authenticate").ends_with("error=\"invalid_token\""));
    let other = token("repository:other:pull", &[basic]).1;
    assert_eq!(get(&host, &path, &[&other]).status, 401);

    let form = b"grant_type=refresh_token&refresh_token=secret&scope=repository:image:pull";
    assert_eq!(Client::connect(&host).send("POST", "/token", &[], form).status, 200);
}

#[test]
fn uploads_come_at_once_or_in_pieces_or_from_another_repository() {
    let registry = Scripted::start(Script::default());
    let mut client = Client::connect(&registry.host());
    let digest = digest(b"content");
    let uploads = "/v2/image/blobs/uploads/";

    let at_once = client.send("POST", &format!("{uploads}?digest={digest}"), &[], b"content");
    assert_eq!((at_once.status, at_once.header("docker-content-digest")), (201, digest.as_str()));
    let wrong = client.send("POST", &format!("{uploads}?digest={digest}"), &[], b"other");
    assert_eq!(wrong.status, 400);

    let started = client.send("POST", "/v2/second/blobs/uploads/", &[], b"");
    let location = started.header("location").to_owned();
    let piece = client.send("PATCH", &location, &["Content-Range: 0-3"], b"cont");
    assert_eq!((piece.status, piece.header("range")), (202, "0-3"));
    assert_eq!(client.send("PATCH", &location, &["Content-Range: 0-3"], b"cont").status, 416);
    let end = client.send("PUT", &format!("{location}&digest={digest}"), &[], b"ent");
    assert_eq!(end.status, 201);
    assert_eq!(registry.blob("second", &digest).unwrap(), b"content");

    let mount = format!("/v2/third/blobs/uploads/?mount={digest}&from=image");
    assert_eq!(client.send("POST", &mount, &[], b"").status, 201);
    assert_eq!(client.send("POST", &mount.replace("=image", "=nowhere"), &[], b"").status, 202);
}

#[test]
fn an_upload_that_is_cut_off_keeps_what_arrived() {
    let cut = Fault::new(Target::Uploads, Misdeed::CutUpload { after: 4 });
    let registry = Scripted::start(Script { faults: vec![cut], ..Script::default() });
    let started = Client::connect(&registry.host()).send("POST", "/v2/image/blobs/uploads/", &[], b"");
    let location = started.header("location");
    assert_eq!(Client::connect(&registry.host()).send("PATCH", location, &[], b"content").status, 0);
    let progress = get(&registry.host(), location, &[]);
    assert_eq!((progress.status, progress.header("range")), (204, "0-3"));
    assert_eq!(registry.requests()[1].received, 4);
}

#[test]
fn a_manifest_needs_its_blobs_and_finds_its_referrers() {
    let registry = Scripted::start(Script::default());
    let mut client = Client::connect(&registry.host());
    let config = registry.add_blob("image", b"{}");
    let subject = digest(b"subject");
    let manifest = format!(
        "{{\"config\":{{\"digest\":\"{config}\",\"mediaType\":\"a/b\"}},\"subject\":{{\"digest\":\"{subject}\"}}}}"
    );
    let put = |client: &mut Client, name: &str| {
        let path = format!("/v2/{name}/manifests/tag");
        client.send("PUT", &path, &["Content-Type: t"], manifest.as_bytes())
    };

    assert_eq!(put(&mut client, "empty").status, 400);
    let answer = put(&mut client, "image");
    assert_eq!((answer.status, answer.header("oci-subject")), (201, subject.as_str()));
    let back = client.send("GET", "/v2/image/manifests/tag", &[], b"");
    assert_eq!((back.body.as_slice(), back.header("content-type")), (manifest.as_bytes(), "t"));
    let referrers = client.send("GET", &format!("/v2/image/referrers/{subject}"), &[], b"");
    assert!(String::from_utf8(referrers.body).unwrap().contains("\"artifactType\":\"a/b\""));
    let tags = client.send("GET", "/v2/image/tags/list?n=10", &[], b"");
    assert_eq!(tags.body, br#"{"name":"image","tags":["tag"]}"#);
}

#[test]
fn tool_skopeo_copies_there_and_back_with_tokens_and_redirects() {
    let Some(mut push) = tools::host(Tier::Tool, "skopeo") else { return };
    let login = Some(Login::new("ann", "secret"));
    let registry = Scripted::start(Script {
        auth: Auth::Bearer { login, uses: None },
        blobs: Blobs::Signed { uses: Some(1) },
        ..Script::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let source = Layout::create(dir.path().join("source"));
    let id = source.add_image("latest", Compression::Gzip, &[&sample::rich_tar()]);
    let target = Layout::open(dir.path().join("target"));
    let remote = format!("docker://{}/some/image:latest", registry.host());

    push.args(["copy", "--insecure-policy", "--dest-tls-verify=false", "--dest-creds=ann:secret"]);
    run(push.args([&source.reference("latest"), &remote]));
    let mut pull = tools::host(Tier::Tool, "skopeo").unwrap();
    pull.args(["copy", "--insecure-policy", "--src-tls-verify=false", "--src-creds=ann:secret"]);
    run(pull.args([&remote, &target.reference("latest")]));

    assert_eq!(target.image_id("latest"), id);
    let blobs: Vec<_> = registry.requests().into_iter().filter(|r| r.host == Host::Blobs).collect();
    assert_eq!(blobs.iter().filter(|r| r.status == 200 && !r.authorization).count(), 2);
}

#[test]
fn a_link_and_a_proxy_lose_nothing() {
    let link = Link::of_megabits(1_000, 1);
    let (registry, path, bytes) = with_blob(Script { link: Some(link), ..Script::default() });
    let proxy = link::proxy(&registry.host(), link);
    let mut client = Client::connect(&proxy.address().to_string());
    for _ in 0..3 {
        assert_eq!(client.send("GET", &path, &[], b"").body, bytes);
    }
    assert_eq!((proxy.counts().connections, registry.counters().sent), (1, 30_000));
    // A client may have bytes a moment before they are counted.
    while proxy.counts().down <= 30_000 {
        std::thread::yield_now();
    }
    assert!(proxy.counts().up > 0);
}
