//! Which children an index may lack: the policy for sparse indexes.

use std::fmt;
use std::str::FromStr;

use registry::Descriptor;
use registry::platform::{self, Selector};

/// Stands in a list of platforms for the entries of an index that name none.
const NO_PLATFORM: &str = "no-platform";

/// Which of the manifests that an index lists have to be here when it is pushed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IndexPolicy {
    /// All of them: no index is sparse.
    #[default]
    All,
    /// None of them.
    None,
    /// Those of some platforms, as far as an index lists any. The list is not empty.
    Only(Vec<Wanted>),
}

/// Entries of an index that have to be here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Those whose platform is chosen.
    Platform(Selector),
    /// Those that name no platform: nested indexes, artifacts.
    NoPlatform,
}

/// Says what is wrong with the text of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// There is nothing. Some registries take an empty list for `all`, others for `none`.
    #[error("the list of platforms is empty, expected `all`, `none` or platforms such as `linux/amd64`")]
    Empty,
    /// A platform is malformed.
    #[error(transparent)]
    Platform(#[from] platform::Invalid),
}

impl IndexPolicy {
    /// Tells whether the manifest that an index lists so has to be here.
    ///
    /// Attestations, whose platform is `unknown/unknown`, are asked for by that name only: tools that copy single
    /// platforms leave them behind.
    pub fn requires(&self, listed: &Descriptor) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(list) => list.iter().any(|wanted| wanted.is(listed)),
        }
    }
}

impl Wanted {
    fn is(&self, listed: &Descriptor) -> bool {
        match (self, &listed.platform) {
            (Self::Platform(selector), Some(platform)) => selector.matches(platform),
            (Self::NoPlatform, None) => true,
            _ => false,
        }
    }
}

impl FromStr for IndexPolicy {
    type Err = Invalid;

    /// Reads `all`, `none`, or platforms with commas between them; `no-platform` stands for entries that name none.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            "" => Err(Invalid::Empty),
            list => list.split(',').map(str::parse).collect::<Result<_, _>>().map(Self::Only),
        }
    }
}

impl FromStr for Wanted {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            NO_PLATFORM => Ok(Self::NoPlatform),
            _ => Ok(Self::Platform(text.parse()?)),
        }
    }
}

impl fmt::Display for IndexPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::Only(list) => {
                let words: Vec<_> = list.iter().map(ToString::to_string).collect();
                f.write_str(&words.join(","))
            }
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform(selector) => selector.fmt(f),
            Self::NoPlatform => f.write_str(NO_PLATFORM),
        }
    }
}

#[cfg(test)]
mod tests {
    use chunked::BlobDigest;
    use registry::{MediaType, Platform};

    use super::*;

    fn listed(platform: Option<Platform>) -> Descriptor {
        Descriptor { platform, ..Descriptor::new(MediaType::OCI_MANIFEST, BlobDigest::of(b"x"), 1) }
    }

    fn requires(policy: &str, platform: Option<Platform>) -> bool {
        policy.parse::<IndexPolicy>().unwrap().requires(&listed(platform))
    }

    #[test]
    fn lists_require_what_they_name() {
        let of = |os: &str, architecture: &str, variant: &str| {
            let variant = (!variant.is_empty()).then(|| variant.to_owned());
            Some(Platform { variant, ..Platform::new(os, architecture) })
        };
        for (policy, platform, required) in [
            ("all", of("linux", "s390x", ""), true),
            ("all", None, true),
            ("none", of("linux", "amd64", ""), false),
            ("none", None, false),
            ("linux/amd64", of("linux", "amd64", ""), true),
            ("linux/amd64", of("linux", "arm64", ""), false),
            ("linux/amd64,linux/arm64", of("linux", "arm64", "v8"), true),
            ("linux/arm64/v8", of("linux", "arm64", ""), true),
            ("linux/arm/v7", of("linux", "arm", "v6"), false),
            ("linux/arm/v7", of("linux", "arm", "v7"), true),
            ("linux/amd64", of("unknown", "unknown", ""), false),
            ("linux/amd64,unknown/unknown", of("unknown", "unknown", ""), true),
            ("linux/amd64", None, false),
            ("linux/amd64,no-platform", None, true),
            ("no-platform", of("linux", "amd64", ""), false),
        ] {
            assert_eq!(requires(policy, platform.clone()), required, "{policy}: {platform:?}");
        }
    }

    #[test]
    fn policies_are_written_as_they_are_read() {
        for text in ["all", "none", "linux/amd64", "linux/arm64/v8,windows/amd64,no-platform"] {
            assert_eq!(text.parse::<IndexPolicy>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_empty_list_is_refused() {
        let message = |text: &str| text.parse::<IndexPolicy>().unwrap_err().to_string();
        insta::assert_snapshot!(message(""), @"the list of platforms is empty, expected `all`, `none` or platforms such as `linux/amd64`");
        insta::assert_snapshot!(message("linux/amd64,"), @"platform `` is not of the form `os/arch[/variant][,os.version][+feature]`");
        insta::assert_snapshot!(message("amd64"), @"platform `amd64` is not of the form `os/arch[/variant][,os.version][+feature]`");
    }
}
