//! Ways to tell a kernel what to put together.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};
use serde::Serialize;

use super::context::Context;
use super::{Parts, Root};
use crate::erofs::Form;
use crate::error::{Error, at_path};

/// A way to put an overlay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Way {
    /// How layers are named.
    pub naming: Naming,
    /// Whether `metacopy=on,redirect_dir=on` is needed for references to be followed, before Linux 6.16. What is then
    /// in the directory of changes makes sense through the mount only.
    pub metacopy: bool,
}

/// How layers are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// By descriptors, so the metadata is attached nowhere.
    Descriptors,
    /// By one path each.
    Paths,
    /// By paths in one string.
    OneString,
}

impl Way {
    /// Lists the ways for a form, the best first. Only root's form can be followed with `metacopy=on`.
    pub fn all(form: Form) -> impl Iterator<Item = Self> {
        let metacopies: &[bool] = if form == Form::Trusted { &[false, true] } else { &[false] };
        let namings = [Naming::Descriptors, Naming::Paths, Naming::OneString];
        metacopies.iter().flat_map(move |metacopy| namings.map(|naming| Self { naming, metacopy: *metacopy }))
    }

    /// Sets the lower layers. The scaffold must stay until the overlay is made.
    pub(super) fn set_layers(
        self,
        context: &Context,
        parts: &Parts<'_>,
        scaffold: &mut Scaffold,
    ) -> Result<(), Error> {
        if self.naming == Naming::Descriptors {
            context.set_fd("lowerdir+", parts.metadata.as_fd())?;
            for data in parts.data {
                context.set_fd("datadir+", data.fd)?;
            }
            return Ok(());
        }
        let metadata = scaffold.path_of(parts)?;
        if self.naming == Naming::Paths {
            context.set("lowerdir+", metadata)?;
            for data in parts.data {
                context.set("datadir+", data.path)?;
            }
        } else {
            let mut all = escaped(metadata);
            for data in parts.data {
                all.extend(b"::");
                all.extend(escaped(data.path));
            }
            context.set("lowerdir", all)?;
        }
        Ok(())
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.naming {
            Naming::Descriptors => "layers by descriptor",
            Naming::Paths => "layers by path",
            Naming::OneString => "layers in one string",
        })?;
        if self.metacopy { f.write_str(", metacopy=on") } else { Ok(()) }
    }
}

/// Writes lower layers as one option.
pub(super) fn in_one_string<const N: usize>(layers: [&Path; N]) -> Vec<u8> {
    layers.map(escaped).join(&b':')
}

/// Writes a path so that its colons do not end it.
fn escaped(path: &Path) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b':' | b'\\' => vec![b'\\', *byte],
        byte => vec![*byte],
    };
    path.as_os_str().as_bytes().iter().flat_map(escape).collect()
}

/// Gives the metadata a path when one is needed, until this is dropped. After that nothing can be made of it any more.
#[derive(Debug, Default)]
pub(super) struct Scaffold(Option<MountPoint>);

impl Scaffold {
    fn path_of<'p>(&'p mut self, parts: &Parts<'p>) -> Result<&'p Path, Error> {
        let mount = match parts.metadata {
            Root::Detached(mount) => mount,
            Root::Directory(_, path) => return Ok(path),
        };
        let point = match self.0.take() {
            Some(point) => point,
            None => {
                let point = MountPoint::new(parts.scratch)?;
                move_mount(mount, "", CWD, &point.path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
                    .map_err(at_path("mount something on", &point.path))?;
                point
            }
        };
        Ok(&self.0.insert(point).path)
    }
}

/// A directory to mount something on for a moment.
#[derive(Debug)]
struct MountPoint {
    /// A directory that nobody else can enter: the metadata alone shows zeros in the place of content.
    outer: PathBuf,
    path: PathBuf,
}

impl MountPoint {
    fn new(scratch: &Path) -> Result<Self, Error> {
        let outer = scratch.join(format!("metadata-{}-{}", std::process::id(), crate::unique()));
        let point = Self { path: outer.join("root"), outer };
        for path in [&point.outer, &point.path] {
            DirBuilder::new().mode(0o700).create(path).map_err(at_path("create", path))?;
        }
        Ok(point)
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        // The overlay has a mount of its own. What cannot be removed here, nobody else can enter.
        let _ = unmount(&self.path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        let _ = fs::remove_dir(&self.path);
        let _ = fs::remove_dir(&self.outer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_of_paths_are_escaped() {
        let text = |path: &str| String::from_utf8(escaped(Path::new(path))).unwrap();
        assert_eq!(text("/var/lib/morsel"), "/var/lib/morsel");
        assert_eq!(text(r"/a:b\c"), r"/a\:b\\c");
    }

    #[test]
    fn the_best_way_comes_first_and_user_namespaces_have_no_metacopy() {
        let ways = |form| Way::all(form).map(|way| way.to_string()).collect::<Vec<_>>();
        assert_eq!(ways(Form::Trusted).len(), 6);
        assert_eq!(ways(Form::User), ["layers by descriptor", "layers by path", "layers in one string"]);
        assert_eq!(ways(Form::Trusted)[..3], ways(Form::User));
    }
}
