//! What is mounted where, as the kernel lists it for this process: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, at_path};

const LIST: &str = "/proc/self/mountinfo";

/// What mounts of this program say they are mounts of.
pub(crate) const SOURCE: &str = "morsel";

/// The directories that overlays of ours are mounted on, whatever store they are of.
pub(crate) fn our_mount_points() -> Result<Vec<PathBuf>, Error> {
    let list = fs::read(LIST).map_err(at_path("read", LIST))?;
    Ok(parse(&list))
}

/// Tells whether an overlay of ours is what is seen at a directory.
pub(crate) fn is_ours(directory: &Path) -> Result<bool, Error> {
    Ok(our_mount_points()?.iter().any(|point| point == directory))
}

fn parse(list: &[u8]) -> Vec<PathBuf> {
    let mut points: Vec<(PathBuf, bool)> = Vec::new();
    for line in list.split(|byte| *byte == b'\n') {
        let Some((point, is_ours)) = parse_line(line) else { continue };
        // A later mount hides an earlier one on the same directory.
        points.retain(|(other, _)| *other != point);
        points.push((point, is_ours));
    }
    points.into_iter().filter(|(_, is_ours)| *is_ours).map(|(point, _)| point).collect()
}

/// Returns the mount point of a line, and whether it is ours.
fn parse_line(line: &[u8]) -> Option<(PathBuf, bool)> {
    let fields: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let point = PathBuf::from(OsString::from_vec(unescape(fields.get(4)?)));
    // A field of its own separates a varying number of fields from the rest.
    let rest = fields.iter().skip(6).skip_while(|field| **field != b"-").skip(1).collect::<Vec<_>>();
    let is_ours = matches!(rest.as_slice(), [kind, source, ..] if **kind == b"overlay" && **source == SOURCE.as_bytes());
    Some((point, is_ours))
}

/// Replaces `\040` and the like by what they stand for.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.first_chunk::<3>().filter(|_| *byte == b'\\').and_then(octal);
        text.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    text
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    let text = str::from_utf8(digits).ok()?;
    u8::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_ours_are_found() {
        let list = br"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:50 / /mnt/a\040b ro,relatime shared:7 master:1 - overlay morsel ro,lowerdir+=/x
41 22 0:51 / /mnt/other rw - overlay overlay rw,lowerdir=/a
42 22 0:52 / /mnt/hidden ro - overlay morsel ro
43 42 0:53 / /mnt/hidden ro - tmpfs morsel ro
44 22 0:54 / /mnt/\134x ro - overlay morsel ro
garbage

";
        let points = parse(list);
        assert_eq!(points, [Path::new("/mnt/a b"), Path::new(r"/mnt/\x")]);
    }
}
