//! Images that are not what they say.

use super::*;

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
