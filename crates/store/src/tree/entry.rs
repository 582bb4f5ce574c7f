//! What an entry says of a file, checked.

use chunked::Entry;

use super::invalid::{Problem, Short};
use super::{Device, Dropped, FileContent, Metadata, Xattr};

/// Starts of the attributes by which overlayfs knows what is hidden, moved or elsewhere.
const OVERLAY_XATTRS: [&str; 2] = ["trusted.overlay.", "user.overlay."];

/// Longest target of a symbolic link on Linux: `PATH_MAX` without the NUL.
const TARGET_LEN: usize = 4095;

/// Largest file, 16 TiB, as on ext4: what stands for a file that is not here grows with its size.
const LARGEST_FILE: u64 = 16 << 40;

/// Most attributes of a file, with those that all its names bring: as many as a row of a TOC may have.
const MOST_ATTRIBUTES: usize = 1000;

/// Attributes left out that are remembered by name.
const MOST_DROPPED: usize = 20;

/// Returns owner, mode, times and attributes; those that are left out go to `dropped`.
pub(super) fn metadata(entry: &Entry, dropped: &mut Dropped) -> Result<Metadata, Problem> {
    let wrong = || Problem::Owner { uid: entry.uid, gid: entry.gid };
    // The largest number means "leave it" to chown(2).
    let id = |id: i64| u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(wrong);
    Ok(Metadata {
        mode: u16::try_from(entry.mode & 0o7777).unwrap_or_default(),
        uid: id(entry.uid)?,
        gid: id(entry.gid)?,
        modified: entry.modified.unwrap_or_default(),
        xattrs: xattrs(entry, dropped),
    })
}

fn xattrs(entry: &Entry, dropped: &mut Dropped) -> Box<[Xattr]> {
    let is_overlay = |name: &&String| OVERLAY_XATTRS.iter().any(|prefix| name.starts_with(prefix));
    for name in entry.xattrs.keys().filter(is_overlay) {
        dropped.count = dropped.count.saturating_add(1);
        if dropped.first.len() < MOST_DROPPED {
            dropped.first.push((Short(&entry.name).to_string(), Short(name).to_string()));
        }
    }
    let kept = entry.xattrs.iter().filter(|(name, _)| !is_overlay(name));
    kept.map(|(name, value)| Xattr { name: name.as_str().into(), value: value.as_slice().into() }).collect()
}

/// Adds attributes, sorted by name, to those of a file, or replaces them. Costs little for each, as a file may have any
/// number of names that bring some.
pub(super) fn add_xattrs(there: &mut Box<[Xattr]>, added: Box<[Xattr]>) -> Result<(), Problem> {
    let mut xattrs = std::mem::take(there).into_vec();
    for xattr in added {
        match xattrs.binary_search_by(|known| known.name.cmp(&xattr.name)) {
            Ok(place) => {
                if let Some(known) = xattrs.get_mut(place) {
                    known.value = xattr.value;
                }
            }
            Err(_) if xattrs.len() >= MOST_ATTRIBUTES => {
                return Err(Problem::TooManyAttributes { limit: MOST_ATTRIBUTES });
            }
            Err(place) => xattrs.insert(place, xattr),
        }
    }
    *there = xattrs.into_boxed_slice();
    Ok(())
}

/// Returns where a symbolic link leads.
pub(super) fn target(entry: &Entry) -> Result<Box<str>, Problem> {
    let target = entry.link_name.as_str();
    match target.len() {
        1..=TARGET_LEN if target.contains('\0') => Err(Problem::Nul),
        1..=TARGET_LEN => Ok(target.into()),
        len => Err(Problem::Target { len }),
    }
}

/// Returns the numbers of a device.
pub(super) fn device(entry: &Entry) -> Result<Device, Problem> {
    let number = |number: i64, bits: u32| u32::try_from(number).ok().filter(|number| number >> bits == 0);
    match (number(entry.dev_major, 12), number(entry.dev_minor, 20)) {
        (Some(major), Some(minor)) => Ok(Device { major, minor }),
        _ => Err(Problem::Device { major: entry.dev_major, minor: entry.dev_minor }),
    }
}

/// Returns what the bytes of a regular file hash to.
pub(super) fn content(entry: &Entry) -> Result<Option<FileContent>, Problem> {
    let Some(content) = &entry.content else { return Ok(None) };
    if entry.size > LARGEST_FILE {
        return Err(Problem::TooLarge { len: entry.size, limit: LARGEST_FILE });
    }
    let digest = match (content.digest, content.chunks.as_slice()) {
        (Some(digest), _) => Some(digest),
        (None, [only]) => only.digest,
        (None, _) => None,
    };
    Ok(Some(FileContent { digest: digest.ok_or(Problem::NoDigest)?, len: entry.size }))
}
