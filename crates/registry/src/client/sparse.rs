//! What a registry says about indexes some of whose children are not there.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, SERVER};

use super::failure::Failure;
use super::repository::Repository;
use crate::error::shorten;

/// Whether Quay takes sparse indexes at all: `true` or `false`.
const SUPPORT: HeaderName = HeaderName::from_static("x-sparse-manifest-support");
/// The architectures whose children Quay wants nevertheless, separated by commas.
const REQUIRED: HeaderName = HeaderName::from_static("x-required-architectures");
/// What distribution, and much that is built on it, sends.
const DISTRIBUTION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

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
    /// `morsel serve`, which says nothing beforehand.
    Morsel,
    /// Something that speaks like distribution, which says nothing beforehand.
    Distribution,
    /// Nothing is known.
    Unknown,
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
    if let Some(supported) = text(SUPPORT) {
        let required = text(REQUIRED).unwrap_or_default().split(',').map(str::trim);
        let required = required.filter(|name| !name.is_empty()).map(shorten).collect();
        return SparsePolicy::Quay { supported: supported.eq_ignore_ascii_case("true"), required };
    }
    match text(SERVER) {
        Some(server) if server.starts_with("morsel") => SparsePolicy::Morsel,
        _ if headers.contains_key(DISTRIBUTION) => SparsePolicy::Distribution,
        _ => SparsePolicy::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn headers_tell_registries_apart() {
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
        let distribution = ("docker-distribution-api-version", "registry/2.0");
        let support = |value| ("x-sparse-manifest-support", value);
        assert_eq!(read(&[distribution, support("false")]), quay(false, &[]));
        let required = ("x-required-architectures", "amd64, arm64,");
        assert_eq!(read(&[support("true"), required]), quay(true, &["amd64", "arm64"]));
        assert_eq!(read(&[distribution]), SparsePolicy::Distribution);
        assert_eq!(read(&[("server", "morsel/0.1.0"), distribution]), SparsePolicy::Morsel);
        assert_eq!(read(&[]), SparsePolicy::Unknown);
    }
}
