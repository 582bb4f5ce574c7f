//! The memory of earlier conversions.

use super::*;

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
