//! `certs.d`: certificates for single hosts (containers-certs.d(5)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::http::{Identity, Tls, Verification};

/// Most files in a directory that are looked at.
const FILES_MAX: usize = 1000;

/// Adds to the way TLS is spoken what `dir` holds: `*.crt` are authorities, `*.cert` and `*.key` are who we are.
pub(super) fn read(dir: &Path, verification: Verification) -> Result<Tls, Failure> {
    let mut tls = Tls { verification, ..Tls::default() };
    let unreadable = |source| Failure::Certs { dir: dir.to_owned(), source };
    for path in files(dir).map_err(unreadable)? {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("crt") => tls.authorities.push(path),
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.is_file() {
                    let text = format!("`{}` has no key beside it", path.display());
                    return Err(unreadable(io::Error::new(io::ErrorKind::NotFound, text)));
                }
                tls.identity = Some(Identity { certificates: path, key });
            }
            _ => {}
        }
    }
    Ok(tls)
}

/// Finds the first of the directories that has one for `host`.
pub(super) fn find(bases: &[PathBuf], host: &str) -> Option<PathBuf> {
    // Names of hosts have no slash; one that is `..` is none of a directory for it.
    let is_name = !host.contains('/') && !host.starts_with('.');
    bases.iter().map(|base| base.join(host)).find(|dir| is_name && dir.is_dir())
}

/// Lists a directory, in an order that does not change.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)?.take(FILES_MAX).map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_endings() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("h.io:5000");
        fs::create_dir(&dir).unwrap();
        for name in ["b.crt", "a.crt", "client.cert", "client.key", "README"] {
            fs::write(dir.join(name), "").unwrap();
        }
        let bases = [base.path().join("none"), base.path().to_owned()];
        assert_eq!(find(&bases, "h.io:5000"), Some(dir.clone()));
        assert_eq!((find(&bases, "h.io"), find(&bases, "..")), (None, None));
        let tls = read(&dir, Verification::On).unwrap();
        assert_eq!(tls.authorities, [dir.join("a.crt"), dir.join("b.crt")]);
        let (certificates, key) = (dir.join("client.cert"), dir.join("client.key"));
        assert_eq!(tls.identity, Some(Identity { certificates, key: key.clone() }));
        fs::remove_file(key).unwrap();
        assert!(read(&dir, Verification::On).is_err());
    }
}
