//! The registry that everybody runs, which takes no sparse index.

use morsel_registry::Error;
use morsel_registry::mirror::{Options, Shape};
use testkit::oci::{Compression, Layout};
use testkit::process::run;
use testkit::registry::Registry;
use testkit::tools::{self, Tier};

use super::sample::{AMD64, Sample, has, layout, listed, mirror, mirror_as, only, open, root_bytes};
use crate::made::{failure, manifest_of, tar};

#[test]
fn tool_docker_registry_refuses_and_takes_a_trimmed_or_complete_index() {
    let dir = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start(Tier::Tool, dir.path()) else { return };
    let (from, to) = (layout(dir.path(), "from"), format!("docker://{}/app:1", registry.host()));
    let sample = Sample::put(&from);
    let refused = mirror(&from, &to, &["linux/amd64"]);
    assert!(matches!(refused, Err(Error::SparseRefused(_))), "{refused:?}");
    insta::assert_snapshot!(failure(refused).replace(registry.host(), "HOST"), @"`docker://HOST/app:1` refuses index sha256:... without linux/arm64/v8 as sha256:..., linux/s390x as sha256:..., sha256:...; distribution 3 takes it with `validation.manifests.indexes.platforms: none`, or `list` with a `platformlist` of linux/amd64; 2.x, Harbor, Gitea and Nexus do not");

    mirror_as(&from, &to, &Options { shape: Shape::Trimmed, ..only(&["linux/amd64"]) }).unwrap();
    assert_eq!(listed(&to).len(), 2);
    let whole = to.replace(":1", ":all").replacen(":all", ":1", 1);
    let whole = format!("{}all", whole.trim_end_matches('1'));
    let (plan, done) = mirror(&from, &whole, &[]).unwrap();
    assert_eq!(root_bytes(&whole), root_bytes(&from));
    assert!(has(&whole, &sample.images[AMD64]) && !plan.is_sparse());
    assert!(plan.totals.there.count > 0, "what the refused run brought is not sent again");
    assert_eq!(done.copied, plan.totals.copy);
}

#[test]
fn tool_docker_archives_are_mirrored_from() {
    let dir = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start(Tier::Tool, &dir.path().join("registry")) else { return };
    let Some(mut skopeo) = tools::host(Tier::Tool, "skopeo") else { return };
    let single = Layout::create(dir.path().join("single"));
    let image_id = single.add_image("1", Compression::Gzip, &[&tar(&[("file", b"content")])]);
    let archive = format!("docker-archive:{}", dir.path().join("app.tar").display());
    run(skopeo.args(["--insecure-policy", "copy", &single.reference("1"), &format!("{archive}:app:1")]));
    let to = format!("docker://{}/app:1", registry.host());
    mirror(&archive, &to, &["linux/amd64"]).unwrap();
    let source = open(&to);
    assert_eq!(manifest_of(&*source, source.root()).config.digest.to_string(), image_id);
}
