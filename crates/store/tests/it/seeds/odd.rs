//! Places that are not as they should be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use chunked::ContentDigest;
use morsel_store::seed::open;

use super::kinds::{Held, KINDS, Pulled, containers_storage, write};
use super::{files, find, listed};

fn held(kind: &str) -> (tempfile::TempDir, Held) {
    let dir = tempfile::tempdir().unwrap();
    let (_, make) = KINDS.iter().find(|(name, _)| *name == kind).unwrap();
    let held = make(dir.path(), &files());
    (dir, held)
}

/// Tells which files a seed finds.
fn found(held: &Held) -> Vec<&'static str> {
    let files = files().into_iter().filter(|(path, content)| find(held, path, content).is_some());
    files.map(|(path, _)| path).collect()
}

fn layer(number: u64) -> String {
    format!("{number:064x}")
}

#[test]
fn a_layer_whose_toc_is_damaged_is_found_by_path() {
    let (dir, held) = held("containers-storage, pulled in parts");
    let toc = dir.path().join("overlay-layers").join(layer(1)).join("=enN0ZC1jaHVua2VkLW1hbmlmZXN0");
    for damaged in ["", "{}", "[", r#"{"version":1,"entries":[{"type":"reg","name":"a","size":-1}]}"#] {
        fs::write(&toc, damaged).unwrap();
        let held = held.reopened();
        assert_eq!(found(&held).len(), files().len(), "{damaged}");
        assert_eq!(listed("", &held).len(), files().len(), "{damaged}");
    }
}

#[test]
fn a_toc_that_leads_out_of_its_layer_leads_nowhere() {
    let (dir, held) = held("containers-storage, pulled in parts");
    let secret = b"what is outside of the layer";
    write(&dir.path().join("secret"), secret);
    let toc = dir.path().join("overlay-layers").join(layer(1)).join("=enN0ZC1jaHVua2VkLW1hbmlmZXN0");
    let digest = ContentDigest::of(secret);
    for name in ["../../../secret", "/../../../secret", "usr/../../../../secret", "../../etc/passwd"] {
        let text = format!(
            r#"{{"version":1,"entries":[{{"type":"reg","name":"{name}","size":{len},"digest":"{digest}","offset":1,"endOffset":2}}]}}"#,
            len = secret.len()
        );
        fs::write(&toc, text).unwrap();
        let held = held.reopened();
        assert!(held.seed.file(&digest, secret.len() as u64).is_none(), "{name}");
    }
}

#[test]
fn a_layer_that_is_elsewhere_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let held = containers_storage(dir.path(), &[&files()], Pulled::Whole);
    let diff = dir.path().join("overlay").join(layer(1)).join("diff");
    fs::rename(&diff, outside.path().join("diff")).unwrap();
    symlink(outside.path().join("diff"), &diff).unwrap();
    assert!(found(&held).is_empty() && listed("", &held).is_empty());
}

#[test]
fn layers_of_containers_count_and_unfinished_ones_do_not() {
    let (dir, held) = held("containers-storage, pulled whole");
    let lists =
        ["layers.json", "volatile-layers.json"].map(|name| dir.path().join("overlay-layers").join(name));
    fs::write(&lists[1], fs::read(&lists[0]).unwrap()).unwrap();
    fs::write(&lists[0], "[]").unwrap();
    assert_eq!(found(&held.reopened()).len(), files().len());
    fs::write(&lists[1], format!(r#"[{{"id":"{}","flags":{{"incomplete":true}}}}]"#, layer(1))).unwrap();
    assert!(found(&held.reopened()).is_empty());
}

#[test]
fn a_list_that_cannot_be_read_is_an_error() {
    let (dir, _) = held("containers-storage, pulled whole");
    fs::write(dir.path().join("overlay-layers/layers.json"), r#"[{"id": 1}]"#).unwrap();
    let error = open(&format!("containers-storage:{}", dir.path().display()), &[]).unwrap_err().to_string();
    assert!(error.contains("overlay-layers/layers.json` is damaged: invalid type"), "{error}");
}

#[test]
fn payload_links_lead_to_objects_only() {
    let (dir, held) = held("ostree with payload links");
    assert_eq!(found(&held).len(), files().len());
    let (_, content) = &files()[0];
    write(&dir.path().join("objects/secret.file"), content);
    let hex = ContentDigest::of(content).to_string().replace("sha256:", "");
    let link = dir.path().join("objects").join(&hex[..2]).join(format!("{}.payload-link", &hex[2..]));
    for target in
        ["../secret.file", "../../objects/secret.file", "/etc/passwd", "../44/..file", "..", "é.file"]
    {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        assert!(held.seed.file(&ContentDigest::of(content), content.len() as u64).is_none(), "{target}");
    }
}

#[test]
fn refs_and_commits_that_cannot_be_read_are_left_out() {
    let (dir, held) = held("ostree bare");
    let refs = dir.path().join("refs/heads");
    for (name, text) in
        [("empty", ""), ("short", "44\n"), ("gone", &"7".repeat(64)), ("long", &"7".repeat(999))]
    {
        write(&refs.join(name), text);
    }
    symlink("os/stable", refs.join("alias")).unwrap();
    assert_eq!(found(&held.reopened()).len(), files().len());
    fs::remove_dir_all(refs.join("os")).unwrap();
    assert!(found(&held.reopened()).is_empty());
}

#[test]
fn files_of_etc_are_found_where_a_commit_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let content = b"a line\n".to_vec();
    super::repo::write(dir.path(), "bare", &[("usr/etc/issue", content.clone())]);
    let seed = open(&format!("ostree:{}", dir.path().display()), &[]).unwrap();
    assert_eq!(seed.at("etc/issue").len(), 1);
    assert!(seed.at("etcetera").is_empty() && seed.at("issue").is_empty());
}

#[test]
fn a_repository_is_found_in_the_system_that_runs_from_it() {
    let dir = tempfile::tempdir().unwrap();
    super::repo::write(&dir.path().join("ostree/repo"), "bare", &[("usr/bin/env", b"x".to_vec())]);
    let seed = open(&format!("ostree:{}", dir.path().display()), &[]).unwrap();
    assert_eq!(seed.at("usr/bin/env").len(), 1);
    assert_eq!(seed.name().path(), dir.path().join("ostree/repo"));
}

#[test]
fn modes_that_compress_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = || open(&format!("ostree:{}", dir.path().display()), &[]);
    for (config, is_right) in [
        ("[core]\nrepo_version=1\nmode=archive-z2\n", false),
        ("[core]\nrepo_version=1\n", false),
        ("[core]\n mode = bare-split-xattrs \n", true),
        ("[core]\nmode=bare-user-only\nfsync=false", true),
    ] {
        write(&dir.path().join("config"), config);
        assert_eq!(open().is_ok(), is_right, "{config}");
    }
}

#[test]
fn blobs_that_are_no_layers_are_left_out() {
    let (dir, held) = held("OCI layout");
    let blobs = dir.path().join("blobs/sha256");
    let layer = fs::read_dir(&blobs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len());
    let layer = fs::read(layer.unwrap()).unwrap();
    for (name, bytes) in
        [("cut", &layer[..layer.len() - 100]), ("end", &layer[layer.len() - 72..]), ("text", b"{}")]
    {
        write(&blobs.join(name), bytes);
    }
    symlink(Path::new("/etc/passwd"), blobs.join("link")).unwrap();
    assert_eq!(found(&held.reopened()).len(), files().len());
}
