//! The thirteen points that a mirror of some platforms has to keep, each by its number.

use chunked::Class;
use morsel_registry::convert;
use morsel_registry::descriptor::Descriptor;
use morsel_registry::image::Index;
use morsel_registry::media_type::MediaType;
use morsel_registry::mirror::completeness::{Expected, State, Verdict, examine};
use morsel_registry::mirror::{
    BlobFate, ChildFate, Children, Completed, Encoding, NoPlatform, Options, Placed, Record, Selection,
    Shape, Trial, Why, intents,
};
use morsel_registry::{Error, Instances, Platform};
use testkit::scripted::{Auth, Fault, Indexes, Login, Misdeed, Script, Scripted, Target};

use super::sample::{
    AMD64, ARM64, S390X, Sample, access, create, gzip_layer, has, layout, listed, mirror, mirror_as,
    mirror_from, only, open, reference, root_bytes, tag_of,
};
use crate::made::{config, failure, manifest, put_blob, put_image, put_index, put_manifest, tar};

fn registry(indexes: Indexes) -> Scripted {
    Scripted::start(Script { indexes, ..Script::default() })
}

fn app(registry: &Scripted) -> String {
    format!("docker://{}/app:1", registry.host())
}

/// A registry with the sample, and one that takes sparse indexes.
fn pair() -> (Scripted, Sample, Scripted) {
    let from = Scripted::start(Script::default());
    let sample = Sample::put(&app(&from));
    (from, sample, registry(Indexes::None))
}

fn expected() -> Expected {
    Expected { allowed: Vec::new(), required: Vec::new(), jobs: Options::default().jobs }
}

fn masked(registry: &Scripted, text: &str) -> String {
    text.replace(&registry.host(), "HOST")
}

#[test]
fn point_1_chosen_children_and_the_exact_index() {
    let (from, sample, to) = pair();
    let (plan, done) = mirror(&app(&from), &app(&to), &["linux/amd64", "linux/arm64/v8"]).unwrap();
    assert_eq!(root_bytes(&app(&to)), root_bytes(&app(&from)));
    assert_eq!(open(&app(&to)).root().digest, sample.root.digest);
    let there = sample.images.iter().map(|image| has(&app(&to), image)).collect::<Vec<_>>();
    assert_eq!(there, [true, true, false]);
    assert_eq!(done.copied, plan.totals.copy, "bytes moved are bytes planned");
    let uploaded: u64 =
        to.requests().iter().filter(|one| one.path.contains("/blobs/")).map(|one| one.received).sum();
    assert_eq!(uploaded, plan.totals.copy.bytes);
    let puts: Vec<String> = to
        .requests()
        .into_iter()
        .filter(|one| one.method == "PUT" && one.path.contains("/manifests/"))
        .map(|one| one.path)
        .collect();
    assert_eq!(puts.last().map(String::as_str), Some("/v2/app/manifests/1"), "the name comes last");
}

#[test]
fn point_2_variants_versions_nested_indexes_and_no_platform() {
    let from = Scripted::start(Script::default());
    let to = registry(Indexes::None);
    let mut sink = create(&app(&from));
    let image = |sink: &mut dyn morsel_registry::ImageSink,
                 platform: &str,
                 variant: Option<&str>,
                 version: Option<&str>| {
        let own = format!("{platform}{variant:?}{version:?}");
        let mut image = put_image(sink, platform, &[tar(&[("own", own.as_bytes())])]);
        let listed = image.platform.as_mut().unwrap();
        listed.variant = variant.map(str::to_owned);
        listed.os_version = version.map(str::to_owned);
        image
    };
    let arm64 = image(&mut *sink, "linux/arm64", None, None);
    let v8 = image(&mut *sink, "linux/arm64", Some("v8"), None);
    let v6 = image(&mut *sink, "linux/arm", Some("v6"), None);
    let windows = image(&mut *sink, "windows/amd64", None, Some("10.0.17763.1"));
    let newer = image(&mut *sink, "windows/amd64", None, Some("10.0.20348.1"));
    let nested = put_index(&mut *sink, Index::of(vec![v8.clone(), v6.clone()]));
    let unused = put_index(&mut *sink, Index::of(vec![newer.clone()]));
    let bare = Descriptor { platform: None, ..image(&mut *sink, "linux/riscv64", None, None) };
    let listed = vec![arm64.clone(), nested.clone(), windows.clone(), unused.clone(), bare.clone()];
    let root = put_index(&mut *sink, Index::of(listed));
    sink.commit(&root).unwrap();

    let mut options = only(&["linux/arm64", "windows/amd64,10.0.17763"]);
    options.selection.no_platform = NoPlatform::Skip;
    let (plan, _) = mirror_as(&app(&from), &app(&to), &options).unwrap();
    let there = |descriptor: &Descriptor| has(&app(&to), descriptor);
    assert!([&arm64, &v8, &windows, &nested].into_iter().all(there));
    assert!(![&v6, &newer, &unused, &bare].into_iter().any(there));
    let whys: Vec<_> = plan.children.iter().map(|child| child.why).collect();
    let platform = Some(Why::Platform);
    assert_eq!(whys, [None, None, platform, None, platform, Some(Why::NoPlatform)]);

    mirror(&app(&from), &app(&to), &["linux/arm64"]).unwrap();
    assert!(there(&bare), "entries without a platform are kept unless told otherwise");
    let refused = mirror(&app(&from), &app(&registry(Indexes::All)), &["linux/arm64"]);
    assert!(matches!(refused, Err(Error::SparseRefused(_))), "{refused:?}");
    let none = mirror(&app(&from), &app(&to), &["linux/ppc64le"]);
    insta::assert_snapshot!(masked(&from, &failure(none)), @"`docker://HOST/app:1` does not list linux/ppc64le; it lists linux/arm64, linux/arm64/v8, linux/arm/v6, windows/amd64,10.0.17763.1, windows/amd64,10.0.20348.1");
}

#[test]
fn point_3_attestations_signatures_and_referrers_follow_what_they_are_about() {
    for referrers in [true, false] {
        let from = Scripted::start(Script { referrers, ..Script::default() });
        let sample = Sample::put(&app(&from));
        let to =
            Scripted::start(Script { referrers: !referrers, indexes: Indexes::None, ..Script::default() });
        mirror(&app(&from), &app(&to), &["linux/amd64"]).unwrap();
        let there = |descriptor: &Descriptor| has(&app(&to), descriptor);
        assert_eq!(sample.attestations.iter().map(there).collect::<Vec<_>>(), [true, false]);
        assert!(sample.about_index.iter().all(there));
        assert_eq!(
            sample.about_images.iter().map(there).collect::<Vec<_>>(),
            [true, true, false, false, false, false]
        );
        let mirror = open(&app(&to));
        for (subject, count) in [(&sample.images[AMD64], 1), (&sample.root, 2), (&sample.images[S390X], 0)] {
            assert_eq!(mirror.referrers(&subject.digest).unwrap().len(), count, "{referrers}");
            assert_eq!(mirror.tagged(&tag_of(&subject.digest)).unwrap().is_some(), count > 0);
        }
    }
}

#[test]
fn point_4_platform_and_encoding() {
    let from = Scripted::start(Script::default());
    let to = registry(Indexes::None);
    let mut sink = create(&app(&from));
    let tars = [tar(&[("file", b"content")])];
    let mut image = |layer: fn(&mut dyn morsel_registry::ImageSink, &[u8]) -> Descriptor| {
        let layer = layer(&mut *sink, &tars[0]);
        let config = put_blob(&mut *sink, MediaType::OCI_CONFIG, &config("linux/amd64", &tars));
        let mut image = put_manifest(&mut *sink, manifest(config, vec![layer]));
        image.platform = Some(Platform::new("linux", "amd64"));
        image
    };
    let gzip = image(gzip_layer);
    let zstd = image(|sink, _| put_blob(sink, MediaType::OCI_LAYER_ZSTD, b"zstd"));
    let chunked = image(|sink, _| {
        let mut layer = put_blob(sink, MediaType::OCI_LAYER_ZSTD, b"chunked");
        let annotations = [
            ("io.github.containers.zstd-chunked.manifest-checksum", layer.digest.to_string()),
            ("io.github.containers.zstd-chunked.manifest-position", "1:2:3:1".to_owned()),
        ];
        layer.annotations.extend(annotations.map(|(key, value)| (key.to_owned(), value)));
        layer
    });
    let root = put_index(&mut *sink, Index::of(vec![gzip.clone(), zstd.clone(), chunked.clone()]));
    sink.commit(&root).unwrap();
    let with = |encoding: Encoding| {
        let selection = Selection { encodings: vec![encoding], ..only(&["linux/amd64"]).selection };
        Options { selection, ..Options::default() }
    };
    let there = |descriptor: &&Descriptor| has(&app(&to), descriptor);
    mirror_as(&app(&from), &app(&to), &with(Encoding::ZstdChunked)).unwrap();
    assert_eq!([&gzip, &zstd, &chunked].iter().map(there).collect::<Vec<_>>(), [false, false, true]);
    mirror_as(&app(&from), &app(&to), &with(Encoding::Gzip)).unwrap();
    assert_eq!([&gzip, &zstd, &chunked].iter().map(there).collect::<Vec<_>>(), [true, false, true]);
    let none = mirror_as(&app(&from), &app(&to), &with(Encoding::Tar));
    insta::assert_snapshot!(masked(&from, &failure(none)), @"`docker://HOST/app:1` lists linux/amd64, but not with layers as tar");
}

#[test]
fn point_5_acceptance_is_known_before_bytes_move() {
    let (from, _, _) = pair();
    let cases = [
        (Indexes::Quay { sparse: false, required: vec![] }, Trial::Off, false),
        (Indexes::Quay { sparse: true, required: vec![] }, Trial::Off, false),
        (Indexes::Quay { sparse: true, required: vec!["amd64", "s390x"] }, Trial::Off, false),
        (Indexes::Quay { sparse: true, required: vec!["amd64"] }, Trial::Off, true),
        (Indexes::All, Trial::On, false),
        (Indexes::Listed(vec![("linux", "s390x")]), Trial::On, false),
        (Indexes::Listed(vec![("linux", "amd64")]), Trial::On, true),
        (Indexes::None, Trial::On, true),
    ];
    for (indexes, trial, is_taken) in cases {
        let to = registry(indexes.clone());
        let mut options = only(&["linux/amd64"]);
        (options.trial, options.selection.no_platform) = (trial, NoPlatform::Skip);
        let result = mirror_as(&app(&from), &app(&to), &options);
        assert_eq!(result.is_ok(), is_taken, "{indexes:?}");
        let uploads =
            to.requests().into_iter().filter(|one| one.path.contains("/blobs/") && one.received > 0);
        assert_eq!(uploads.count() > 0, is_taken, "{indexes:?}");
    }
    let deaf = Scripted::start(Script { indexes: Indexes::None, deletes: false, ..Script::default() });
    mirror_as(&app(&from), &app(&deaf), &Options { trial: Trial::On, ..only(&["linux/amd64"]) }).unwrap();
}

#[test]
fn point_6_refusals_are_put_in_terms_of_platforms_and_nothing_is_trimmed_silently() {
    let (from, sample, _) = pair();
    let refusal = |indexes| {
        let to = registry(indexes);
        let refused = mirror(&app(&from), &app(&to), &["linux/amd64"]);
        assert_eq!(refused.as_ref().unwrap_err().class(), Class::Denied);
        assert!(to.manifest("app", "1").is_none());
        masked(&to, &failure(refused))
    };
    insta::assert_snapshot!(refusal(Indexes::All), @"`docker://HOST/app:1` refuses index sha256:... without linux/arm64/v8 as sha256:..., linux/s390x as sha256:..., sha256:...; distribution 3 takes it with `validation.manifests.indexes.platforms: none`, or `list` with a `platformlist` of linux/amd64; 2.x, Harbor, Gitea and Nexus do not");
    insta::assert_snapshot!(refusal(Indexes::Listed(vec![("linux", "arm64"), ("linux", "amd64")])), @"`docker://HOST/app:1` refuses index sha256:... without linux/arm64/v8 as sha256:...; distribution 3 takes it with `validation.manifests.indexes.platforms: none`, or `list` with a `platformlist` of linux/amd64; 2.x, Harbor, Gitea and Nexus do not");
    insta::assert_snapshot!(refusal(Indexes::Quay { sparse: false, required: vec![] }), @"`docker://HOST/app:1` refuses index sha256:... without linux/arm64/v8 as sha256:..., linux/s390x as sha256:..., sha256:...; Quay takes it with `FEATURE_SPARSE_INDEX: true` and the architectures of linux/amd64 as `SPARSE_INDEX_REQUIRED_ARCHS`");
    insta::assert_snapshot!(refusal(Indexes::Quay { sparse: true, required: vec![] }), @"`docker://HOST/app:1` refuses index sha256:... without linux/arm64/v8 as sha256:..., linux/s390x as sha256:..., sha256:...; Quay requires all architectures while `SPARSE_INDEX_REQUIRED_ARCHS` is empty; it has to list those of linux/amd64");
    insta::assert_snapshot!(refusal(Indexes::Quay { sparse: true, required: vec!["arm64"] }), @"`docker://HOST/app:1` refuses index sha256:... without linux/arm64/v8 as sha256:...; `SPARSE_INDEX_REQUIRED_ARCHS` of this Quay lists arm64; what is to be missing has to go from it");

    let to = registry(Indexes::All);
    let trimmed = Options { shape: Shape::Trimmed, ..only(&["linux/amd64"]) };
    let (plan, _) = mirror_as(&app(&from), &app(&to), &trimmed).unwrap();
    let lost = plan.trimmed.unwrap();
    assert_eq!(lost.before, sample.root.digest);
    assert_eq!(lost.lost.len(), sample.about_index.len());
    assert_eq!(listed(&app(&to)).len(), 2, "the image and its attestation");
    let (whole, _) = mirror(&app(&from), &app(&registry(Indexes::All)), &[]).unwrap();
    assert!(whole.trimmed.is_none() && !whole.is_sparse());
}

#[test]
fn point_7_sparse_sources_are_copied_as_far_as_they_go_or_completed() {
    let (from, sample, to) = pair();
    let third = registry(Indexes::None);
    mirror(&app(&from), &app(&to), &["linux/amd64"]).unwrap();
    let (plan, _) = mirror(&app(&to), &app(&third), &[]).unwrap();
    assert_eq!(root_bytes(&app(&third)), root_bytes(&app(&from)));
    let notices = plan.notices.join("\n");
    assert!(notices.contains("linux/arm64/v8") && notices.contains("linux/s390x"), "{notices}");
    assert!(has(&app(&third), &sample.images[AMD64]) && !has(&app(&third), &sample.images[ARM64]));

    let required = Options { require: vec!["linux/arm64".parse().unwrap()], ..Options::default() };
    let refused = mirror_as(&app(&to), &app(&third), &required);
    assert_eq!(refused.as_ref().unwrap_err().class(), Class::Missing);
    let text = failure(refused).replace(&from.host(), "FROM");
    insta::assert_snapshot!(masked(&to, &text), @"index sha256:... lists linux/arm64/v8 as sha256:..., but `docker://HOST/app:1` does not have it (sparse mirror of `docker://FROM/app:1`; present: linux/amd64)");

    let completed = Completed::new(open(&app(&to)), open(&app(&from)));
    let options = only(&["linux/amd64", "linux/arm64"]);
    let (plan, _) = mirror_from(&completed, &app(&third), &options, &Placed::default()).unwrap();
    assert!(has(&app(&third), &sample.images[ARM64]) && !has(&app(&third), &sample.images[S390X]));
    assert!(plan.root_is_there);
}

#[test]
fn point_8_what_is_wrong_with_a_platform_is_told_apart() {
    let (from, sample, to) = pair();
    mirror(&app(&from), &app(&to), &["linux/amd64", "linux/arm64"]).unwrap();
    let find = |platform: &str| Instances::find(&*open(&app(&to)), &[platform.parse().unwrap()]).map(drop);
    let text = |platform: &str| masked(&to, &failure(find(platform)).replace(&from.host(), "FROM"));
    insta::assert_snapshot!(text("linux/s390x"), @"index sha256:... lists linux/s390x as sha256:..., but `docker://HOST/app:1` does not have it (sparse mirror of `docker://FROM/app:1`; present: linux/amd64, linux/arm64/v8)");
    insta::assert_snapshot!(text("linux/ppc64le"), @"`docker://HOST/app:1` does not list linux/ppc64le; it lists linux/amd64, linux/arm64/v8, linux/s390x");
    let source = open(&app(&to));
    let manifest = crate::made::manifest_of(&*source, &sample.images[ARM64]);
    to.remove_blob("app", &manifest.config.digest.to_string());
    insta::assert_snapshot!(text("linux/arm64"), @"index sha256:... lists linux/arm64/v8 as sha256:..., which `docker://HOST/app:1` has, but not its blob sha256:... (damaged; present: linux/amd64)");
    assert!(matches!(find("linux/arm64"), Err(Error::BrokenPlatform { .. })));

    to.remove_blob("app", &manifest.layers[1].digest.to_string());
    let copied = mirror(&app(&to), &app(&registry(Indexes::None)), &["linux/arm64"]);
    assert!(matches!(copied, Err(Error::BrokenPlatform { .. })), "{copied:?}");

    let closed =
        Scripted::start(Script { auth: Auth::Basic(Login::new("ann", "secret")), ..Script::default() });
    let denied = morsel_registry::transport::open(&reference(&app(&closed)), &access()).map(drop);
    assert_eq!(denied.as_ref().unwrap_err().class(), Class::Denied);
    insta::assert_snapshot!(masked(&closed, &failure(denied)), @"cannot access `docker://HOST/app:1`: `http://HOST/v2/app/manifests/1` refuses: 401 Unauthorized: authentication required (there are no credentials for it)");
}

#[test]
fn point_9_completeness_is_reported_for_every_platform() {
    let (from, sample, to) = pair();
    let look = |place: &Scripted, expected: &Expected| examine(&*open(&app(place)), expected).unwrap();
    let whole = look(&from, &expected());
    assert_eq!((whole.verdict, whole.referrers, whole.signatures.len()), (Verdict::Complete, 1, 1));
    assert!(whole.signatures[0].names_index);

    mirror(&app(&from), &app(&to), &["linux/amd64"]).unwrap();
    let sparse = look(&to, &expected());
    assert_eq!(sparse.verdict, Verdict::Sparse);
    let states: Vec<State> = sparse.children.iter().map(|child| child.state).collect();
    assert_eq!(states, [State::Present, State::LeftOut, State::LeftOut, State::Present, State::LeftOut]);
    assert_eq!(sparse.children[AMD64].referrers, 1);
    assert!(sparse.signatures[0].names_index);

    let required = Expected { required: vec!["linux/arm64".parse().unwrap()], ..expected() };
    assert_eq!(look(&to, &required).verdict, Verdict::Broken);
    let unrecorded = registry(Indexes::None);
    mirror_as(&app(&from), &app(&unrecorded), &Options { record: Record::Off, ..only(&["linux/amd64"]) })
        .unwrap();
    assert_eq!(look(&unrecorded, &expected()).verdict, Verdict::Broken, "nobody said that it is on purpose");
    let allowed = ["linux/arm64", "linux/s390x"].map(|platform| platform.parse().unwrap()).to_vec();
    assert_eq!(look(&unrecorded, &Expected { allowed, ..expected() }).verdict, Verdict::Sparse);

    let source = open(&app(&to));
    let lost = crate::made::manifest_of(&*source, &sample.images[AMD64]).layers[1].digest;
    to.remove_blob("app", &lost.to_string());
    let broken = look(&to, &expected());
    assert_eq!((broken.verdict, broken.children[AMD64].state), (Verdict::Broken, State::BlobsMissing));
    assert_eq!(broken.children[AMD64].missing_blobs, [lost]);
}

#[test]
fn point_10_the_purpose_is_recorded_beside_the_index() {
    let (from, sample, to) = pair();
    let by = Record::On { by: Some("edge team".to_owned()) };
    mirror_as(&app(&from), &app(&to), &Options { record: by, ..only(&["linux/amd64"]) }).unwrap();
    let records = intents(&*open(&app(&to)), &sample.root.digest).unwrap();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((record.source.as_str(), record.by.as_deref()), (app(&from).as_str(), Some("edge team")));
    assert_eq!(record.platforms, ["linux/amd64"]);
    assert!(record.mirrors(&sample.images[AMD64].digest) && record.mirrors(&sample.attestations[0].digest));
    assert!(
        record.leaves_out(&sample.images[S390X].digest) && record.leaves_out(&sample.attestations[1].digest)
    );
    mirror(&app(&from), &app(&from), &[]).unwrap();
    assert!(
        intents(&*open(&app(&from)), &sample.root.digest).unwrap().is_empty(),
        "a complete mirror needs none"
    );
}

#[test]
fn point_11_one_more_platform_costs_only_itself() {
    let (from, sample, to) = pair();
    mirror(&app(&from), &app(&to), &["linux/amd64"]).unwrap();
    for registry in [&from, &to] {
        registry.forget_requests();
    }
    let (plan, done) = mirror(&app(&from), &app(&to), &["linux/amd64", "linux/arm64"]).unwrap();
    assert!(plan.root_is_there);
    let puts: Vec<String> = to
        .requests()
        .into_iter()
        .filter(|one| one.method == "PUT" && one.path.contains("/manifests/"))
        .map(|one| one.path.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert!(!puts.contains(&"1".to_owned()) && !puts.contains(&sample.root.digest.to_string()), "{puts:?}");
    // The image, what is said about it, and the record.
    assert_eq!(puts.len(), 4, "{puts:?}");
    let children: Vec<ChildFate> = plan.children.iter().map(|child| child.fate).collect();
    assert_eq!(children.iter().filter(|fate| **fate == ChildFate::Mirrored).count(), 3);
    let own = crate::made::manifest_of(&*open(&app(&from)), &sample.images[ARM64]);
    let fetched: Vec<String> = from
        .requests()
        .into_iter()
        .filter(|one| one.method == "GET" && one.path.contains("/blobs/"))
        .map(|one| one.path.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert!(
        fetched.contains(&own.layers[1].digest.to_string())
            && !fetched.contains(&own.layers[0].digest.to_string())
    );
    assert_eq!(done.copied.bytes, plan.totals.copy.bytes);

    to.forget_requests();
    let (plan, _) = mirror(&app(&from), &app(&to), &["linux/arm64"]).unwrap();
    assert!(plan.blobs.iter().all(|step| step.fate == BlobFate::There));
    assert!(
        to.requests().iter().all(|one| matches!(one.method.as_str(), "GET" | "HEAD")),
        "nothing is sent again"
    );
    let record = intents(&*open(&app(&to)), &sample.root.digest).unwrap();
    assert!(
        record.iter().any(|record| record.mirrors(&sample.images[AMD64].digest)
            && record.mirrors(&sample.images[ARM64].digest))
    );
}

#[test]
fn point_12_retention_is_warned_of() {
    let (from, _, to) = pair();
    let (plan, _) = mirror(&app(&from), &app(&to), &["linux/amd64"]).unwrap();
    insta::assert_snapshot!(masked(&to, &plan.notices.join("\n")), @"children of an index have no tags of their own: at HOST, retention or garbage collection by tags must spare what an index lists, and accept that some of it is missing");
    let (plan, _) = mirror(&app(&from), &app(&to), &[]).unwrap();
    assert!(plan.notices.is_empty());
}

#[test]
fn point_13_conversion_of_a_sparse_image_takes_what_is_there() {
    let (from, sample, to) = pair();
    mirror(&app(&from), &app(&to), &["linux/amd64"]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let sink = create(&layout(dir.path(), "converted"));
    let report =
        convert::convert(&*open(&app(&to)), sink, &convert::Options::default(), &convert::NoProgress)
            .unwrap();
    let converted = report.manifests.iter().filter(|one| one.action == convert::Action::Converted);
    assert_eq!(converted.map(|one| one.source.digest).collect::<Vec<_>>(), [sample.images[AMD64].digest]);
    let absent = report.manifests.iter().filter(|one| one.action == convert::Action::Absent).count();
    assert_eq!(absent, 3, "two images and an attestation");
}

#[test]
fn only_the_index_can_be_mirrored() {
    let (from, sample, to) = pair();
    let mut options = Options::default();
    options.selection.children = Children::None;
    let (plan, _) = mirror_as(&app(&from), &app(&to), &options).unwrap();
    assert_eq!(root_bytes(&app(&to)), root_bytes(&app(&from)));
    assert!(plan.children.iter().all(|child| child.why == Some(Why::IndexOnly)));
    assert!(sample.about_index.iter().all(|one| has(&app(&to), one)));
    assert!(!sample.about_images.iter().chain(&sample.images).any(|one| has(&app(&to), one)));
}

#[test]
fn a_blob_that_is_lost_meanwhile_is_no_refusal_of_the_index() {
    let (from, _, _) = pair();
    let misdeed = Misdeed::Status { status: 400, retry_after: None };
    let faults = vec![Fault::new(Target::ManifestPuts, misdeed).always()];
    let to = Scripted::start(Script { faults, indexes: Indexes::None, ..Script::default() });
    let failed = mirror(&app(&from), &app(&to), &["linux/amd64"]);
    assert!(matches!(failed, Err(Error::Registry { .. })), "{failed:?}");
}

#[test]
fn names_with_a_digest_are_kept_to() {
    let (from, sample, to) = pair();
    let by_digest = |registry: &Scripted| format!("docker://{}/app@{}", registry.host(), sample.root.digest);
    mirror(&by_digest(&from), &by_digest(&to), &["linux/amd64"]).unwrap();
    assert_eq!(root_bytes(&by_digest(&to)), root_bytes(&app(&from)));
    let wrong = format!("docker://{}/app@{}", to.host(), sample.digest(AMD64));
    assert!(mirror(&app(&from), &wrong, &["linux/amd64"]).is_err());
}
