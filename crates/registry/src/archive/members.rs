//! The members of a tar, found once and then read in place.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chunked::input::Compression;
use chunked::tar::{self, Step, clean};
use chunked::{Limits, RangeSource};

use super::spool::spool;
use super::{HEADERS_LEN_MAX, Invalid};
use crate::blob::FileBlob;
use crate::error::{Error, at_path};
use crate::layout::Files;

/// Most members a tar may have, a bound on memory; images have hundreds.
const MEMBERS_MAX: usize = 250_000;
/// Longest name that is remembered, in bytes; those of images have up to 150.
const NAME_LEN_MAX: usize = 512;
/// Bytes read to find a header; most are 512 long, and several of them in a row are rare.
const WINDOW_LEN: usize = 2048;
/// Most links followed from one name to its file.
const LINKS_MAX: usize = 8;

/// A tar, indexed by name. Names that lead out of it (`../x`, `/x`) are not there; of equal names the last counts.
#[derive(Debug)]
pub(crate) struct Members {
    file: Arc<File>,
    path: PathBuf,
    members: HashMap<Vec<u8>, Member>,
}

#[derive(Debug)]
enum Member {
    File { start: u64, len: u64 },
    Link { target: Vec<u8> },
}

impl Members {
    /// Opens the tar at `path`; one that is compressed or comes through a pipe is first copied into a nameless file
    /// in `scratch`.
    ///
    /// # Errors
    /// [`Error::Archive`] when it is not a tar, damaged, or absurdly large.
    pub(crate) fn open(path: &Path, scratch: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(at_path("open", path))?;
        let file = plain(file, path, scratch)?;
        let members = index(&file, path)?;
        Ok(Self { file: Arc::new(file), path: path.to_owned(), members })
    }

    fn resolve(&self, name: &[u8]) -> Option<FileBlob> {
        let mut name = name.to_vec();
        for _ in 0..LINKS_MAX {
            match self.members.get(&name)? {
                Member::File { start, len } => return Some(FileBlob::part(self.file.clone(), *start, *len)),
                Member::Link { target } => name = target.clone(),
            }
        }
        None
    }
}

impl Files for Members {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str) -> Result<Option<FileBlob>, Error> {
        Ok(self.resolve(&clean(name.as_bytes())))
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(blob) = self.resolve(&clean(name.as_bytes())) else { return Ok(None) };
        let path = self.path.join(name);
        if blob.blob_len() > limit {
            return Err(Error::FileTooLong { path, limit });
        }
        blob.read_all().map(Some).map_err(at_path("read", &path))
    }
}

/// Returns the tar itself, plain and seekable.
fn plain(mut file: File, path: &Path, scratch: &Path) -> Result<File, Error> {
    let mut start = Vec::new();
    let in_place = file.stream_position().is_ok();
    file.by_ref().take(4).read_to_end(&mut start).map_err(at_path("read", path))?;
    if in_place && Compression::sniff(&start) == Compression::None {
        return Ok(file);
    }
    spool(io::Cursor::new(start).chain(file), path, scratch)
}

/// Walks the headers of a tar, without reading what lies between them.
fn index(file: &File, path: &Path) -> Result<HashMap<Vec<u8>, Member>, Error> {
    let invalid = |source| Error::Archive { path: path.to_owned(), source };
    let file_len = file.metadata().map_err(at_path("examine", path))?.len();
    let mut members = HashMap::new();
    let mut offset = 0u64;
    // Go's reader takes the end of the file for the end of the tar as well.
    while offset < file_len {
        let Some((header_len, member)) = header_at(file, path, offset)? else { break };
        let start = offset.saturating_add(header_len as u64);
        let end = start.saturating_add(member.payload_len());
        if end > file_len {
            return Err(invalid(Invalid::Truncated { offset }));
        }
        if let Some((name, found)) = useful(&member, start) {
            members.insert(name, found);
        }
        if members.len() > MEMBERS_MAX {
            return Err(invalid(Invalid::TooManyMembers(MEMBERS_MAX)));
        }
        offset = end.saturating_add(member.padding_len() as u64);
    }
    Ok(members)
}

/// Reads the headers of the member at `offset`; `None` at the end of the tar.
fn header_at(file: &File, path: &Path, offset: u64) -> Result<Option<(usize, Box<tar::Member>)>, Error> {
    let invalid = |source| Error::Archive { path: path.to_owned(), source };
    let mut wanted = WINDOW_LEN;
    loop {
        let window = read_window(file, offset, wanted).map_err(at_path("read", path))?;
        match tar::parse(&window, &Limits::default()) {
            Ok(Step::End) => return Ok(None),
            Ok(Step::Member { header_len, member }) => return Ok(Some((header_len, member))),
            Ok(Step::NeedMore(_)) if window.len() < wanted => {
                return if window.iter().all(|byte| *byte == 0) {
                    Ok(None)
                } else {
                    Err(invalid(Invalid::Truncated { offset }))
                };
            }
            Ok(Step::NeedMore(len)) if len <= HEADERS_LEN_MAX => {
                // Doubling keeps hostile chains of extensions from being parsed anew for each of them.
                wanted = len.max(wanted.saturating_mul(2)).min(HEADERS_LEN_MAX);
            }
            Ok(Step::NeedMore(_)) => {
                return Err(invalid(Invalid::HeaderTooLong { offset, limit: HEADERS_LEN_MAX }));
            }
            Err(source) => return Err(invalid(Invalid::Header { offset, source })),
        }
    }
}

fn read_window(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut window = vec![0; len];
    let mut filled = 0usize;
    while let Some(rest) = window.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    window.truncate(filled);
    Ok(window)
}

/// Keeps files and links whose names lie within the tar.
fn useful(member: &tar::Member, start: u64) -> Option<(Vec<u8>, Member)> {
    let name = inside(&member.name)?;
    let found = match member.typeflag {
        b'0' if member.sparse.is_none() => Member::File { start, len: member.payload_len() },
        b'1' => Member::Link { target: inside(&member.link_name)? },
        b'2' => {
            let parent = name.iter().rposition(|byte| *byte == b'/').and_then(|end| name.get(..end));
            let target = [parent.unwrap_or_default(), b"/", &member.link_name].concat();
            let target = if parent.is_some() { inside(&target)? } else { inside(&member.link_name)? };
            Member::Link { target }
        }
        _ => return None,
    };
    Some((name, found))
}

fn inside(name: &[u8]) -> Option<Vec<u8>> {
    let name = clean(name);
    let leaves = name.starts_with(b"/") || name.starts_with(b"../") || name == b"..";
    (!leaves && name.len() <= NAME_LEN_MAX).then_some(name)
}

#[cfg(test)]
mod tests {
    use testkit::tar::Tar;

    use super::*;

    fn open(bytes: &[u8]) -> Result<Members, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        std::fs::write(&path, bytes).unwrap();
        Members::open(&path, dir.path())
    }

    fn why(bytes: &[u8]) -> String {
        match open(bytes).unwrap_err() {
            Error::Archive { source: Invalid::Header { source, .. }, .. } => source.to_string(),
            Error::Archive { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }

    #[test]
    fn names_and_links_are_resolved_within_the_tar() {
        let tar = Tar::new()
            .dir("dir/")
            .file("./dir/file", "first")
            .file("dir//file", "second")
            .hardlink("hard", "dir/file")
            .symlink("dir/soft", "../hard")
            .symlink("dir/out", "../../hard")
            .symlink("loop", "loop")
            .file("../escape", "x")
            .file("/absolute", "x");
        let members = open(&tar.finish()).unwrap();
        for name in ["dir/file", "hard", "dir/soft"] {
            assert_eq!(members.read(name, 10).unwrap().unwrap(), b"second", "{name}");
        }
        for name in ["dir", "dir/out", "loop", "../escape", "escape", "/absolute", "absolute"] {
            assert!(members.read(name, 10).unwrap().is_none(), "{name}");
        }
        assert!(matches!(members.read("hard", 5), Err(Error::FileTooLong { limit: 5, .. })));
    }

    #[test]
    fn damaged_tars_are_refused() {
        let whole = Tar::new().file("a", [1; 600]).finish();
        assert!(open(&whole).is_ok());
        assert!(open(&whole[..1536]).is_ok(), "the end of the file is an end");
        assert!(open(&whole[..1536 + 512]).is_ok(), "so is half of the mark of the end");
        insta::assert_snapshot!(why(&whole[..1000]), @"it ends within the member at byte 0");
        insta::assert_snapshot!(why(&whole[..100]), @"it ends within the member at byte 0");
        insta::assert_snapshot!(why(&[b'x'; 4096]), @"tar header has no valid number in its field `chksum`");
        let mut lying = ::tar::Header::new_ustar();
        lying.set_size(u64::MAX / 2);
        lying.set_cksum();
        insta::assert_snapshot!(why(lying.as_bytes()), @"it ends within the member at byte 0");
    }

    #[test]
    fn endless_headers_are_refused() {
        let mut header = ::tar::Header::new_ustar();
        header.set_entry_type(::tar::EntryType::XHeader);
        header.set_size(0);
        header.set_cksum();
        insta::assert_snapshot!(why(&header.as_bytes().repeat(10_000)), @"tar has more than 8 extension headers before one member");
    }

    proptest::proptest! {
        #[test]
        fn any_damage_ends_in_an_answer(at in 0..2048usize, damage in proptest::collection::vec(0..=255u8, 1..40)) {
            let mut bytes = Tar::new().file("a", [1; 600]).symlink("b", "a").finish();
            let end = bytes.len().min(at + damage.len());
            bytes.splice(at..end, damage);
            if let Ok(members) = open(&bytes) {
                for name in ["a", "b"] {
                    let content = members.read(name, 4096).unwrap();
                    assert!(content.is_none_or(|content| content.len() <= bytes.len()));
                }
            }
        }
    }

    #[test]
    fn compressed_tars_are_decompressed() {
        let whole = Tar::new().file("a", "content").finish();
        let members = open(&testkit::oci::gzip(&whole)).unwrap();
        assert_eq!(members.read("a", 10).unwrap().unwrap(), b"content");
    }

    #[test]
    fn tars_come_through_pipes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        let whole = Tar::new().file("a", "content").finish();
        std::thread::scope(|scope| {
            scope.spawn(|| std::fs::write(&path, &whole).unwrap());
            let members = Members::open(&path, dir.path()).unwrap();
            assert_eq!(members.read("a", 10).unwrap().unwrap(), b"content");
        });
    }
}
