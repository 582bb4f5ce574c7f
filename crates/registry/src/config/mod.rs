//! Where the images of a name really are: `registries.conf` of podman and skopeo, and `hosts.toml` of containerd.
//!
//! The first of the two that knows a registry decides. Both name mirrors, which are asked first and in order.

pub mod hosts;
mod invalid;
pub mod registries;
mod route;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use invalid::{Invalid, Unreadable};
pub(crate) use route::{Roles, Route, Scheme};

use self::registries::RegistriesConf;
use crate::name::Name;

/// Longest file in bytes.
pub const LEN_MAX: u64 = 1 << 20;

/// The files that say where registries are.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `registries.conf`, and the files of `registries.conf.d`, of which each wins over those before it. Those that are
    /// not there say nothing.
    pub registries: Vec<PathBuf>,
    /// Directories that have one with a `hosts.toml` for each of some hosts, in the order of preference.
    pub hosts: Vec<PathBuf>,
}

/// Tells whether the files say of the place that `name` says, be it a registry's or a mirror's, that it need not prove who
/// it is. Programs that are told the place of an image, and not its name, have to know.
///
/// # Errors
/// [`Unreadable`] when a file cannot be read, or makes no sense.
pub fn is_insecure(files: &Files, name: &Name) -> Result<bool, Unreadable> {
    Ok(merged(files)?.is_insecure(name))
}

/// Finds out where to look for what `name` says, in the order of preference.
///
/// # Errors
/// [`Unreadable`] when a file cannot be read, or makes no sense.
pub(crate) fn routes(files: &Files, name: &Name) -> Result<Vec<Route>, Unreadable> {
    let all = merged(files)?;
    if let Some(routes) = all.routes(name).map_err(|why| Unreadable::NoPlace { name: name.clone(), why })? {
        return Ok(routes);
    }
    for path in hosts::candidates(&files.hosts, name.host()) {
        if let Some(text) = read(&path)? {
            let dir = path.parent().unwrap_or(Path::new("/"));
            let hosts = hosts::parse(&text, dir).map_err(|why| Unreadable::malformed(&path, why))?;
            return Ok(hosts.routes(name));
        }
    }
    Ok(vec![Route::direct(name)])
}

/// Completes a name that was written without a host, by `registries.conf`.
///
/// # Errors
/// [`Unreadable`] when a file cannot be read, or makes no sense, or does not tell which registry is meant.
pub(crate) fn complete(files: &Files, name: &Name) -> Result<Name, Unreadable> {
    let Some(short) = name.short() else { return Ok(name.clone()) };
    merged(files)?.complete(name).map_err(|why| Unreadable::Incomplete { short: short.to_owned(), why })
}

fn merged(files: &Files) -> Result<RegistriesConf, Unreadable> {
    let mut all = RegistriesConf::default();
    for path in &files.registries {
        if let Some(text) = read(path)? {
            all.merge(registries::parse(&text).map_err(|why| Unreadable::malformed(path, why))?);
        }
    }
    Ok(all)
}

/// Reads a file; `None` when there is none.
fn read(path: &Path) -> Result<Option<String>, Unreadable> {
    let failed = |source| Unreadable::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(LEN_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}
