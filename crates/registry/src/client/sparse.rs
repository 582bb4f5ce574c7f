//! What a registry says about indexes some of whose children are not there.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};

use super::failure::Failure;
use super::repository::Repository;
use crate::descriptor::Descriptor;
use crate::error::shorten;
use crate::platform::Selector;

/// Whether Quay takes sparse indexes at all: `true` or `false`.
const SUPPORT: HeaderName = HeaderName::from_static("x-sparse-manifest-support");
/// The architectures whose children Quay wants nevertheless, separated by commas.
const REQUIRED: HeaderName = HeaderName::from_static("x-required-architectures");
/// What `morsel serve` was given as `--index-platforms`.
const INDEX_PLATFORMS: HeaderName = HeaderName::from_static("morsel-index-platforms");

/// What a registry says about sparse indexes before it is given one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SparsePolicy {
    /// There is nobody who would refuse: a layout, an archive.
    Taken,
    /// Quay: whether it takes them, and the architectures it wants in any case; none means all.
    Quay {
        /// Whether `FEATURE_SPARSE_INDEX` is on.
        supported: bool,
        /// What `SPARSE_INDEX_REQUIRED_ARCHS` lists.
        required: Vec<String>,
    },
    /// `morsel serve`, by its `--index-platforms`.
    Morsel(String),
    /// Nothing is said: by distribution, and much else.
    Unknown,
}

impl SparsePolicy {
    /// Tells whether a registry says that an index needs what it lists so.
    pub fn requires(&self, listed: &Descriptor) -> bool {
        match self {
            Self::Taken | Self::Unknown => false,
            Self::Quay { supported, required } => {
                let architecture = listed.platform.as_ref().map(|platform| &platform.architecture);
                !supported || required.is_empty() || architecture.is_none_or(|one| required.contains(one))
            }
            Self::Morsel(list) => list.split(',').any(|word| is_named(word, listed)),
        }
    }
}

/// Tells whether a word of `--index-platforms` stands for a child.
fn is_named(word: &str, listed: &Descriptor) -> bool {
    match (word, &listed.platform) {
        ("all", _) | ("no-platform", None) => true,
        (_, Some(platform)) => word.parse().is_ok_and(|selector: Selector| selector.matches(platform)),
        (_, None) => false,
    }
}

impl Repository {
    /// Asks the registry that is written to what it says about sparse indexes.
    pub(crate) fn sparse_policy(&self) -> Result<SparsePolicy, Failure> {
        let endpoint = self.target()?;
        let url = endpoint.probe_url(self.registries.scheme(endpoint)?)?;
        let response = self.push(&self.scope()?, &self.request(Method::GET, url)?)?;
        let policy = read(&response.headers);
        response.body.drain();
        Ok(policy)
    }
}

fn read(headers: &HeaderMap) -> SparsePolicy {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let required = text(REQUIRED).unwrap_or_default().split(',').map(str::trim);
    let required = required.filter(|name| !name.is_empty()).map(shorten).collect();
    match (text(INDEX_PLATFORMS), text(SUPPORT)) {
        (Some(list), _) => SparsePolicy::Morsel(shorten(list)),
        (None, Some(support)) => {
            SparsePolicy::Quay { supported: support.eq_ignore_ascii_case("true"), required }
        }
        (None, None) => SparsePolicy::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use chunked::BlobDigest;
    use reqwest::header::HeaderValue;

    use super::*;
    use crate::media_type::MediaType;
    use crate::platform::Platform;

    #[test]
    fn headers_say_what_is_taken() {
        let read = |headers: &[(&'static str, &'static str)]| {
            let pairs = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            read(&pairs.collect())
        };
        let quay = |supported, required: &[&str]| SparsePolicy::Quay {
            supported,
            required: required.iter().map(ToString::to_string).collect(),
        };
        let support = |value| ("x-sparse-manifest-support", value);
        assert_eq!(read(&[support("false")]), quay(false, &[]));
        let required = ("x-required-architectures", "amd64, arm64,");
        assert_eq!(read(&[support("true"), required]), quay(true, &["amd64", "arm64"]));
        let own = ("morsel-index-platforms", "none");
        assert_eq!(read(&[support("true"), own]), SparsePolicy::Morsel("none".to_owned()));
        assert_eq!(read(&[("docker-distribution-api-version", "registry/2.0")]), SparsePolicy::Unknown);
    }

    #[test]
    fn policies_tell_children_apart() {
        let listed = |architecture: Option<&str>| Descriptor {
            platform: architecture.map(|architecture| Platform::new("linux", architecture)),
            ..Descriptor::new(MediaType::OCI_MANIFEST, BlobDigest::of(b"x"), 1)
        };
        let children = [Some("amd64"), Some("s390x"), Some("unknown"), None].map(listed);
        let required = |policy: SparsePolicy| children.each_ref().map(|child| policy.requires(child));
        let quay = |supported, required: &[&str]| SparsePolicy::Quay {
            supported,
            required: required.iter().map(ToString::to_string).collect(),
        };
        let morsel = |list: &str| SparsePolicy::Morsel(list.to_owned());
        assert_eq!(required(quay(false, &["amd64"])), [true; 4]);
        assert_eq!(required(quay(true, &[])), [true; 4]);
        assert_eq!(required(quay(true, &["amd64"])), [true, false, false, true]);
        assert_eq!(required(morsel("all")), [true; 4]);
        assert_eq!(required(morsel("none")), [false; 4]);
        assert_eq!(required(morsel("linux/amd64,no-platform")), [true, false, false, true]);
        assert_eq!(required(SparsePolicy::Unknown), [false; 4]);
    }
}
