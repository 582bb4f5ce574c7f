//! Who may come in: a file of `htpasswd -B`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chunked::Digest;

use crate::error::{Error, at_path};

/// Longest file in bytes: some 10 000 users.
const FILE_LEN_MAX: usize = 1 << 20;
/// Most passwords that are remembered to be right.
const KNOWN_MAX: usize = 10_000;
/// Longest password that bcrypt looks at, in bytes; it would cut what is longer, so that is refused.
const PASSWORD_LEN_MAX: usize = 72;

/// Says what is wrong with a file of users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The file is too long.
    #[error("it is longer than {FILE_LEN_MAX} bytes")]
    TooLong,
    /// A line is not of the form of the others.
    #[error("line {0} is not of the form `USER:HASH`")]
    Line(usize),
    /// A password is hashed with something that is too quick to guess.
    #[error("line {0} has no bcrypt hash, expected one that `htpasswd -B` made")]
    NotBcrypt(usize),
}

/// The users, by name, with the hashes of their passwords.
pub struct Users {
    hashes: HashMap<String, String>,
    /// Hashes of what was found right already: every request brings a password, and bcrypt is slow on purpose.
    known: Mutex<HashSet<Digest>>,
    salt: [u8; 32],
}

impl Users {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Those of the file system, and [`Error::Users`] when the file is malformed.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(at_path("read", path))?;
        let hashes = parse(&text).map_err(|source| Error::Users { path: path.to_owned(), source })?;
        let mut salt = [0; 32];
        rustix::rand::getrandom(&mut salt[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| Error::Random { source: io::Error::from(error) })?;
        Ok(Self { hashes, known: Mutex::default(), salt })
    }

    /// Tells whether the header `Authorization` was found to be right before.
    pub(crate) fn knows(&self, header: &[u8]) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.digest(header))
    }

    /// Tells whether the header `Authorization` names a user and the password. This takes some tenths of a second.
    pub(crate) fn admit(&self, header: &[u8]) -> bool {
        let Some((user, password)) = basic(header) else { return false };
        let hash = self.hashes.get(&user);
        // Hashing for unknown users, too, keeps the time it takes from telling who there is.
        let any = || self.hashes.values().next();
        let is_right = hash.or_else(any).is_some_and(|hash| bcrypt::verify(&password, hash).unwrap_or(false));
        if !is_right || hash.is_none() || password.len() > PASSWORD_LEN_MAX {
            return false;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(self.digest(header));
        true
    }

    fn digest(&self, header: &[u8]) -> Digest {
        Digest::of(&[&self.salt, header].concat())
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("len", &self.hashes.len()).finish_non_exhaustive()
    }
}

/// Returns the user of the header `Authorization`, for the log.
pub(crate) fn user(header: &[u8]) -> Option<String> {
    basic(header).map(|(user, _)| user)
}

/// Reads `Basic BASE64(USER:PASSWORD)` (RFC 7617).
fn basic(header: &[u8]) -> Option<(String, String)> {
    let text = str::from_utf8(header).ok()?;
    let (scheme, credentials) = text.split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(credentials.trim()).ok()?;
    let text = String::from_utf8(bytes).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn parse(text: &str) -> Result<HashMap<String, String>, Invalid> {
    if text.len() > FILE_LEN_MAX {
        return Err(Invalid::TooLong);
    }
    let mut users = HashMap::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, hash) = line.split_once(':').ok_or(Invalid::Line(number))?;
        let is_bcrypt = ["$2y$", "$2b$", "$2a$"].iter().any(|prefix| hash.starts_with(prefix));
        if user.is_empty() || !is_bcrypt || hash.len() != 60 {
            return Err(if user.is_empty() { Invalid::Line(number) } else { Invalid::NotBcrypt(number) });
        }
        users.insert(user.to_owned(), hash.to_owned());
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Users {
        Users { hashes: parse(text).unwrap(), known: Mutex::default(), salt: [0; 32] }
    }

    fn header(text: &str) -> Vec<u8> {
        format!("Basic {}", BASE64_STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn the_right_password_is_admitted_and_remembered() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let users = users(&format!("# people\n\nann:{hash}\n"));
        for wrong in ["ann:wrong", "bob:secret", "ann", ":", &format!("ann:secret{}", "x".repeat(72))] {
            assert!(!users.admit(&header(wrong)), "{wrong}");
        }
        assert!(!users.admit(b"Bearer x") && !users.knows(&header("ann:secret")));
        assert!(users.admit(&header("ann:secret")));
        assert!(users.knows(&header("ann:secret")) && !users.knows(&header("ann:wrong")));
    }

    #[test]
    fn malformed_files_are_refused() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(message("ann"), @"line 1 is not of the form `USER:HASH`");
        insta::assert_snapshot!(message("\nann:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk="), @"line 2 has no bcrypt hash, expected one that `htpasswd -B` made");
        insta::assert_snapshot!(message(&" ".repeat(FILE_LEN_MAX + 1)), @"it is longer than 1048576 bytes");
    }
}
