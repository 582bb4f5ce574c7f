use rustix::fs::Stat;

/// What shows that a file has changed: if one of these is another, its digest has to be computed again. That none is
/// does not prove that the content is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Bytes.
    pub len: u64,
    /// When the content was changed: nanoseconds since 1970.
    pub mtime: i64,
    /// When the content or the metadata was changed, which no one can set: nanoseconds since 1970.
    pub ctime: i64,
    /// Number of the inode.
    pub inode: u64,
}

impl Stamp {
    /// Takes it from what the kernel says of a file.
    pub fn of(stat: &Stat) -> Self {
        let nanos =
            |seconds: i64, nanos: u64| seconds.saturating_mul(1_000_000_000).saturating_add_unsigned(nanos);
        Self {
            len: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: nanos(stat.st_mtime, stat.st_mtime_nsec),
            ctime: nanos(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
        }
    }
}
