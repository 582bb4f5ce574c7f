use std::fs;
use std::path::{Path, PathBuf};

use chunked::convert::SelfCheck;
use chunked::digest::DiffId;
use morsel_registry::convert::{
    self, Action, Chunked, LayerAction, NoProgress, Options, Origin, Originals, Report,
};
use morsel_registry::descriptor::{ATTESTATION_SUBJECT, Descriptor, ZSTD};
use morsel_registry::image::{Index, Manifest};
use morsel_registry::media_type::MediaType;
use morsel_registry::{Error, ImageSink, ImageSource};

use testkit::oci::gzip;

use crate::made::{
    blob_of, config, create, failure, index_of, manifest, manifest_of, mask_digests, open, put_blob,
    put_image, put_index, put_manifest, reference, tar,
};

const CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";

/// A directory with a layout `in` and whatever is converted from it.
struct Bench(tempfile::TempDir);

impl Bench {
    /// Makes the image that is converted.
    fn with(make: impl FnOnce(&mut dyn ImageSink) -> Descriptor) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let mut sink = create(&reference("oci", &bench.path("in"), "")).unwrap();
        let root = make(&mut *sink);
        sink.commit(&root).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, name: &str) -> Box<dyn ImageSource> {
        open(&reference("oci", &self.path(name), "")).unwrap()
    }

    fn convert(&self, from: &str, to: &str, options: &Options) -> Result<Report, Error> {
        let source = self.open(from);
        let sink = create(&reference("oci", &self.path(to), ":out")).unwrap();
        convert::convert(&*source, sink, options, &NoProgress)
    }

    fn fails(&self, options: &Options) -> String {
        failure(self.convert("in", "out", options)).replace(self.0.path().to_str().unwrap(), "DIR")
    }

    fn remove(&self, layout: &str, descriptor: &Descriptor) {
        fs::remove_file(self.path(layout).join("blobs/sha256").join(descriptor.digest.0.hex())).unwrap();
    }
}

fn layers() -> Vec<Vec<u8>> {
    vec![tar(&[("etc/hosts", b"127.0.0.1"), ("bin/sh", &[7; 5000])]), tar(&[("app", &[9; 100_000])])]
}

fn only(platform: &str) -> Options {
    Options { platforms: vec![platform.parse().unwrap()], ..Options::default() }
}

fn add() -> Options {
    Options { originals: Originals::Keep, ..Options::default() }
}

/// The tar inside a layer of a converted image.
fn tar_of(source: &dyn ImageSource, layer: &Descriptor) -> Vec<u8> {
    let blob = blob_of(source, layer);
    let mut input = chunked::input::Input::open(&*blob, |_| {}).unwrap();
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut input, &mut tar).unwrap();
    tar
}

fn assert_chunked(source: &dyn ImageSource, manifest: &Manifest, tars: &[Vec<u8>]) {
    assert_eq!(manifest.media_type, Some(MediaType::OCI_MANIFEST));
    assert_eq!(manifest.layers.len(), tars.len());
    for (layer, tar) in manifest.layers.iter().zip(tars) {
        assert_eq!(layer.media_type, MediaType::OCI_LAYER_ZSTD);
        assert!(layer.annotations.contains_key(CHECKSUM));
        assert_eq!(&tar_of(source, layer), tar);
    }
}

#[test]
fn an_image_keeps_its_config_and_tars() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    let out = bench.open("out");
    let converted = manifest_of(&*out, out.root());
    assert_chunked(&*out, &converted, &layers());
    assert_eq!(blob_of(&*out, &converted.config), config("linux/amd64", &layers()));
    assert_eq!(report.after.digest, out.root().digest);
    assert_eq!(report.self_check, SelfCheck::On);
    let image = &report.manifests[0];
    assert_eq!((image.action, image.platform.as_deref()), (Action::Converted, Some("linux/amd64")));
    assert!(image.layers.iter().all(|layer| layer.action == LayerAction::Chunked));
    assert_eq!(image.layers[0].diff_id, DiffId::of(&layers()[0]));
}

#[test]
fn a_second_conversion_changes_nothing() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    bench.convert("in", "once", &Options::default()).unwrap();
    let report = bench.convert("once", "twice", &Options::default()).unwrap();
    assert_eq!(report.before, report.after);
    assert_eq!(report.manifests[0].action, Action::Kept);
    let redo = Options { chunked: Chunked::Redo, ..Options::default() };
    let report = bench.convert("once", "thrice", &redo).unwrap();
    assert_eq!(report.before, report.after, "the same tar gives the same blob");
    assert_eq!(report.manifests[0].action, Action::Converted);
}

#[test]
fn the_result_does_not_depend_on_how_layers_were_compressed() {
    let results = [MediaType::OCI_LAYER, MediaType::OCI_LAYER_GZIP].map(|media_type| {
        let bench = Bench::with(|sink| {
            let compress =
                |tar: &Vec<u8>| if media_type == MediaType::OCI_LAYER { tar.clone() } else { gzip(tar) };
            let layer = |tar: &Vec<u8>| put_blob(sink, media_type.clone(), &compress(tar));
            let layers = self::layers().iter().map(layer).collect();
            let config = put_blob(sink, MediaType::OCI_CONFIG, &config("linux/amd64", &self::layers()));
            put_manifest(sink, manifest(config, layers))
        });
        bench.convert("in", "out", &Options::default()).unwrap().after
    });
    assert_eq!(results[0], results[1]);
}

#[test]
fn annotations_that_outlived_their_blob_do_not_keep_a_layer() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    bench.convert("in", "once", &Options::default()).unwrap();
    let once = bench.open("once");
    let mut stale = manifest_of(&*once, once.root());
    let other = stale.layers[1].annotations.clone();
    stale.layers[0].annotations = other;
    let mut sink = create(&reference("oci", &bench.path("once"), ":stale")).unwrap();
    let root = put_manifest(&mut *sink, stale);
    sink.commit(&root).unwrap();
    let source = open(&reference("oci", &bench.path("once"), ":stale")).unwrap();
    let sink = create(&reference("oci", &bench.path("out"), "")).unwrap();
    let report = convert::convert(&*source, sink, &Options::default(), &NoProgress).unwrap();
    let actions: Vec<_> = report.manifests[0].layers.iter().map(|layer| layer.action).collect();
    assert_eq!(actions, [LayerAction::Chunked, LayerAction::Kept]);
    assert_eq!(report.after.digest, once.root().digest);
}

#[test]
fn docker_manifests_become_oci_manifests_and_unknown_fields_stay() {
    let bench = Bench::with(|sink| {
        let layer = put_blob(sink, MediaType::DOCKER_LAYER_GZIP, &gzip(&layers()[0]));
        let config = put_blob(sink, MediaType::DOCKER_CONFIG, &config("linux/amd64", &layers()[..1]));
        let mut docker = manifest(config, vec![layer]);
        docker.media_type = Some(MediaType::DOCKER_MANIFEST);
        docker.annotations.insert("a".into(), "b".into());
        docker.other.insert("extension".into(), serde_json::json!({"x": [1]}));
        put_manifest(sink, docker)
    });
    bench.convert("in", "out", &Options::default()).unwrap();
    let out = bench.open("out");
    let converted = manifest_of(&*out, out.root());
    assert_chunked(&*out, &converted, &layers()[..1]);
    assert_eq!(converted.config.media_type, MediaType::OCI_CONFIG);
    assert_eq!(converted.annotations["a"], "b");
    assert_eq!(converted.other["extension"], serde_json::json!({"x": [1]}));
}

#[test]
fn docker_manifests_without_layers_become_oci_manifests_too() {
    let bench = Bench::with(|sink| {
        let config = put_blob(sink, MediaType::DOCKER_CONFIG, &config("linux/amd64", &[]));
        let mut docker = manifest(config, vec![]);
        docker.media_type = Some(MediaType::DOCKER_MANIFEST);
        put_manifest(sink, docker)
    });
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    assert_eq!(actions(&report), [Action::Converted]);
    let out = bench.open("out");
    assert_eq!(out.root().media_type, MediaType::OCI_MANIFEST);
    assert_eq!(manifest_of(&*out, out.root()).config.media_type, MediaType::OCI_CONFIG);
    let added = bench.convert("in", "added", &add()).unwrap();
    assert_eq!(added.before, added.after);
}

#[test]
fn layers_that_cannot_be_converted_are_carried_and_reported() {
    let foreign = MediaType::from("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".to_owned());
    let encrypted = MediaType::from("application/vnd.oci.image.layer.v1.tar+gzip+encrypted".to_owned());
    let odd = MediaType::from("application/x-odd".to_owned());
    let twice = tar(&[("same", b"1"), ("same", b"2")]);
    let tars = vec![layers()[0].clone(), layers()[1].clone(), layers()[0].clone(), twice.clone()];
    let bench = Bench::with(|sink| {
        let mut layers = vec![
            put_blob(sink, foreign, b"not here"),
            put_blob(sink, encrypted, b"secret"),
            put_blob(sink, odd, b"odd"),
            put_blob(sink, MediaType::OCI_LAYER, &twice),
        ];
        layers[3].annotations.insert("containerd.io/snapshot/stargz/toc.digest".into(), "stale".into());
        layers[3].annotations.insert("mine".into(), "kept".into());
        layers[3].urls.push("https://example.org/old".into());
        let config = put_blob(sink, MediaType::OCI_CONFIG, &config("linux/amd64", &tars));
        put_manifest(sink, manifest(config, layers))
    });
    let source = bench.open("in");
    bench.remove("in", &manifest_of(&*source, source.root()).layers[0]);
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    let layers = &report.manifests[0].layers;
    let reasons: Vec<&str> = layers.iter().map(|layer| layer.reason.as_deref().unwrap()).collect();
    insta::assert_snapshot!(reasons.join("\n"), @"
    it is foreign: it must not be redistributed
    it is encrypted
    its media type `application/x-odd` is not that of a layer
    `same` is in the tar twice
    ");
    assert!(layers[..3].iter().all(|layer| layer.action == LayerAction::Carried));
    assert_eq!(layers[3].action, LayerAction::Plain);
    let out = bench.open("out");
    let converted = manifest_of(&*out, out.root());
    assert_eq!(blob_of(&*out, &converted.layers[1]), b"secret");
    assert_eq!(tar_of(&*out, &converted.layers[3]), twice);
    assert_eq!(converted.layers[3].annotations.keys().collect::<Vec<_>>(), ["mine"]);
    assert!(converted.layers[3].urls.is_empty());
}

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

fn actions(report: &Report) -> Vec<Action> {
    report.manifests.iter().map(|manifest| manifest.action).collect()
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

fn level(level: i32) -> chunked::convert::Options {
    let level = chunked::convert::Level::new(level).unwrap();
    chunked::convert::Options { level, ..Default::default() }
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

#[test]
fn a_layer_that_is_not_what_the_config_says_is_an_error() {
    let bench = Bench::with(|sink| {
        let layer = put_blob(sink, MediaType::OCI_LAYER_GZIP, &gzip(&layers()[0]));
        let config = put_blob(sink, MediaType::OCI_CONFIG, &config("linux/amd64", &layers()[1..]));
        put_manifest(sink, manifest(config, vec![layer]))
    });
    insta::assert_snapshot!(bench.fails(&Options::default()), @"layer sha256:... of `oci:DIR/in` holds a tar with the digest sha256:..., the configuration says sha256:...");
    assert!(open(&reference("oci", &bench.path("out"), "")).is_err());

    let bench = Bench::with(|sink| {
        let config = put_blob(sink, MediaType::OCI_CONFIG, &config("linux/amd64", &layers()));
        put_manifest(sink, manifest(config, vec![]))
    });
    insta::assert_snapshot!(bench.fails(&Options::default()), @"manifest sha256:... of `oci:DIR/in` lists 0 layers, its configuration 2");
}

#[test]
fn damaged_layers_are_errors() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    let source = bench.open("in");
    let layer = manifest_of(&*source, source.root()).layers[1].clone();
    let path = bench.path("in/blobs/sha256").join(layer.digest.0.hex());
    let whole = fs::read(&path).unwrap();
    // Another gzip of another tar, of the same length.
    let mut other = gzip(&tar(&[("app", &[8; 100_000])]));
    other.resize(whole.len(), 0);
    fs::write(&path, &other).unwrap();
    insta::assert_snapshot!(bench.fails(&Options::default()), @"cannot read blob sha256:... of `oci:DIR/in`: digest of the body is sha256:..., expected sha256:...");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    insta::assert_snapshot!(bench.fails(&Options::default()), @"blob sha256:... of `oci:DIR/in` is 97 bytes long, its descriptor says 195");
    fs::remove_file(&path).unwrap();
    insta::assert_snapshot!(bench.fails(&Options::default()), @"blob sha256:... of `oci:DIR/in` is missing");
}

#[test]
fn deeply_nested_and_exploding_indexes_are_refused() {
    let nest = |depth: usize, width: usize| {
        Bench::with(|sink| {
            let image = put_image(sink, "linux/amd64", &[]);
            (0..depth).fold(image, |child, _| put_index(sink, Index::of(vec![child; width])))
        })
    };
    assert!(nest(8, 1).convert("in", "out", &Options::default()).is_ok());
    insta::assert_snapshot!(nest(9, 1).fails(&Options::default()), @"indexes of `oci:DIR/in` are nested more than 8 deep");
    insta::assert_snapshot!(nest(8, 10).fails(&Options::default()), @"`oci:DIR/in` lists more than 10000 manifests");
}

#[test]
fn the_cache_spares_work_and_gives_the_same_bytes() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    let options = Options { cache: Some(bench.path("cache")), ..Options::default() };
    let origins = |report: &Report| -> Vec<Origin> {
        report.manifests[0].layers.iter().map(|layer| layer.origin.unwrap()).collect()
    };
    let first = bench.convert("in", "first", &options).unwrap();
    assert_eq!(origins(&first), [Origin::Fresh, Origin::Fresh]);
    let second = bench.convert("in", "second", &options).unwrap();
    assert_eq!(origins(&second), [Origin::Cache, Origin::Cache]);
    assert_eq!(first.after, second.after);
    let stronger = bench.convert("in", "third", &Options { layer: level(9), ..options.clone() }).unwrap();
    assert_eq!(origins(&stronger), [Origin::Fresh, Origin::Fresh]);

    for directory in ["results", "blobs"] {
        for damage in [|bytes: &mut Vec<u8>| bytes[20] ^= 1, |bytes: &mut Vec<u8>| bytes.truncate(10)] {
            bench.convert("in", "again", &options).unwrap();
            damage_all(&bench.path("cache").join(directory), damage);
            fs::remove_dir_all(bench.path("again")).unwrap();
            let report = bench.convert("in", "again", &options).unwrap();
            assert_eq!(origins(&report), [Origin::Fresh, Origin::Fresh], "{directory}");
            assert_eq!(report.after, first.after);
            fs::remove_dir_all(bench.path("again")).unwrap();
            assert_eq!(
                origins(&bench.convert("in", "again", &options).unwrap()),
                [Origin::Cache, Origin::Cache]
            );
        }
    }
}

fn damage_all(directory: &Path, damage: impl Fn(&mut Vec<u8>)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_forged_record_of_the_cache_is_found_out() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    let options = Options { cache: Some(bench.path("cache")), ..Options::default() };
    let honest = bench.convert("in", "out", &options).unwrap();
    let records = fs::read_dir(bench.path("cache/results")).unwrap().map(|entry| entry.unwrap().path());
    let records: Vec<(PathBuf, String)> =
        records.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect();
    let [attacker, victim] = [0, 1].map(|layer| DiffId::of(&layers()[layer]).to_string());
    let record = |diff_id: &str| records.iter().find(|(_, text)| text.contains(diff_id)).unwrap();
    let (result, _) = record(&attacker).1.split_once(r#","check":"#).unwrap();
    let result = result.strip_prefix(r#"{"result":"#).unwrap().replace(&attacker, &victim);
    let check = chunked::BlobDigest::of(result.as_bytes());
    fs::write(&record(&victim).0, format!(r#"{{"result":{result},"check":"{check}"}}"#)).unwrap();
    let report = bench.convert("in", "again", &options).unwrap();
    assert_eq!(report.after, honest.after);
    assert_eq!(report.manifests[0].layers[1].origin, Some(Origin::Fresh));
    insta::assert_snapshot!(mask_digests(&report.warnings.join("\n")), @"the cache holds something else than layer sha256:..., which is converted anew");
}

#[test]
fn layers_that_stay_are_those_of_the_config() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    bench.convert("in", "once", &Options::default()).unwrap();
    let once = bench.open("once");
    let mut lying = manifest_of(&*once, once.root());
    let mut sink = create(&reference("oci", &bench.path("once"), ":lying")).unwrap();
    let other = [layers()[0].clone(), layers()[0].clone()];
    lying.config = put_blob(&mut *sink, MediaType::OCI_CONFIG, &config("linux/amd64", &other));
    let root = put_manifest(&mut *sink, lying);
    sink.commit(&root).unwrap();
    let with = |self_check| {
        let source = open(&reference("oci", &bench.path("once"), ":lying")).unwrap();
        let sink = create(&reference("oci", &bench.path("out"), "")).unwrap();
        let layer = chunked::convert::Options { self_check, ..Default::default() };
        convert::convert(&*source, sink, &Options { layer, ..Options::default() }, &NoProgress)
    };
    assert!(with(SelfCheck::Off).is_ok());
    let message = failure(with(SelfCheck::On)).replace(bench.0.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(message, @"layer sha256:... of `oci:DIR/once:lying` holds a tar with the digest sha256:..., the configuration says sha256:...");
}

#[test]
fn unchecked_results_do_not_do_where_results_are_checked() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    let with = |self_check| Options {
        cache: Some(bench.path("cache")),
        layer: chunked::convert::Options { self_check, ..Default::default() },
        ..Options::default()
    };
    let origin =
        |to, self_check| bench.convert("in", to, &with(self_check)).unwrap().manifests[0].layers[0].origin;
    assert_eq!(origin("a", SelfCheck::Off), Some(Origin::Fresh));
    assert_eq!(origin("b", SelfCheck::On), Some(Origin::Fresh));
    assert_eq!(origin("c", SelfCheck::Off), Some(Origin::Cache));
    assert_eq!(origin("d", SelfCheck::On), Some(Origin::Cache));
}

#[test]
fn archives_convert_to_archives() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &layers()));
    let to_archive = |from: &str, to: &str, name: &str| {
        let source = open(&reference(from, &bench.path(name), "")).unwrap();
        let sink = create(&reference("oci-archive", &bench.path(to), ":v1")).unwrap();
        convert::convert(&*source, sink, &Options::default(), &NoProgress).unwrap()
    };
    let report = to_archive("oci", "a.tar", "in");
    let out = open(&reference("oci-archive", &bench.path("a.tar"), ":v1")).unwrap();
    assert_chunked(&*out, &manifest_of(&*out, out.root()), &layers());
    assert_eq!(report.after.digest, out.root().digest);
    let again = to_archive("oci-archive", "b.tar", "a.tar");
    assert_eq!(again.before, again.after);
    assert!(fs::read(bench.path("a.tar")).unwrap() == fs::read(bench.path("b.tar")).unwrap());
}

#[test]
fn reports_are_json() {
    let bench = Bench::with(|sink| put_image(sink, "linux/amd64", &[tar(&[("a", b"1")])]));
    let report = bench.convert("in", "out", &Options::default()).unwrap();
    let text =
        serde_json::to_string_pretty(&report).unwrap().replace(bench.0.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(mask_lengths(&mask_digests(&text)), @r#"
    {
      "source": "oci:DIR/in",
      "destination": "oci:DIR/out:out",
      "before": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:...",
        "size": ...
      },
      "after": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:...",
        "size": ...
      },
      "self_check": "on",
      "manifests": [
        {
          "source": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:...",
            "size": ...
          },
          "platform": "linux/amd64",
          "action": "converted",
          "result": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:...",
            "size": ...
          },
          "image_id": "sha256:...",
          "layers": [
            {
              "source": {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": "sha256:...",
                "size": ...
              },
              "compression": "gzip",
              "action": "chunked",
              "result": {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
                "digest": "sha256:...",
                "size": ...
              },
              "diff_id": "sha256:...",
              "tar_len": 2048,
              "counts": {
                "entries": 1,
                "files": 1,
                "chunks": 1,
                "holes": 0,
                "frames": 3,
                "metadata_blob_len": ...
              },
              "origin": "fresh"
            }
          ]
        }
      ],
      "warnings": []
    }
    "#);
}

/// Lengths of compressed bytes change with the compressor.
fn mask_lengths(text: &str) -> String {
    let mut masked: Vec<String> = Vec::new();
    for line in text.lines() {
        let cut = ["\"size\": ", "blob_len\": "].iter().find_map(|mark| Some(line.find(mark)? + mark.len()));
        masked.push(cut.map_or(line.to_owned(), |cut| format!("{}...", &line[..cut])));
    }
    masked.join("\n")
}
