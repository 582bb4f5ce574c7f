//! `auth.json` of podman and skopeo (containers-auth.json(5)), and Docker's `config.json`: the same JSON.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::credentials::Credentials;
use super::invalid::Invalid;

/// Longest file in bytes; an entry has some hundred.
const LEN_MAX: u64 = 1 << 20;

/// The credentials of one file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct AuthFile {
    /// By host, or host and start of the repository.
    credentials: BTreeMap<String, Credentials>,
    /// The helpers for single hosts.
    helpers: BTreeMap<String, String>,
    /// The helper for all other hosts.
    store: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    auths: BTreeMap<String, WrittenEntry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct WrittenEntry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

impl AuthFile {
    /// Reads the file; `None` when there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Invalid> {
        let bytes = match read_limited(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Invalid::Read { path: path.to_owned(), source }),
        };
        let file = Self::parse(&bytes).map_err(|why| Invalid::File { path: path.to_owned(), why })?;
        Ok(Some(file))
    }

    /// Parses the JSON. What is wrong with it is said without quoting it.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        // An empty file is what `: > auth.json` and some tools leave.
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let at = |error: serde_json::Error| format!("line {} column {}", error.line(), error.column());
        let written: Written = serde_json::from_slice(bytes).map_err(at)?;
        let mut file =
            Self { store: written.creds_store.filter(|store| !store.is_empty()), ..Self::default() };
        for (key, entry) in written.auths {
            let broken = || {
                format!(
                    "the entry of `{}` is no base64 of a user and a password",
                    crate::error::shorten(&key)
                )
            };
            if let Some(credentials) = entry.credentials().ok_or_else(broken)? {
                file.credentials.insert(normalized(&key), credentials);
            }
        }
        file.helpers =
            written.cred_helpers.iter().map(|(key, helper)| (normalized(key), helper.clone())).collect();
        Ok(file)
    }

    /// Returns the helper that knows about a host.
    pub(super) fn helper(&self, host: &str) -> Option<&str> {
        self.helpers.get(host).or(self.store.as_ref()).map(String::as_str)
    }

    /// Returns the credentials whose name is the longest that contains the repository.
    pub(super) fn credentials(&self, host: &str, repository: &str) -> Option<Credentials> {
        let full = format!("{host}/{repository}");
        let mut prefix = full.as_str();
        loop {
            if let Some(found) = self.credentials.get(prefix) {
                return Some(found.clone());
            }
            prefix = prefix.rsplit_once('/')?.0;
        }
    }
}

impl WrittenEntry {
    /// Returns what the entry has; `None` when that is malformed.
    fn credentials(&self) -> Option<Option<Credentials>> {
        if !self.identity_token.is_empty() {
            return Some(Some(Credentials::Identity(self.identity_token.clone())));
        }
        if self.auth.is_empty() {
            let given = !self.username.is_empty();
            return Some(given.then(|| Credentials::Password {
                user: self.username.clone(),
                password: self.password.clone(),
            }));
        }
        let decoded = String::from_utf8(STANDARD.decode(self.auth.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        let password = password.trim_end_matches('\0').to_owned();
        Some(Some(Credentials::Password { user: user.to_owned(), password }))
    }
}

/// Writes keys in one way: Docker's are URLs with a path that means nothing.
fn normalized(key: &str) -> String {
    let without_scheme = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let key = match without_scheme {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/'),
    };
    match key {
        "index.docker.io" | "registry-1.docker.io" | "index.docker.io/v1" => "docker.io".to_owned(),
        _ => key.to_owned(),
    }
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LEN_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        len if len > LEN_MAX => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {LEN_MAX} bytes")))
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> AuthFile {
        AuthFile::parse(text.as_bytes()).unwrap()
    }

    fn entry(user: &str) -> String {
        format!(r#"{{"auth":"{}"}}"#, STANDARD.encode(format!("{user}:secret")))
    }

    fn user(file: &AuthFile, host: &str, repository: &str) -> Option<String> {
        match file.credentials(host, repository)? {
            Credentials::Password { user, password } => Some(format!("{user} {password}")),
            Credentials::Identity(token) => Some(token),
        }
    }

    #[test]
    fn the_longest_name_wins() {
        let text = format!(
            r#"{{"auths":{{"h.io":{},"h.io/a":{},"h.io/a/b":{},"h.io:5000":{}}}}}"#,
            entry("host"),
            entry("a"),
            entry("b"),
            entry("port")
        );
        let file = file(&text);
        let cases = [
            ("h.io", "a/b", Some("b secret")),
            ("h.io", "a/b/c", Some("b secret")),
            ("h.io", "a/bc", Some("a secret")),
            ("h.io", "x", Some("host secret")),
            ("h.io:5000", "a", Some("port secret")),
            ("h.io:443", "a", None),
            ("other.io", "h.io", None),
        ];
        for (host, repository, expected) in cases {
            assert_eq!(user(&file, host, repository).as_deref(), expected, "{host}/{repository}");
        }
    }

    #[test]
    fn keys_of_docker_are_understood() {
        for key in [
            "https://index.docker.io/v1/",
            "docker.io",
            "index.docker.io",
            "https://registry-1.docker.io/v2/",
        ] {
            let file = file(&format!(r#"{{"auths":{{"{key}":{}}}}}"#, entry("me")));
            assert_eq!(user(&file, "docker.io", "library/debian").as_deref(), Some("me secret"), "{key}");
        }
        let file =
            file(&format!(r#"{{"auths":{{"https://h.io/v2/":{}}},"credsStore":"pass"}}"#, entry("me")));
        assert_eq!(user(&file, "h.io", "a").as_deref(), Some("me secret"));
        assert_eq!(file.helper("h.io"), Some("pass"));
    }

    #[test]
    fn entries_have_many_forms() {
        let file = file(
            r#"{"auths":{"a":{},"b":{"username":"u","password":"p"},"c":{"auth":"dTpw","identitytoken":"t"},"d":{"auth":"dTpwOnE="}},
                "credHelpers":{"e":"gcloud"},"HttpHeaders":{}}"#,
        );
        let shown = ["a", "b", "c", "d"].map(|host| user(&file, host, "x"));
        assert_eq!(shown, [None, Some("u p".into()), Some("t".into()), Some("u p:q".into())]);
        assert_eq!((file.helper("e"), file.helper("a")), (Some("gcloud"), None));
        assert_eq!(AuthFile::parse(b" \n").unwrap(), AuthFile::default());
    }

    #[test]
    fn what_is_malformed_is_not_quoted() {
        let why = |text: &str| AuthFile::parse(text.as_bytes()).unwrap_err();
        insta::assert_snapshot!(why(r#"{"auths":{"h.io":{"auth":"no base64, but secret"}}}"#), @"the entry of `h.io` is no base64 of a user and a password");
        insta::assert_snapshot!(why(r#"{"auths":"secret"}"#), @"line 1 column 17");
        let shown = format!("{:?}", file(&format!(r#"{{"auths":{{"h.io":{}}}}}"#, entry("me"))));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
