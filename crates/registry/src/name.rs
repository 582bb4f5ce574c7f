//! The name of an image in a registry: `[HOST/]REPOSITORY[:TAG][@DIGEST]`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use chunked::Digest;
use chunked::digest::InvalidDigest;

use crate::error::shorten;

/// The registry that a name without a host means.
const DEFAULT_HOST: &str = "docker.io";
/// Where that registry keeps names of one component.
const DEFAULT_NAMESPACE: &str = "library/";
/// The tag that a name with neither tag nor digest means.
const DEFAULT_TAG: &str = "latest";
/// Longest host and repository together, from the distribution reference grammar.
const NAME_LEN_MAX: usize = 255;
/// Longest tag, from the distribution reference grammar.
const TAG_LEN_MAX: usize = 128;

/// Names what is wrong with an image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The repository breaks the grammar.
    #[error("repository `{0}` is not lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`")]
    Repository(String),
    /// The host breaks the grammar.
    #[error("host `{0}` is not a host name or address with an optional port")]
    Host(String),
    /// The tag breaks the grammar.
    #[error(
        "tag `{0}` is not up to 128 letters, digits, `_`, `.` and `-`, starting with none of the last two"
    )]
    Tag(String),
    /// The digest breaks the grammar.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// Host and repository are too long.
    #[error("name is {0} bytes long, at most {NAME_LEN_MAX} are allowed")]
    Length(usize),
}

/// The full name of an image in a registry.
///
/// A name without a host is one of `docker.io` unless `registries.conf` says otherwise, there a single component is one of
/// `library/`, and a name with neither tag nor digest has the tag `latest`, as with other tools of the field.
#[derive(Debug, Clone)]
pub struct Name {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
    /// Where in the repository that begins which was written, for a name without a host.
    short_from: Option<u8>,
}

/// How a name was written makes no difference.
impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl Name {
    fn parts(&self) -> (&str, &str, Option<&str>, Option<Digest>) {
        (&self.host, &self.repository, self.tag(), self.digest)
    }

    /// Returns the registry's host, with its port if it has one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the path below the host, such as `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag; `None` only when there is a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Names the image of another tag in the same repository.
    ///
    /// # Errors
    /// [`Invalid::Tag`] when that is no tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, Invalid> {
        match is_tag(tag) {
            true => Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }),
            false => Err(Invalid::Tag(shorten(tag))),
        }
    }

    /// Names what has a digest in the same repository.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Returns what was written, without tag and digest, if that has no host.
    pub fn short(&self) -> Option<&str> {
        self.repository.get(usize::from(self.short_from?)..)
    }

    /// Takes the name as one of the default host if it was written without any.
    #[must_use]
    pub fn full(self) -> Self {
        Self { short_from: None, ..self }
    }

    /// Names the same image at another place.
    pub(crate) fn moved(&self, host: &str, repository: &str) -> Result<Self, Invalid> {
        check(host, repository)?;
        Ok(Self { host: host.to_owned(), repository: repository.to_owned(), ..self.clone().full() })
    }

    /// Returns the digest of the manifest or index, which wins over the tag.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (path, tag) = split_tag(rest);
        let (host, repository, short_from) = split_host(path);
        check(host, &repository)?;
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(Invalid::Tag(shorten(tag)));
        }
        let tag = tag.or((digest.is_none()).then_some(DEFAULT_TAG)).map(str::to_owned);
        Ok(Self { host: host.to_owned(), repository, tag, digest, short_from })
    }
}

fn check(host: &str, repository: &str) -> Result<(), Invalid> {
    let len = host.len().saturating_add(repository.len()).saturating_add(1);
    if len > NAME_LEN_MAX {
        return Err(Invalid::Length(len));
    }
    if !is_host(host) {
        return Err(Invalid::Host(shorten(host)));
    }
    if !is_repository(repository) {
        return Err(Invalid::Repository(shorten(repository)));
    }
    Ok(())
}

/// Cuts `:TAG` off; a colon before the last slash belongs to the host's port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (text, None),
    }
}

/// Cuts the host off: a first component that cannot be part of a repository on the default host. Without one, says where in
/// the repository the path begins.
fn split_host(path: &str) -> (&str, String, Option<u8>) {
    match path.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.contains(|c: char| c.is_ascii_uppercase()) =>
        {
            let namespace = if first == DEFAULT_HOST && !rest.contains('/') { DEFAULT_NAMESPACE } else { "" };
            (first, format!("{namespace}{rest}"), None)
        }
        Some(_) => (DEFAULT_HOST, path.to_owned(), Some(0)),
        None => (DEFAULT_HOST, format!("{DEFAULT_NAMESPACE}{path}"), Some(DEFAULT_NAMESPACE.len() as u8)),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let named = match name.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(is_ipv6),
        None => name.split('.').all(is_host_label),
    };
    named && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_ipv6(address: &str) -> bool {
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

fn is_host_label(label: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    edge(label.bytes().next())
        && edge(label.bytes().last())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Tells whether a text can be the path of a repository below its host, such as `library/debian`.
pub fn is_repository(text: &str) -> bool {
    text.len() <= NAME_LEN_MAX && text.split('/').all(is_repository_component)
}

/// Accepts runs of lower-case letters and digits, separated by one `.`, one or two `_`, or any number of `-`.
fn is_repository_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edge = |byte: Option<u8>| byte.is_some_and(is_word);
    edge(component.bytes().next())
        && edge(component.bytes().last())
        && component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

/// Tells whether a text can be a tag.
pub fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_LEN_MAX
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn short_names_are_completed() {
        let full = |text: &str| text.parse::<Name>().unwrap().to_string();
        assert_eq!(full("debian"), "docker.io/library/debian:latest");
        assert_eq!(full("debian:12"), "docker.io/library/debian:12");
        assert_eq!(full("docker.io/debian"), "docker.io/library/debian:latest");
        assert_eq!(full("team/app"), "docker.io/team/app:latest");
        assert_eq!(full("localhost/app"), "localhost/app:latest");
        assert_eq!(full("localhost:5000/app:v1"), "localhost:5000/app:v1");
        assert_eq!(full("[::1]:5000/app"), "[::1]:5000/app:latest");
        assert_eq!(full(&format!("quay.io/a/b@{DIGEST}")), format!("quay.io/a/b@{DIGEST}"));
        assert_eq!(full(&format!("quay.io/a/b:1@{DIGEST}")), format!("quay.io/a/b:1@{DIGEST}"));
    }

    #[test]
    fn malformed_names_are_refused() {
        let long = "a".repeat(300);
        for text in [
            "", "/", "a//b", "-a", "a-", "a___b", "a..b", "A", "a/B", "a:", "a:-x", "a@", "a b", "h_.io/a",
            &long,
        ] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn errors_name_the_part() {
        let message = |text: &str| text.parse::<Name>().unwrap_err().to_string();
        insta::assert_snapshot!(message("a/B:1"), @"repository `a/B` is not lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`");
        insta::assert_snapshot!(message("-x.io/b"), @"host `-x.io` is not a host name or address with an optional port");
        insta::assert_snapshot!(message("a:-"), @"tag `-` is not up to 128 letters, digits, `_`, `.` and `-`, starting with none of the last two");
        insta::assert_snapshot!(message("a@md5:00"), @"digest algorithm `md5` is not supported, expected sha256 or sha512");
        insta::assert_snapshot!(message(&"a".repeat(300)), @"name is 318 bytes long, at most 255 are allowed");
    }

    #[test]
    fn a_name_remembers_that_it_has_no_host() {
        let short = |text: &str| text.parse::<Name>().unwrap().short().map(str::to_owned);
        assert_eq!(short("debian:12").as_deref(), Some("debian"));
        assert_eq!(short("library/debian").as_deref(), Some("library/debian"));
        assert_eq!(short(&format!("team/app@{DIGEST}")).as_deref(), Some("team/app"));
        assert_eq!(short("docker.io/debian"), None);
        assert_eq!("debian".parse::<Name>().unwrap().full().short(), None);
        assert_eq!("debian".parse::<Name>(), "docker.io/debian:latest".parse());
    }

    proptest! {
        #[test]
        fn text_round_trips(
            host in proptest::option::of("[a-z]{1,4}\\.[A-Za-z0-9]{1,4}(:[0-9]{1,4})?/"),
            repository in "[a-z0-9]{1,4}((_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,4}(\\.[a-z0-9]{1,4})?){0,2}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}"),
            digest in any::<bool>(),
        ) {
            let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
            let digest = if digest { format!("@{DIGEST}") } else { String::new() };
            let name: Name = format!("{}{repository}{tag}{digest}", host.unwrap_or_default()).parse().unwrap();
            prop_assert_eq!(name.to_string().parse::<Name>().unwrap(), name);
        }

        #[test]
        fn any_text_parses_or_fails_and_what_parses_round_trips(text in "\\PC{0,40}") {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.to_string().parse::<Name>().unwrap(), name);
            }
        }
    }
}
