//! Tags, repositories and referrers.

use serde_json::{Value, json};

use crate::served::{Document, INDEX, Served, digest};

#[test]
fn tags_come_in_pages() {
    let served = Served::start();
    let image = served.push_image("team/app", "b", "amd64");
    for tag in ["a", "c", "B"] {
        served.push("team/app", tag, &image);
    }
    let all = served.get("/v2/team/app/tags/list");
    assert_eq!(all.json(), json!({ "name": "team/app", "tags": ["B", "a", "b", "c"] }));
    assert_eq!(all.header("link"), None);

    let mut tags = Vec::new();
    let mut next = Some("/v2/team/app/tags/list?n=3".to_owned());
    while let Some(path) = next {
        let page = served.get(&path);
        tags.extend(page.json()["tags"].as_array().unwrap().clone());
        let link = page.header("link").map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
        assert!(page.header("link").is_none_or(|link| link.ends_with("; rel=\"next\"")));
        next = link;
    }
    assert_eq!(tags, ["B", "a", "b", "c"]);
    assert_eq!(served.get("/v2/team/app/tags/list?n=0").json()["tags"], json!([]));
    assert_eq!(served.get("/v2/team/app/tags/list?n=x").status, 400);
    assert_eq!(served.get("/v2/none/tags/list").error().0, "NAME_UNKNOWN");
}

#[test]
fn repositories_come_in_pages() {
    let served = Served::start();
    for name in ["b", "a/c", "a"] {
        served.push_image(name, "1", "amd64");
    }
    assert_eq!(served.get("/v2/_catalog").json(), json!({ "repositories": ["a", "a/c", "b"] }));
    let page = served.get("/v2/_catalog?n=2");
    assert_eq!(page.json(), json!({ "repositories": ["a", "a/c"] }));
    assert_eq!(page.header("link"), Some("</v2/_catalog?n=2&last=a%2Fc>; rel=\"next\""));
    assert_eq!(served.get("/v2/_catalog?n=2&last=a%2Fc").json(), json!({ "repositories": ["b"] }));
}

/// Pushes a manifest that is about another one.
fn refer(served: &Served, to: &Document, artifact_type: &str) -> (Document, Value) {
    let config = served.push_blob("a", b"{}");
    let note = json!({ "note": artifact_type });
    let mut value = json!({
        "config": config, "layers": [], "subject": to.descriptor(), "annotations": note,
    });
    if !artifact_type.is_empty() {
        value["artifactType"] = artifact_type.into();
    }
    let document = Document::manifest(value);
    let answer = served.push("a", &document.digest(), &document);
    assert_eq!((answer.status, answer.header("oci-subject")), (201, Some(&*to.digest())));
    let mut listed = document.descriptor();
    let config_type = config["mediaType"].as_str().unwrap();
    listed["artifactType"] = if artifact_type.is_empty() { config_type } else { artifact_type }.into();
    listed["annotations"] = note;
    (document, listed)
}

#[test]
fn referrers_are_found_by_what_they_are_about() {
    let served = Served::start();
    let image = served.push_image("a", "1", "amd64");
    let path = format!("/v2/a/referrers/{}", image.digest());
    assert_eq!(served.get(&path).json()["manifests"], json!([]));

    let (signature, listed_signature) = refer(&served, &image, "x/signature");
    let (_, listed_bill) = refer(&served, &image, "");
    let (_, of_signature) = refer(&served, &signature, "x/signature");

    let answer = served.get(&path);
    assert_eq!((answer.header("content-type"), answer.header("oci-filters-applied")), (Some(INDEX), None));
    let list = answer.json()["manifests"].as_array().unwrap().clone();
    assert!(list.len() == 2 && list.contains(&listed_signature) && list.contains(&listed_bill), "{list:?}");

    let answer = served.get(&format!("{path}?artifactType=x%2Fsignature"));
    assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(answer.json()["manifests"], json!([listed_signature]));
    let answer = served.get(&format!("/v2/a/referrers/{}", signature.digest()));
    assert_eq!(answer.json()["manifests"], json!([of_signature]));

    // What is about something that is not here is kept, and found.
    let absent = Document::manifest(json!({}));
    let (_, early) = refer(&served, &absent, "x/early");
    let answer = served.get(&format!("/v2/a/referrers/{}", absent.digest()));
    assert_eq!(answer.json()["manifests"], json!([early]));
    assert_eq!(served.get(&format!("/v2/none/referrers/{}", digest(b"x"))).status, 200);
    assert_eq!(served.get("/v2/a/referrers/x").status, 400);

    let served = Served::start_in(served.end(), |_| {});
    assert_eq!(served.get(&path).json()["manifests"].as_array().unwrap().len(), 2);
}
