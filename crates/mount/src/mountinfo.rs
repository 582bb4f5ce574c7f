//! What is mounted where, as the kernel lists it for this process: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, at_path};

const LIST: &str = "/proc/self/mountinfo";

/// What mounts of this program say they are mounts of.
pub(crate) const SOURCE: &str = "morsel";

/// What is mounted, in the order it was.
#[derive(Debug)]
pub(crate) struct Mountinfo(Vec<(PathBuf, bool)>);

/// What there is of ours at a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing.
    Nothing,
    /// An overlay, whatever store it is of.
    Overlay,
    /// An overlay below something else that is mounted on the same directory.
    Covered,
}

impl Mountinfo {
    pub(crate) fn read() -> Result<Self, Error> {
        let list = fs::read(LIST).map_err(at_path("read", LIST))?;
        Ok(Self::parse(&list))
    }

    fn parse(list: &[u8]) -> Self {
        Self(list.split(|byte| *byte == b'\n').filter_map(parse_line).collect())
    }

    pub(crate) fn at(&self, directory: &Path) -> Seen {
        let mut here = self.0.iter().filter(|(point, _)| point == directory).map(|(_, is_ours)| *is_ours);
        // A later mount covers an earlier one.
        match (here.clone().any(|is_ours| is_ours), here.next_back()) {
            (false, _) => Seen::Nothing,
            (true, Some(true)) => Seen::Overlay,
            (true, _) => Seen::Covered,
        }
    }
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
42 22 0:52 / /mnt/covered ro - overlay morsel ro
43 42 0:53 / /mnt/covered ro - tmpfs morsel ro
44 22 0:54 / /mnt/\134x ro - overlay morsel ro
garbage

";
        let mounts = Mountinfo::parse(list);
        let at = |path| mounts.at(Path::new(path));
        assert_eq!([at("/mnt/a b"), at(r"/mnt/\x")], [Seen::Overlay; 2]);
        assert_eq!([at("/"), at("/mnt/other"), at("/mnt")], [Seen::Nothing; 3]);
        assert_eq!(at("/mnt/covered"), Seen::Covered);
    }
}
