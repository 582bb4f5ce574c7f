//! The options of every verb that speaks with registries.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args as ClapArgs};

/// The heading of options that many verbs share.
const REGISTRIES: &str = "Registries";

/// How to get along with registries.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct RegistryArgs {
    /// Take credentials from FILE [default: where podman and docker keep them]
    #[arg(long, value_name = "FILE", help_heading = REGISTRIES)]
    pub(crate) authfile: Option<PathBuf>,

    /// Take certificates from DIR: `*.crt` of authorities, `*.cert` and `*.key` of this client
    #[arg(long, value_name = "DIR", help_heading = REGISTRIES)]
    pub(crate) cert_dir: Option<PathBuf>,

    /// Whether registries have to use TLS, and prove who they are
    #[arg(long, value_name = "BOOL", help_heading = REGISTRIES, default_value_t = true, action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) tls_verify: bool,

    /// Ask again where nothing came for so many seconds [default: 30]
    #[arg(long, value_name = "SECONDS", help_heading = REGISTRIES)]
    pub(crate) timeout: Option<NonZeroU32>,
}

impl RegistryArgs {
    /// Returns the words for another command line that say the same.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        let mut option = |name: &str, value: Option<&OsStr>| {
            words.extend(value.into_iter().flat_map(|value| [name.into(), value.to_owned()]));
        };
        option("--authfile", self.authfile.as_deref().map(Path::as_os_str));
        option("--cert-dir", self.cert_dir.as_deref().map(Path::as_os_str));
        option("--timeout", self.timeout.map(|timeout| timeout.to_string()).as_deref().map(OsStr::new));
        if !self.tls_verify {
            words.push("--tls-verify=false".into());
        }
        words
    }
}

impl Default for RegistryArgs {
    fn default() -> Self {
        Self { authfile: None, cert_dir: None, tls_verify: true, timeout: None }
    }
}
