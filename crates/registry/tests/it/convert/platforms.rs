//! Indexes: images of several platforms.

use super::*;

/// Two platforms, an attestation of each, and an artifact.
fn put_two_platforms(sink: &mut dyn ImageSink) -> Descriptor {
    let mut children =
        vec![put_image(sink, "linux/amd64", &layers()), put_image(sink, "linux/arm64", &layers()[..1])];
    for subject in [0, 1] {
        let statement = put_blob(sink, MediaType::from("application/vnd.in-toto+json".to_owned()), b"{}");
        let config =
            put_blob(sink, MediaType::OCI_CONFIG, &config("unknown/unknown", &[subject.to_string().into()]));
        let mut attestation = put_manifest(sink, manifest(config, vec![statement]));
        attestation.annotations.insert(ATTESTATION_SUBJECT.into(), children[subject].digest.to_string());
        attestation.platform = Some(morsel_registry::Platform::new("unknown", "unknown"));
        children.push(attestation);
    }
    let config = put_blob(sink, MediaType::from("application/vnd.oci.empty.v1+json".to_owned()), b"{}");
    children.push(put_manifest(sink, manifest(config, vec![])));
    let mut index = Index::of(children);
    index.annotations.insert("index".into(), "annotation".into());
    put_index(sink, index)
}

#[test]
fn every_platform_of_an_index_is_converted() {
    let bench = Bench::with(put_two_platforms);
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    use Action::{Converted, Dropped, Kept};
    assert_eq!(actions(&report), [Converted, Converted, Kept, Dropped, Dropped]);
    assert_eq!(report.manifests[1].layers[0].origin, Some(Origin::Run), "the same blob is converted once");
    let out = bench.open("out");
    let index = index_of(&*out, out.root());
    assert_eq!(index.annotations["index"], "annotation");
    assert_eq!(index.manifests.len(), 3);
    let platforms: Vec<String> =
        index.manifests[..2].iter().map(|child| child.platform.as_ref().unwrap().to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(index.manifests[0].annotations[ZSTD], "true");
    assert_chunked(&*out, &manifest_of(&*out, &index.manifests[0]), &layers());
}

#[test]
fn chosen_platforms_are_converted_and_others_left_out() {
    let bench = Bench::with(put_two_platforms);
    let report = bench.convert("in", "out", &only("linux/arm64/v8")).unwrap();
    use Action::{Converted, Dropped, Kept, NotSelected};
    assert_eq!(actions(&report), [NotSelected, Converted, Kept, Dropped, Dropped]);
    let out = bench.open("out");
    assert_eq!(index_of(&*out, out.root()).manifests.len(), 2);
    insta::assert_snapshot!(bench.fails(&only("linux/s390x")), @"`oci:DIR/in` does not list linux/s390x; it lists linux/amd64, linux/arm64");
}

#[test]
fn absent_children_are_reported_and_not_fatal() {
    let bench = Bench::with(put_two_platforms);
    let source = bench.open("in");
    let children = index_of(&*source, source.root()).manifests;
    bench.remove("in", &children[0]);
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    use Action::{Absent, Added, Converted, Dropped, Kept};
    assert_eq!(actions(&report), [Absent, Converted, Kept, Dropped, Dropped]);

    let report = bench.convert("in", "added", &add()).unwrap();
    assert_eq!(actions(&report), [Absent, Added, Kept, Kept, Kept]);
    let out = bench.open("added");
    let added = index_of(&*out, out.root()).manifests;
    assert_eq!(added[..5], children[..]);
    assert!(out.document(&children[0]).unwrap().is_none());

    insta::assert_snapshot!(bench.fails(&only("linux/amd64")), @"index sha256:... lists linux/amd64 as sha256:..., but `oci:DIR/in` does not have it (sparse index; present: linux/arm64)");
    bench.remove("in", &children[1]);
    insta::assert_snapshot!(bench.fails(&Options::default()), @"index sha256:... lists linux/amd64 as sha256:..., linux/arm64 as sha256:..., but `oci:DIR/in` does not have them (sparse index; present: none)");
}

#[test]
fn adding_keeps_the_originals_first_and_happens_once() {
    let bench = Bench::with(put_two_platforms);
    let source = bench.open("in");
    let originals = index_of(&*source, source.root()).manifests;
    bench.convert("in", "out", &add()).unwrap();
    let out = bench.open("out");
    let index = index_of(&*out, out.root());
    assert_eq!(index.manifests[..5], originals[..]);
    assert_eq!(index.manifests.len(), 7);
    for (original, added) in originals[..2].iter().zip(&index.manifests[5..]) {
        assert_eq!(added.annotations[ZSTD], "true");
        assert_eq!(added.platform, original.platform);
        let (before, after) = (manifest_of(&*out, original), manifest_of(&*out, added));
        assert_eq!(before.config.digest, after.config.digest);
        assert_eq!(blob_of(&*out, &before.layers[0]), blob_of(&*source, &before.layers[0]));
    }
    let again = bench.convert("out", "again", &add()).unwrap();
    assert_eq!(again.before, again.after);
    let in_place = bench.convert("out", "out", &add()).unwrap();
    assert_eq!(in_place.before, in_place.after);
    let redone = Options { chunked: Chunked::Redo, ..add() };
    let redone = bench.convert("out", "redone", &redone).unwrap();
    assert_eq!(redone.before, redone.after);
    let stronger = Options { chunked: Chunked::Redo, layer: level(9), ..add() };
    bench.convert("out", "stronger", &stronger).unwrap();
    let out = bench.open("stronger");
    let stronger = index_of(&*out, out.root());
    assert_eq!(stronger.manifests[..5], originals[..]);
    assert_eq!(stronger.manifests.len(), 7);
}

#[test]
fn adding_to_a_single_image_makes_an_index() {
    let bench = Bench::with(|sink| put_image(sink, "linux/arm64", &layers()));
    let report = bench.convert("in", "out", &add()).unwrap();
    let out = bench.open("out");
    let index = index_of(&*out, out.root());
    assert_eq!(index.manifests[0].digest, report.before.digest);
    assert_eq!(index.manifests[0].platform.as_ref().unwrap().to_string(), "linux/arm64");
    assert_eq!(index.manifests[0].annotations.len(), 0);
    assert_chunked(&*out, &manifest_of(&*out, &index.manifests[1]), &layers());
    let again = bench.convert("out", "again", &add()).unwrap();
    assert_eq!(again.before, again.after);
}

#[test]
fn adding_what_conversion_does_not_change_adds_nothing() {
    let twice = tar(&[("same", b"1"), ("same", b"2")]);
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &[twice]));
    let plain = bench.convert("in", "plain", &Options::default()).unwrap();
    assert_eq!(plain.manifests[0].layers[0].action, LayerAction::Plain);
    let added = bench.convert("plain", "added", &add()).unwrap();
    assert_eq!(added.before, added.after);
    assert_eq!(actions(&added), [Action::Kept]);
}

#[test]
fn originals_that_differ_in_annotations_alone_all_stay() {
    let bench = Bench::with(|sink| {
        let image = put_image(sink, "linux/amd64", &layers());
        let mut other = image.clone();
        other.annotations.insert("note".to_owned(), "two".to_owned());
        put_index(sink, Index::of(vec![image, other]))
    });
    let source = bench.open("in");
    let originals = index_of(&*source, source.root()).manifests;
    bench.convert("in", "added", &add()).unwrap();
    let added = bench.open("added");
    assert_eq!(index_of(&*added, added.root()).manifests[..2], originals[..]);
    bench.convert("in", "out", &Options::default()).unwrap();
    let out = bench.open("out");
    assert_eq!(index_of(&*out, out.root()).manifests[1].annotations["note"], "two");
}

#[test]
fn images_for_two_platforms_that_share_a_config_both_get_a_twin() {
    let bench = Bench::with(|sink| {
        let v6 = put_image(sink, "linux/arm", &layers());
        let mut v7 = v6.clone();
        v7.platform.as_mut().unwrap().variant = Some("v7".to_owned());
        put_index(sink, Index::of(vec![v6, v7]))
    });
    bench.convert("in", "one", &Options { originals: Originals::Keep, ..only("linux/arm/v7") }).unwrap();
    let one = bench.open("one");
    let index = index_of(&*one, one.root());
    assert_eq!(index.manifests.len(), 4, "without a variant it is v7 as well");
    let mut sink = create(&reference("oci", &bench.path("one"), ":less")).unwrap();
    let less = put_index(&mut *sink, Index { manifests: index.manifests[..3].to_vec(), ..index });
    sink.commit(&less).unwrap();
    let source = open(&reference("oci", &bench.path("one"), ":less")).unwrap();
    let sink = create(&reference("oci", &bench.path("both"), ":out")).unwrap();
    let report = convert::convert(&*source, sink, &add(), &NoProgress).unwrap();
    assert_eq!(actions(&report), [Action::Kept, Action::Added, Action::Kept]);
    let both = bench.open("both");
    assert_eq!(index_of(&*both, both.root()).manifests.len(), 4);
}

#[test]
fn an_index_of_nothing_is_not_written() {
    let bench = Bench::with(|sink| {
        let mut image = put_image(sink, "linux/amd64", &layers());
        image.platform = None;
        put_index(sink, Index::of(vec![image]))
    });
    let source = bench.open("in");
    bench.remove("in", &index_of(&*source, source.root()).manifests[0]);
    insta::assert_snapshot!(bench.fails(&Options::default()), @"index sha256:... lists sha256:..., but `oci:DIR/in` does not have it (sparse index; present: none)");
    let bench = Bench::with(|sink| put_blob(sink, MediaType::from("a/b".to_owned()), b"x"));
    insta::assert_snapshot!(bench.fails(&Options::default()), @"document sha256:... of `oci:DIR/in` is not valid: media type `a/b` is not that of an image manifest or index");

    let bench = Bench::with(|sink| {
        let inner = put_image(sink, "linux/amd64", &layers());
        let inner = put_index(sink, Index::of(vec![inner]));
        let other = put_image(sink, "linux/arm64", &layers()[..1]);
        put_index(sink, Index::of(vec![inner, other]))
    });
    bench.convert("in", "out", &only("linux/arm64")).unwrap();
    let out = bench.open("out");
    assert_eq!(index_of(&*out, out.root()).manifests.len(), 1);
}

#[test]
fn images_without_a_layer_are_absent() {
    let bench = Bench::with(put_two_platforms);
    let source = bench.open("in");
    let children = index_of(&*source, source.root()).manifests;
    bench.remove("in", &manifest_of(&*source, &children[0]).layers[1]);
    for options in [Options::default(), add(), Options { originals: Originals::Keep, ..only("linux/arm64") }]
    {
        let report = bench.convert("in", "out", &options).unwrap();
        let absent = &report.manifests[0];
        assert_eq!((absent.action, absent.platform.as_deref()), (Action::Absent, Some("linux/amd64")));
        insta::allow_duplicates! {
            insta::assert_snapshot!(mask_digests(absent.reason.as_deref().unwrap()), @"its blob sha256:... is missing");
        }
    }
    insta::assert_snapshot!(bench.fails(&only("linux/amd64")), @"index sha256:... lists linux/amd64 as sha256:..., which `oci:DIR/in` has, but not its blob sha256:... (damaged; present: linux/arm64)");
}

#[test]
fn one_blob_may_be_listed_with_a_toc_and_without() {
    let bench =
        Bench::with(|sink| put_image(sink, "linux/amd64", &[layers()[0].clone(), layers()[0].clone()]));
    bench.convert("in", "once", &Options::default()).unwrap();
    let once = bench.open("once");
    let mut half = manifest_of(&*once, once.root());
    half.layers[1].annotations.clear();
    let mut sink = create(&reference("oci", &bench.path("once"), ":half")).unwrap();
    let root = put_manifest(&mut *sink, half);
    sink.commit(&root).unwrap();
    let source = open(&reference("oci", &bench.path("once"), ":half")).unwrap();
    let sink = create(&reference("oci", &bench.path("out"), "")).unwrap();
    let report = convert::convert(&*source, sink, &Options::default(), &NoProgress).unwrap();
    assert_eq!(report.after.digest, once.root().digest);
}

#[test]
fn claimed_lengths_do_not_overflow() {
    let bench = Bench::with(|sink| {
        let mut layers: Vec<Descriptor> =
            self::layers().iter().map(|tar| put_blob(sink, MediaType::OCI_LAYER, tar)).collect();
        layers.iter_mut().for_each(|layer| layer.len = u64::MAX - 1);
        let config = put_blob(sink, MediaType::OCI_CONFIG, &config("linux/amd64", &self::layers()));
        put_manifest(sink, manifest(config, layers))
    });
    insta::assert_snapshot!(bench.fails(&Options::default()), @"blob sha256:... of `oci:DIR/in` is 7680 bytes long, its descriptor says 18446744073709551614");
}

#[test]
fn adding_for_one_platform_takes_the_others_along() {
    let bench = Bench::with(put_two_platforms);
    bench.convert("in", "out", &Options { originals: Originals::Keep, ..only("linux/amd64") }).unwrap();
    let out = bench.open("out");
    let index = index_of(&*out, out.root());
    assert_eq!(index.manifests.len(), 6);
    let arm64 = manifest_of(&*out, &index.manifests[1]);
    assert_eq!(blob_of(&*out, &arm64.layers[0]), gzip(&layers()[0]));
}
