//! Indexes of which not everything is here.

use crate::served::{Document, Served};

/// The image of a platform that is pushed nowhere.
fn absent(architecture: &str) -> Document {
    let other = Served::start();
    other.push_image("a", "1", architecture)
}

#[test]
fn an_index_needs_what_the_policy_says() {
    let (arm64, other) = (absent("arm64"), absent("other"));
    for (policy, status) in [
        ("all", 400),
        ("none", 201),
        ("linux/amd64", 201),
        ("linux/amd64,linux/s390x", 201),
        ("linux/arm64", 400),
        ("linux/arm64/v8", 400),
        ("linux/arm64/v9", 201),
        ("linux/amd64,no-platform", 400),
    ] {
        let served = Served::sparse(policy);
        let amd64 = served.push_image("a", "", "amd64");
        let index = Document::index(&[("linux/amd64", &amd64), ("linux/arm64/v8", &arm64), ("-", &other)]);
        let answer = served.push("a", "1", &index);
        assert_eq!(answer.status, status, "{policy}: {answer:?}");
        let expected = if status == 201 { 200 } else { 404 };
        assert_eq!(served.get("/v2/a/manifests/1").status, expected, "{policy}");
    }
}

#[test]
fn a_refusal_names_platforms_and_digests() {
    let served = Served::start();
    let amd64 = served.push_image("a", "", "amd64");
    let (arm64, other) = (absent("arm64"), absent("other"));
    let index = Document::index(&[("linux/amd64", &amd64), ("linux/arm64/v8", &arm64), ("-", &other)]);
    let answer = served.push("a", "1", &index).json();
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    for (error, platform, image) in [(&errors[0], Some("linux/arm64/v8"), &arm64), (&errors[1], None, &other)]
    {
        assert_eq!(error["code"], "MANIFEST_BLOB_UNKNOWN");
        assert_eq!(error["detail"]["digest"], image.digest());
        assert_eq!(error["detail"]["platform"].as_str(), platform);
    }
    insta::assert_snapshot!(errors[0]["message"].as_str().unwrap(), @"the index lists linux/arm64/v8 as sha256:d9c020df3cb053090c6477be77a2f3fa0aa4d66b541159ec6fdea3234789a2b6, which `a` does not have, and this registry takes no index without it: its `--index-platforms` is `all`");
    insta::assert_snapshot!(errors[1]["message"].as_str().unwrap(), @"the index lists an entry without platform as sha256:d8224e591e6068ff978caec044af0f9375b62eba5c8bafdc26670566bc6f0564, which `a` does not have, and this registry takes no index without it: its `--index-platforms` is `all`");
}

#[test]
fn what_is_absent_on_purpose_is_told_from_what_never_was() {
    let served = Served::sparse("none");
    let amd64 = served.push_image("a", "", "amd64");
    let arm64 = absent("arm64");
    let index = Document::index(&[("linux/amd64", &amd64), ("linux/arm64/v8", &arm64)]);
    assert_eq!(served.push("a", "1", &index).status, 201);

    let path = format!("/v2/a/manifests/{}", arm64.digest());
    let answer = served.get(&path);
    assert_eq!((answer.status, answer.error().0), (404, "MANIFEST_UNKNOWN".to_owned()));
    insta::assert_snapshot!(answer.error().1, @"index sha256:880157e06c3a19e995b6248b8a71ccc4e9f4db3c0ef0a037d8428ad991185353 lists linux/arm64/v8 as sha256:d9c020df3cb053090c6477be77a2f3fa0aa4d66b541159ec6fdea3234789a2b6, but `a` does not have it: the index is sparse here; present: linux/amd64");
    let detail = &answer.json()["errors"][0]["detail"];
    assert_eq!((&detail["sparse"], &detail["platform"]), (&true.into(), &"linux/arm64/v8".into()));
    assert_eq!(served.send("HEAD", &path, &[], b"").status, 404);

    // One more platform is pushed by itself; the index is not needed again.
    served.push_image("a", "", "arm64");
    assert_eq!(served.get(&path).body, arm64.bytes);
    let list = std::fs::read_to_string(served.path("a/index.json")).unwrap();
    assert!(!list.contains(&arm64.digest()), "the index leads to it: {list}");

    // And it is known to be here, or not, by one who comes later.
    let served = Served::start_in(served.end(), |_| {});
    assert_eq!(served.get(&path).body, arm64.bytes);
    assert_eq!(served.get("/v2/a/manifests/1").body, index.bytes);
}

#[test]
fn nested_indexes_are_followed() {
    let served = Served::sparse("linux/amd64");
    let amd64 = served.push_image("a", "", "amd64");
    let arm64 = absent("arm64");
    let inner = Document::index(&[("linux/amd64", &amd64), ("linux/arm64", &arm64)]);
    let outer = Document::index(&[("-", &inner)]);
    assert_eq!(served.push("a", "1", &outer).status, 201);
    assert!(
        served.get(&format!("/v2/a/manifests/{}", inner.digest())).error().1.contains("without platform")
    );
    assert_eq!(served.push("a", &inner.digest(), &inner).status, 201);
    let message = served.get(&format!("/v2/a/manifests/{}", arm64.digest())).error().1;
    assert!(message.contains(&inner.digest()) && message.contains("linux/arm64"), "{message}");
}

#[test]
fn the_policy_can_be_asked_for() {
    let says = |served: &Served| {
        let answer = served.get("/v2/");
        let header = |name| answer.header(name).map(str::to_owned);
        (header("x-sparse-manifest-support"), header("x-required-architectures"))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(says(&Served::start()), (text("false"), None));
    assert_eq!(says(&Served::sparse("none")), (text("true"), None));
    let list = Served::sparse("linux/amd64,linux/arm64/v8,no-platform");
    assert_eq!(says(&list), (text("true"), text("amd64,arm64")));
}
