use std::fs;
use std::path::Path;

use super::*;

/// Blobs that other tools wrote.
fn golden() -> Vec<(String, Vec<u8>, serde_json::Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = folders.filter(|path| path.join("descriptor.json").exists()).collect();
    folders.sort();
    let read = |path: &Path| {
        let descriptor = fs::read(path.join("descriptor.json")).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path.join("blob")).unwrap(), serde_json::from_slice(&descriptor).unwrap())
    };
    folders.iter().map(|path| read(path)).collect()
}

#[test]
fn blobs_of_other_tools_are_verified() {
    let mut found = String::new();
    for (name, blob, descriptor) in golden() {
        let annotations =
            Annotations::parse(|key| descriptor["annotations"].get(key).and_then(|value| value.as_str()))
                .unwrap();
        let blob_digest = Some(descriptor["digest"].as_str().unwrap().parse().unwrap());
        let expected = Expected { annotations: annotations.as_ref(), blob_digest, diff_id: None };
        let report = verify(blob.as_slice(), &expected, &Limits::default()).unwrap();
        let alone = verify(blob.as_slice(), &Expected::default(), &Limits::default()).unwrap();
        assert_eq!((alone.verdict, alone.dialect), (Verdict::Consistent, report.dialect));
        let unchecked = report.checks.iter().filter(|check| check.outcome == Outcome::NotApplicable);
        let unchecked: Vec<String> = unchecked.map(|check| check.name.to_string()).collect();
        let Report { verdict, members, files, chunks, .. } = report;
        found += &format!("{name}: {verdict}; {members} members, {files} files, {chunks} chunks");
        found += &format!("; unchecked: {}\n", unchecked.join(", "));
    }
    insta::assert_snapshot!(found, @"
    ctr-remote-0.14.3-estargz: consistent, but unproven; 30 members, 17 files, 21 chunks; unchecked: diff ID, tar-split digest, tar-split
    ctr-remote-0.14.3-zstdchunked: consistent, but unproven; 29 members, 17 files, 21 chunks; unchecked: diff ID, tar-split digest, tar-split
    skopeo-1.18.0: consistent, but unproven; 28 members, 16 files, 24 chunks; unchecked: diff ID
    skopeo-1.22.0: consistent, but unproven; 28 members, 16 files, 24 chunks; unchecked: diff ID
    skopeo-1.9.3: consistent, but unproven; 28 members, 16 files, 24 chunks; unchecked: diff ID, tar-split digest, tar-split
    ");
}

#[test]
fn blobs_of_stargz_do_not_hide_damage() {
    for (name, blob, descriptor) in golden().into_iter().filter(|(name, ..)| name.starts_with("ctr-remote")) {
        let annotations =
            Annotations::parse(|key| descriptor["annotations"].get(key).and_then(|value| value.as_str()))
                .unwrap();
        let blob_digest = Some(descriptor["digest"].as_str().unwrap().parse().unwrap());
        for at in (0..blob.len()).step_by(97) {
            let mut blob = blob.clone();
            blob[at] ^= 1 << (at % 8);
            let expected = Expected { annotations: annotations.as_ref(), blob_digest, diff_id: None };
            let report = verify(blob.as_slice(), &expected, &Limits::default()).unwrap();
            assert_eq!(report.verdict, Verdict::Damaged, "{name} {at}");
        }
    }
}
