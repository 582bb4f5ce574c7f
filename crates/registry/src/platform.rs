//! Platforms: what an image runs on, and choosing by it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::descriptor::null_is_empty;
use crate::error::shorten;

/// What an image runs on, as indexes and configurations say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The CPU architecture, as Go names it.
    pub architecture: String,
    /// The operating system, as Go names it.
    pub os: String,
    /// The version of the operating system; used by Windows.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What the operating system must offer; used by Windows.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// The variant of the CPU, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Fields this program does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Platform {
    /// Names a platform by operating system and architecture alone.
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            architecture: architecture.into(),
            os: os.into(),
            os_version: None,
            os_features: Vec::new(),
            variant: None,
            other: Map::new(),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", shorten(&self.os), shorten(&self.architecture))?;
        if let Some(variant) = self.variant.as_deref().filter(|variant| !variant.is_empty()) {
            write!(f, "/{}", shorten(variant))?;
        }
        if let Some(version) = self.os_version.as_deref().filter(|version| !version.is_empty()) {
            write!(f, ",{}", shorten(version))?;
        }
        self.os_features.iter().try_for_each(|feature| write!(f, "+{}", shorten(feature)))
    }
}

/// Names what is wrong with the text of a [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("platform `{0}` is not of the form `os/arch[/variant][,os.version][+feature]`")]
pub struct Invalid(String);

/// Chooses platforms: `os/arch[/variant][,os.version][+feature]...`, such as `linux/arm64`.
///
/// What it leaves open, it does not ask for: `linux/arm` takes every variant, and an image that states no variant has
/// the one its architecture implies (`v8` for `arm64`, `v7` for `arm`, `v1` for `amd64`). A version matches itself and
/// everything below it: `10.0.17763` takes `10.0.17763.1234`. Features are those of `os.features`; an image may list more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    os: String,
    architecture: String,
    variant: Option<String>,
    os_version: Option<String>,
    os_features: Vec<String>,
}

impl Selector {
    /// Chooses what this machine runs: Linux, on the architecture that this program was built for.
    pub fn host() -> Self {
        let architecture = go_name(std::env::consts::ARCH).to_owned();
        Self {
            os: "linux".to_owned(),
            architecture,
            variant: None,
            os_version: None,
            os_features: Vec::new(),
        }
    }

    /// Tells whether it chooses `platform`.
    pub fn matches(&self, platform: &Platform) -> bool {
        self.os == platform.os
            && self.architecture == platform.architecture
            && self.variant.as_deref().is_none_or(|wanted| Some(wanted) == variant_of(platform))
            && self
                .os_version
                .as_deref()
                .is_none_or(|wanted| is_within(platform.os_version.as_deref(), wanted))
            && self.os_features.iter().all(|wanted| platform.os_features.contains(wanted))
    }
}

fn variant_of(platform: &Platform) -> Option<&str> {
    match (platform.variant.as_deref().unwrap_or_default(), platform.architecture.as_str()) {
        ("", "arm64") => Some("v8"),
        ("", "arm") => Some("v7"),
        ("", "amd64") => Some("v1"),
        ("", _) => None,
        (variant, _) => Some(variant),
    }
}

fn is_within(version: Option<&str>, wanted: &str) -> bool {
    let rest = version.and_then(|version| version.strip_prefix(wanted));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl FromStr for Selector {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid(shorten(text));
        let mut features = text.split('+');
        let text = features.next().unwrap_or_default();
        let os_features: Vec<String> = features.map(str::to_owned).collect();
        let (path, os_version) = match text.split_once(',') {
            Some((path, version)) => (path, Some(version)),
            None => (text, None),
        };
        let mut parts = path.split('/');
        let (Some(os), Some(architecture)) = (parts.next(), parts.next()) else { return Err(invalid()) };
        let variant = parts.next();
        let given = [Some(os), Some(architecture), variant, os_version].into_iter().flatten();
        if parts.next().is_some() || !given.chain(os_features.iter().map(String::as_str)).all(is_word) {
            return Err(invalid());
        }
        let own = |text: &str| text.to_owned();
        Ok(Self {
            os: own(os),
            architecture: own(go_name(architecture)),
            variant: variant.map(own),
            os_version: os_version.map(own),
            os_features,
        })
    }
}

/// Takes the names that compilers and `uname` use for two architectures as Go's names of them.
fn go_name(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if let Some(variant) = &self.variant {
            write!(f, "/{variant}")?;
        }
        if let Some(version) = &self.os_version {
            write!(f, ",{version}")?;
        }
        self.os_features.iter().try_for_each(|feature| write!(f, "+{feature}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn platform(os: &str, architecture: &str, variant: &str, version: &str) -> Platform {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Platform { variant: given(variant), os_version: given(version), ..Platform::new(os, architecture) }
    }

    #[test]
    fn what_is_left_open_is_not_asked_for() {
        let matches =
            |selector: &str, platform: &Platform| selector.parse::<Selector>().unwrap().matches(platform);
        let arm64 = platform("linux", "arm64", "", "");
        let arm64_v8 = platform("linux", "arm64", "v8", "");
        for selector in ["linux/arm64", "linux/arm64/v8", "linux/aarch64"] {
            assert!(matches(selector, &arm64) && matches(selector, &arm64_v8), "{selector}");
        }
        assert!(!matches("linux/arm64/v9", &arm64));
        assert!(!matches("linux/amd64", &arm64));
        assert!(matches("linux/arm", &platform("linux", "arm", "v6", "")));
        assert!(!matches("linux/arm/v7", &platform("linux", "arm", "v6", "")));
        assert!(!matches("linux/s390x/z15", &platform("linux", "s390x", "", "")));

        let windows = platform("windows", "amd64", "", "10.0.17763.1234");
        assert!(matches("windows/amd64", &windows));
        assert!(matches("windows/amd64,10.0.17763", &windows));
        assert!(!matches("windows/amd64,10.0.1", &windows));
        assert!(!matches("windows/amd64,10.0.17763", &platform("windows", "amd64", "", "")));

        let os_features = ["win32k", "other"].map(str::to_owned).to_vec();
        let desktop = Platform { os_features, ..windows.clone() };
        for selector in ["windows/amd64", "windows/amd64+win32k", "windows/amd64,10.0.17763+other+win32k"] {
            assert!(matches(selector, &desktop), "{selector}");
        }
        assert!(!matches("windows/amd64+win32k", &windows));
        assert_eq!(desktop.to_string(), "windows/amd64,10.0.17763.1234+win32k+other");
    }

    #[test]
    fn malformed_selectors_are_refused() {
        for text in [
            "",
            "linux",
            "linux/",
            "/amd64",
            "linux/arm/v7/x",
            "linux/amd64,",
            "linux /amd64",
            "linux/amd64+",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
        let error = "linux".parse::<Selector>().unwrap_err().to_string();
        insta::assert_snapshot!(error, @"platform `linux` is not of the form `os/arch[/variant][,os.version][+feature]`");
    }

    #[test]
    fn os_version_is_written_as_oci_names_it() {
        let text = serde_json::to_string(&platform("windows", "amd64", "", "10.0")).unwrap();
        assert_eq!(text, r#"{"architecture":"amd64","os":"windows","os.version":"10.0"}"#);
    }

    proptest! {
        #[test]
        fn text_round_trips(text in "[a-z]{1,5}/[a-z0-9]{1,5}(/v[0-9])?(,[0-9]{1,2}(\\.[0-9]{1,3}){0,3})?(\\+[a-z0-9]{1,6}){0,2}") {
            prop_assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }

        #[test]
        fn a_platform_is_chosen_by_its_own_text(
            os in "(linux|windows)", architecture in "(amd64|arm64|arm)",
            variant in "(|v7|v8)", version in "(|10\\.0\\.1)",
        ) {
            let platform = platform(&os, &architecture, &variant, &version);
            prop_assert!(platform.to_string().parse::<Selector>().unwrap().matches(&platform));
        }
    }
}
