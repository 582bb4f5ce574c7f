//! What the fuzz targets do with an input. The tests of `morsel-server` include this file to replay the corpora.

use chunked::BlobRange;
use morsel_server::IndexPolicy;
use morsel_server::ranges::{self, Wanted};
use morsel_server::route::{ManifestName, Query, RepositoryName, Route};

/// What a target does with an input; it panics when it finds something.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 2] = [("ranges", ranges), ("request", request)];

/// Length of the blob that ranges are asked of.
const BLOB_LEN: u64 = 1000;

/// The headers `Range` and `Content-Range`: no answer is longer than the blob, and no range leads out of it.
pub fn ranges(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Wanted::Ranges(ranges) = ranges::parse(text, BLOB_LEN) {
        assert!(
            !ranges.is_empty() && ranges.iter().all(|range| !range.is_empty() && range.end() <= BLOB_LEN)
        );
        assert!(ranges.iter().map(BlobRange::len).sum::<u64>() <= BLOB_LEN);
    }
    if let Some(range) = ranges::parse_content_range(text) {
        let written = format!("bytes {}-{}/*", range.start(), range.end() - 1);
        assert_eq!(ranges::parse_content_range(&written), Some(range));
    }
}

/// A path and, after a `?`, a query; and the same text as a policy. No name leads out of the directory that is served.
pub fn request(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if let Ok(route) = Route::parse(path) {
        route_is_safe(route, path);
    }
    if let Ok(query) = Query::parse(query) {
        query.from.iter().for_each(name_is_safe);
        let (page, is_cut) = query.page.of(["a", "b", "c"].into_iter());
        assert!(page.len() <= query.page.len.unwrap_or(3).min(3) && !(is_cut && page.is_empty()));
    }
    if let Ok(policy) = text.parse::<IndexPolicy>() {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
}

fn route_is_safe(route: Route, path: &str) {
    match route {
        Route::Base | Route::Catalog => {}
        Route::Tags(name) | Route::Uploads(name) | Route::Upload(name, _) => name_is_safe(&name),
        Route::Blob(name, digest) => {
            name_is_safe(&name);
            assert_eq!(path, format!("/v2/{name}/blobs/{digest}"));
        }
        Route::Referrers(name, digest) => {
            name_is_safe(&name);
            assert_eq!(path, format!("/v2/{name}/referrers/{digest}"));
        }
        Route::Manifest(name, reference) => {
            name_is_safe(&name);
            assert_eq!(path, format!("/v2/{name}/manifests/{reference}"));
            let text = reference.to_string();
            assert!(!matches!(&*text, "." | "..") && !text.contains('/'));
            assert_eq!(matches!(reference, ManifestName::Digest(_)), text.contains(':'));
        }
    }
}

fn name_is_safe(name: &RepositoryName) {
    let text = name.as_str();
    assert!(text.len() <= 255 && !text.contains(['\\', '\0', '%']));
    assert!(text.split('/').all(|part| !matches!(part, "" | "." | ".." | "blobs" | "index.json")));
    assert_eq!(text.parse().as_ref(), Ok(name));
}
