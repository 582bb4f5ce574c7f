//! Where a request goes: path and query, word for word.
//!
//! Names are taken from the end of the path, as those of repositories contain slashes. There is no percent-encoding in
//! paths: nothing that names have needs it, and so nothing can hide behind it.

use std::fmt;
use std::str::FromStr;

use chunked::BlobDigest;
use chunked::digest::InvalidDigest;
use registry::error::shorten;
use registry::name::{is_repository, is_tag};

/// Components of a path that a layout uses itself; a repository of that name would lie inside another one's layout.
const RESERVED: [&str; 3] = [registry::layout::BLOBS, registry::layout::INDEX, registry::layout::MARKER];
/// Most answers that one page of a list has.
const PAGE_LEN_MAX: usize = 10_000;

/// Says what is wrong with a request's path or query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The path is none of the distribution API.
    #[error("there is no such path")]
    Path,
    /// The repository breaks the grammar.
    #[error("repository `{0}` is not lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`")]
    Repository(String),
    /// The repository is where a layout keeps its own files.
    #[error(
        "repository `{0}` has a component `blobs`, `index.json` or `oci-layout`, which no name here can have"
    )]
    Reserved(String),
    /// What a manifest is asked for by is neither a tag nor a digest.
    #[error("`{0}` is neither a tag nor a digest")]
    Reference(String),
    /// A digest breaks the grammar.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// The number of answers asked for is none.
    #[error("`n={0}` is not a number")]
    Number(String),
}

/// The path of a repository, such as `team/app`: relative, and without `.` or `..` in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepositoryName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !is_repository(text) {
            return Err(Invalid::Repository(shorten(text)));
        }
        match text.split('/').any(|component| RESERVED.contains(&component)) {
            true => Err(Invalid::Reserved(shorten(text))),
            false => Ok(Self(text.to_owned())),
        }
    }
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestName {
    /// A name that may move.
    Tag(String),
    /// The manifest itself.
    Digest(BlobDigest),
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for ManifestName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            digest if digest.contains(':') => Ok(Self::Digest(digest.parse()?)),
            tag if is_tag(tag) => Ok(Self::Tag(tag.to_owned())),
            other => Err(Invalid::Reference(shorten(other))),
        }
    }
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`: whether this is a registry.
    Base,
    /// `/v2/_catalog`: the repositories.
    Catalog,
    /// `/v2/NAME/tags/list`.
    Tags(RepositoryName),
    /// `/v2/NAME/manifests/TAG` or `/v2/NAME/manifests/DIGEST`.
    Manifest(RepositoryName, ManifestName),
    /// `/v2/NAME/blobs/DIGEST`.
    Blob(RepositoryName, BlobDigest),
    /// `/v2/NAME/blobs/uploads/`: a new upload.
    Uploads(RepositoryName),
    /// `/v2/NAME/blobs/uploads/ID`: an upload that has begun. The name was not looked at.
    Upload(RepositoryName, String),
    /// `/v2/NAME/referrers/DIGEST`: what refers to a manifest.
    Referrers(RepositoryName, BlobDigest),
}

impl Route {
    /// Reads a path.
    ///
    /// # Errors
    /// [`Invalid`] when it names nothing.
    pub fn parse(path: &str) -> Result<Self, Invalid> {
        let rest = path.strip_prefix("/v2").ok_or(Invalid::Path)?;
        if matches!(rest, "" | "/") {
            return Ok(Self::Base);
        }
        let parts: Vec<_> = rest.strip_prefix('/').ok_or(Invalid::Path)?.split('/').collect();
        let name = |parts: &[&str]| parts.join("/").parse();
        match parts.as_slice() {
            ["_catalog"] => Ok(Self::Catalog),
            [repository @ .., "tags", "list"] => Ok(Self::Tags(name(repository)?)),
            [repository @ .., "blobs", "uploads"] | [repository @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads(name(repository)?))
            }
            [repository @ .., "blobs", "uploads", id] => {
                Ok(Self::Upload(name(repository)?, (*id).to_owned()))
            }
            [repository @ .., "manifests", reference] => {
                Ok(Self::Manifest(name(repository)?, reference.parse()?))
            }
            [repository @ .., "blobs", digest] => Ok(Self::Blob(name(repository)?, digest.parse()?)),
            [repository @ .., "referrers", digest] => Ok(Self::Referrers(name(repository)?, digest.parse()?)),
            _ => Err(Invalid::Path),
        }
    }
}

/// The parameters of a request, as far as there are any that mean something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// `digest`: of the blob that an upload ends with.
    pub digest: Option<BlobDigest>,
    /// `mount`: of a blob that may be in another repository.
    pub mount: Option<BlobDigest>,
    /// `from`: that repository.
    pub from: Option<RepositoryName>,
    /// `artifactType`: that of the referrers asked for.
    pub artifact_type: Option<String>,
    /// `n` and `last`: which part of a list.
    pub page: Page,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// How many answers; at most 10 000 are given.
    pub len: Option<usize>,
    /// The answer before the first one.
    pub last: Option<String>,
}

impl Query {
    /// Reads what follows the `?`. Of a parameter that comes twice, the last one counts.
    ///
    /// # Errors
    /// [`Invalid`] when a parameter that means something does not parse.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "digest" => query.digest = Some(value.parse()?),
                "mount" => query.mount = Some(value.parse()?),
                "from" => query.from = Some(value.parse()?),
                "artifactType" => query.artifact_type = Some(value.into_owned()),
                "n" => query.page.len = Some(value.parse().map_err(|_| Invalid::Number(shorten(&value)))?),
                "last" => query.page.last = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(query)
    }
}

impl Page {
    /// Takes the part of a sorted list, and says whether more follows.
    pub fn of<'a>(&self, list: impl Iterator<Item = &'a str>) -> (Vec<&'a str>, bool) {
        let len = self.len.unwrap_or(PAGE_LEN_MAX).min(PAGE_LEN_MAX);
        let mut rest = list.filter(|item| self.last.as_deref().is_none_or(|last| *item > last));
        let page: Vec<_> = rest.by_ref().take(len).collect();
        let is_cut = !page.is_empty() && rest.next().is_some();
        (page, is_cut)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn paths_lead_somewhere() {
        let digest: BlobDigest = DIGEST.parse().unwrap();
        let tag = |tag: &str| ManifestName::Tag(tag.to_owned());
        for (path, route) in [
            ("/v2", Route::Base),
            ("/v2/", Route::Base),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/a/tags/list", Route::Tags(name("a"))),
            ("/v2/a/b/manifests/latest", Route::Manifest(name("a/b"), tag("latest"))),
            ("/v2/a/manifests/manifests/tags", Route::Manifest(name("a/manifests"), tag("tags"))),
            ("/v2/a/blobs/uploads/", Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads", Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/0f", Route::Upload(name("a"), "0f".to_owned())),
        ] {
            assert_eq!(Route::parse(path), Ok(route), "{path}");
        }
        let with_digest = |kind: &str| Route::parse(&format!("/v2/a/{kind}/{DIGEST}")).unwrap();
        assert_eq!(with_digest("blobs"), Route::Blob(name("a"), digest));
        assert_eq!(with_digest("referrers"), Route::Referrers(name("a"), digest));
        assert_eq!(with_digest("manifests"), Route::Manifest(name("a"), ManifestName::Digest(digest)));
    }

    #[test]
    fn paths_do_not_lead_out() {
        for path in [
            "/v2/../etc/manifests/1",
            "/v2/a/../../b/manifests/1",
            "/v2//etc/manifests/1",
            "/v2/%2e%2e/manifests/1",
            "/v2/a/manifests/..",
            "/v2/a/manifests/.",
            "/v2/a/blobs/sha256:..%2f..%2fetc",
            "/v2/a/blobs/../../index.json",
            "/v2/a/referrers/sha256:abc",
            "/v2/a/blobs/sha256/manifests/1",
            "/v2/index.json/manifests/1",
            "/v2/manifests/1",
            "/v1/a/manifests/1",
            "/v2a/manifests/1",
            "",
        ] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn errors_say_which_word_is_wrong() {
        let message = |path: &str| Route::parse(path).unwrap_err().to_string();
        insta::assert_snapshot!(message("/v2/A/manifests/1"), @"repository `A` is not lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`");
        insta::assert_snapshot!(message("/v2/a/blobs/b/tags/list"), @"repository `a/blobs/b` has a component `blobs`, `index.json` or `oci-layout`, which no name here can have");
        insta::assert_snapshot!(message("/v2/a/manifests/-"), @"`-` is neither a tag nor a digest");
        insta::assert_snapshot!(message("/v2/a/manifests/sha256:0"), @"digest `sha256:0` does not have the lower-case hexadecimal digits its algorithm asks for");
        insta::assert_snapshot!(message("/nothing"), @"there is no such path");
        insta::assert_snapshot!(Query::parse("n=x").unwrap_err().to_string(), @"`n=x` is not a number");
    }

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse(&format!(
            "mount={}&from=a%2Fb&n=3&last=x&artifactType=a%2Bb&other=1",
            DIGEST.replace(':', "%3A")
        ));
        let expected = Query {
            mount: Some(DIGEST.parse().unwrap()),
            from: Some(name("a/b")),
            artifact_type: Some("a+b".to_owned()),
            page: Page { len: Some(3), last: Some("x".to_owned()) },
            ..Query::default()
        };
        assert_eq!(query, Ok(expected));
        assert!(Query::parse("from=../a").is_err() && Query::parse("digest=x").is_err());
    }

    #[test]
    fn lists_come_in_pages() {
        let list = ["a", "b", "c"];
        let page =
            |len, last: Option<&str>| Page { len, last: last.map(str::to_owned) }.of(list.iter().copied());
        assert_eq!(page(None, None), (vec!["a", "b", "c"], false));
        assert_eq!(page(Some(2), None), (vec!["a", "b"], true));
        assert_eq!(page(Some(2), Some("b")), (vec!["c"], false));
        assert_eq!(page(Some(0), None), (vec![], false));
        assert_eq!(page(Some(2), Some("aa")), (vec!["b", "c"], false));
    }

    proptest! {
        #[test]
        fn any_path_parses_or_fails_and_no_name_leads_out(path in "(/v2)?(/([a-z.]{1,3}|\\PC{0,3}|tags|list|blobs|manifests|uploads)){0,6}") {
            let repository = match Route::parse(&path) {
                Ok(Route::Tags(name) | Route::Manifest(name, _) | Route::Blob(name, _)) => name,
                Ok(Route::Uploads(name) | Route::Upload(name, _) | Route::Referrers(name, _)) => name,
                _ => return Ok(()),
            };
            prop_assert!(repository.as_str().split('/').all(|part| !matches!(part, "" | "." | ".." | "blobs")));
        }
    }
}
