//! Images that are brought to registries.

use std::io::Write;

use chunked::{BlobDigest, Class};
use morsel_registry::client::Registries;
use morsel_registry::convert::{self, NoProgress};
use morsel_registry::descriptor::Descriptor;
use morsel_registry::image::Index;
use morsel_registry::media_type::MediaType;
use testkit::data;
use testkit::registry::Registry;
use testkit::scripted::{Fault, Misdeed, Script, Scripted, Target};
use testkit::tools::Tier;

use super::{create, failure, layout, open, options, read_all};
use crate::made::{put_blob, put_image, put_index, put_manifest, tar};

/// More than two pieces.
const LARGE: usize = 20 << 20;

#[test]
fn tool_what_was_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start(Tier::Tool, dir.path()) else { return };
    let image = format!("{}/team/app:1", registry.host());
    let mut sink = create(&image, options()).unwrap();
    let large = tar(&[("large", &data::stream(1, LARGE))]);
    let one = put_image(&mut *sink, "linux/amd64", &[large, tar(&[("small", b"content")])]);
    let other = put_image(&mut *sink, "linux/arm64", &[tar(&[("small", b"other")])]);
    let root = put_index(&mut *sink, Index::of(vec![one.clone(), other]));
    assert!(open(&image, options()).is_err(), "the tag comes last");
    sink.commit(&root).unwrap();

    let source = open(&image, options()).unwrap();
    assert_eq!(source.root().digest, root.digest);
    let manifest = crate::made::manifest_of(&*source, &one);
    for layer in &manifest.layers {
        let blob = source.blob(layer).unwrap().unwrap();
        let mut body = morsel_registry::blob::read_verified(&*blob, layer).unwrap();
        std::io::copy(&mut body, &mut std::io::sink()).unwrap();
    }
    let sink = create(&image, options()).unwrap();
    let layer = manifest.layers.first().unwrap();
    assert!(sink.has_blob(&layer.digest, layer.len).unwrap());
    assert!(!sink.has_blob(&layer.digest, layer.len + 1).unwrap());
    assert!(!sink.has_blob(&BlobDigest::of(b"missing"), 7).unwrap());
}

#[test]
fn tool_blobs_are_taken_from_other_repositories() {
    let dir = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start(Tier::Tool, dir.path()) else { return };
    let from = format!("{}/from", registry.host());
    let mut sink = create(&from, options()).unwrap();
    let blob = put_blob(&mut *sink, MediaType::OCI_LAYER, b"content");
    let mut sink = create(&format!("{}/to", registry.host()), options()).unwrap();
    let from = format!("docker://{from}").parse().unwrap();
    assert!(!sink.has_blob(&blob.digest, blob.len).unwrap());
    assert!(!sink.adopt_blob(&BlobDigest::of(b"missing"), &from).unwrap());
    assert!(sink.adopt_blob(&blob.digest, &from).unwrap());
    assert!(sink.has_blob(&blob.digest, blob.len).unwrap());
    let elsewhere = "docker://example.com/from".parse().unwrap();
    assert!(!sink.adopt_blob(&blob.digest, &elsewhere).unwrap());
}

#[test]
fn uploads_go_on_where_they_broke_off() {
    let cut = |after| Misdeed::CutUpload { after };
    let registry = Scripted::start(Script {
        faults: vec![
            Fault::new(Target::Uploads, cut(100)),
            Fault::new(Target::Uploads, Misdeed::HangUp).after(2),
            Fault::new(Target::Uploads, Misdeed::Status { status: 503, retry_after: Some(0) }).after(3),
        ],
        ..Script::default()
    });
    let mut sink = create(&format!("{}/app", registry.host()), options()).unwrap();
    let bytes = data::stream(7, LARGE);
    let blob = put_blob(&mut *sink, MediaType::OCI_LAYER, &bytes);
    assert_eq!(registry.blob("app", &blob.digest.to_string()), Some(bytes));
    assert!(registry.counters().received < (LARGE + (16 << 20)) as u64, "{:?}", registry.counters());
}

#[test]
fn small_blobs_are_sent_once_more_where_they_broke_off() {
    let registry = Scripted::start(Script {
        faults: vec![Fault::new(Target::Uploads, Misdeed::CutUpload { after: 3 })],
        ..Script::default()
    });
    let mut sink = create(&format!("{}/app", registry.host()), options()).unwrap();
    let blob = put_blob(&mut *sink, MediaType::OCI_LAYER, b"content");
    assert_eq!(registry.blob("app", &blob.digest.to_string()).as_deref(), Some(b"content".as_slice()));
    registry.forget_requests();
    put_blob(&mut *sink, MediaType::OCI_LAYER, b"content");
    let methods: Vec<_> = registry.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["HEAD"], "what is there is not sent again");
}

#[test]
fn an_upload_that_is_given_up_is_cancelled() {
    let registry = Scripted::start(Script::default());
    let mut sink = create(&format!("{}/app", registry.host()), options()).unwrap();
    let mut blob = sink.start_blob().unwrap();
    blob.write_all(&data::stream(7, 9 << 20)).unwrap();
    drop(blob);
    assert_eq!(registry.requests().last().unwrap().method, "DELETE");
}

#[test]
fn registries_that_take_nothing_say_why() {
    let refuse = |status| Misdeed::Status { status, retry_after: None };
    let registry = Scripted::start(Script {
        faults: vec![
            Fault::new(Target::Path("blobs/uploads".to_owned()), refuse(403)).always(),
            Fault::new(Target::ManifestPuts, refuse(400)).always(),
        ],
        ..Script::default()
    });
    let host = registry.host();
    let image = format!("{host}/app");
    let hosts = [(host.as_str(), "HOST")];
    let mut sink = create(&image, options()).unwrap();
    let mut blob = sink.start_blob().unwrap();
    blob.write_all(b"content").unwrap();
    let result = blob.commit(BlobDigest::of(b"content"));
    assert_eq!(result.as_ref().unwrap_err().class(), Class::Denied);
    insta::assert_snapshot!(failure(result, &hosts), @"cannot access `docker://HOST/app:latest`: `http://HOST/v2/app/blobs/uploads/` refuses: 403 Forbidden: this is what the script says (there are no credentials for it)");
    let document = index();
    insta::assert_snapshot!(failure(sink.put_document(&document), &hosts), @"cannot access `docker://HOST/app:latest`: `http://HOST/v2/app/manifests/sha256:...` answers 400 Bad Request: this is what the script says");
    let name = format!("{image}@{}", BlobDigest::of(b"other"));
    let sink = create(&name, options()).unwrap();
    insta::assert_snapshot!(failure(sink.commit(&document.descriptor()), &hosts), @"cannot access `docker://HOST/app@sha256:...`: the image has the digest sha256:..., its name says sha256:...");
}

fn index() -> morsel_registry::Document {
    let index = morsel_registry::Exact::encode(MediaType::OCI_INDEX, Index::of(Vec::new())).unwrap();
    morsel_registry::Document::Index(std::sync::Arc::new(index))
}

#[test]
fn a_conversion_goes_on_where_it_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let from = Scripted::start(Script::default());
    from.add_layout("app", &layout(dir.path()));
    // The second layer cannot be written at first.
    let to = Scripted::start(Script {
        faults: vec![
            Fault::new(Target::Uploads, Misdeed::Status { status: 400, retry_after: None }).after(1).times(1),
        ],
        ..Script::default()
    });
    let run = || {
        let source = open(&format!("{}/app", from.host()), options())?;
        let sink = create(&format!("{}/out:1", to.host()), options())?;
        let cache = Some(dir.path().join("cache"));
        convert::convert(&*source, sink, &convert::Options { cache, ..Default::default() }, &NoProgress)
    };
    assert!(run().is_err());
    assert!(to.manifest("out", "1").is_none());
    to.forget_requests();
    let report = run().unwrap();
    assert_eq!(report.manifests.len(), 1);
    let uploads = to
        .requests()
        .into_iter()
        .filter(|request| request.method == "PUT" && request.path.contains("/blobs/"));
    // The second layer and the configuration.
    assert_eq!(uploads.count(), 2);
    to.forget_requests();
    run().unwrap();
    let sent =
        to.requests().into_iter().filter(|request| request.received > 0 && request.path.contains("/blobs/"));
    assert_eq!(sent.count(), 0, "everything is there");
    let source = open(&format!("{}/out:1", to.host()), options()).unwrap();
    assert_eq!(read_all(&*source).unwrap(), 4);
}

#[test]
fn referrers_are_listed_or_found_under_a_tag() {
    for has_list in [true, false] {
        let registry = Scripted::start(Script { referrers: has_list, ..Script::default() });
        let image = format!("{}/app:1", registry.host());
        let mut sink = create(&image, options()).unwrap();
        let root = put_image(&mut *sink, "linux/amd64", &[tar(&[("file", b"content")])]);
        let config = put_blob(&mut *sink, MediaType::OCI_CONFIG, b"{}");
        let mut signature = crate::made::manifest(config, Vec::new());
        signature.artifact_type = Some("application/example".to_owned());
        signature.subject = Some(root.bare());
        let signature = put_manifest(&mut *sink, signature);
        sink.commit(&root).unwrap();
        if !has_list {
            let mut tagged =
                create(&format!("{}/app:sha256-{}", registry.host(), root.digest.0.hex()), options())
                    .unwrap();
            let list = put_index(&mut *tagged, Index::of(vec![signature.clone()]));
            tagged.commit(&list).unwrap();
        }
        let registries = Registries::new(options());
        let digests = |subject: &BlobDigest| -> Vec<BlobDigest> {
            let list = registries.referrers(&image.parse().unwrap(), subject).unwrap();
            list.iter().map(|descriptor: &Descriptor| descriptor.digest).collect()
        };
        assert_eq!(digests(&root.digest), [signature.digest], "{has_list}");
        assert!(digests(&BlobDigest::of(b"nothing")).is_empty());
    }
}
