//! Credentials, and where they are found.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

use super::file::AuthFile;
use super::helper;
use super::invalid::Invalid;

/// The name under which Docker keeps credentials of `docker.io`.
const DOCKER_IO_SERVER: &str = "https://index.docker.io/v1/";

/// What proves to a registry who we are. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user and a password.
    Password {
        /// Who.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for shorter-lived ones.
    Identity(String),
}

/// Credentials for one host that come before those in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The host, with its port if it has one. No other one gets to see them.
    pub host: String,
    /// What proves to it who we are.
    pub credentials: Credentials,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(..)",
            Self::Identity(_) => "Identity(..)",
        })
    }
}

/// Writes the header of basic authentication (RFC 7617).
pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Finds the credentials for a repository: in the first file that has some, those whose name fits best.
///
/// # Errors
/// [`Invalid`] when a file cannot be read, or a helper that should know does not run.
pub(super) fn find(files: &[PathBuf], host: &str, repository: &str) -> Result<Option<Credentials>, Invalid> {
    for path in files {
        let Some(file) = AuthFile::read(path)? else { continue };
        if let Some(found) = find_in(&file, host, repository)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn find_in(file: &AuthFile, host: &str, repository: &str) -> Result<Option<Credentials>, Invalid> {
    if let Some(program) = file.helper(host) {
        for server in servers(host) {
            if let Some(found) = helper::ask(program, server)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(file.credentials(host, repository))
}

/// Returns the names by which a helper may know a host.
fn servers(host: &str) -> impl Iterator<Item = &str> {
    [DOCKER_IO_SERVER].into_iter().filter(move |_| host == "docker.io").chain([host])
}
