use super::findings::{Field, Findings};
use crate::entry::{Entry, EntryKind, Timestamp};
use crate::tar::Member;
use crate::tar_split::shorten;
use crate::toc::{instant, type_name};

/// How a TOC records what the tar says; depends on who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rules {
    /// containers/storage: every field as in the header.
    Exact,
    /// stargz-snapshotter: times are rounded to seconds; those of access and change are left out, so are sizes and device
    /// numbers where they mean nothing.
    Stargz,
}

/// Compares a row with the member of the same name. Under any rules a missing time, Go's zero time and the epoch are equal.
pub(super) fn compare(row: &Entry, member: &Member, rules: Rules, findings: &mut Findings) {
    let exact = rules == Rules::Exact;
    let kind = if member.sparse.is_some() { None } else { member.kind() };
    let mut pair = Pair { member, findings };
    pair.field(Field::Type, Some(row.kind), kind, |kind| word(*kind, member));
    pair.field(Field::LinkName, row.link_name.as_bytes(), &member.link_name, |name| quote(name));
    pair.field(Field::Mode, row.mode, member.mode, |mode| format!("0{mode:o}"));
    if exact || kind == Some(EntryKind::Regular) {
        pair.field(Field::Size, row.size, member.size, u64::to_string);
    }
    pair.field(Field::Uid, row.uid, member.uid, i64::to_string);
    pair.field(Field::Gid, row.gid, member.gid, i64::to_string);
    if exact {
        pair.field(Field::Modified, set(row.modified), set(Some(member.modified)), time);
        pair.field(Field::Accessed, set(row.accessed), set(member.accessed), time);
        pair.field(Field::Changed, set(row.changed), set(member.changed), time);
    } else {
        pair.field(Field::Modified, set(row.modified), set(rounded(member.modified)), time);
    }
    if exact || matches!(kind, Some(EntryKind::CharDevice | EntryKind::BlockDevice)) {
        pair.field(Field::DevMajor, row.dev_major, member.dev_major, i64::to_string);
        pair.field(Field::DevMinor, row.dev_minor, member.dev_minor, i64::to_string);
    }
    pair.xattrs(row);
}

struct Pair<'a> {
    member: &'a Member,
    findings: &'a mut Findings,
}

impl Pair<'_> {
    fn field<T: PartialEq>(&mut self, field: Field, toc: T, tar: T, show: impl Fn(&T) -> String) {
        if toc != tar {
            self.findings.add(&self.member.name, field, show(&toc), show(&tar));
        }
    }

    /// Names the first attribute that differs.
    fn xattrs(&mut self, row: &Entry) {
        let in_toc = |name: &[u8]| row.xattrs.get(str::from_utf8(name).ok()?);
        let in_tar = |name: &[u8]| self.member.xattrs.get(name);
        let names =
            row.xattrs.keys().map(String::as_bytes).chain(self.member.xattrs.keys().map(Vec::as_slice));
        let Some(name) = names.into_iter().find(|name| in_toc(name) != in_tar(name)) else { return };
        let show = |value: Option<&Vec<u8>>| match value {
            Some(value) => {
                format!("`{}={}`", shorten(name), shorten(value.escape_ascii().to_string().as_bytes()))
            }
            None => format!("without `{}`", shorten(name)),
        };
        self.findings.add(&self.member.name, Field::Xattrs, show(in_toc(name)), show(in_tar(name)));
    }
}

/// Takes a time that is set: the epoch and Go's zero time, 0001-01-01T00:00:00Z, stand for none.
fn set(time: Option<Timestamp>) -> Option<Timestamp> {
    time.filter(|time| !matches!(time, Timestamp { seconds: 0 | -62_135_596_800, nanoseconds: 0 }))
}

/// Rounds to a second, halves up; stargz-snapshotter takes the whole first second of 1970 for a time that is not set.
fn rounded(time: Timestamp) -> Option<Timestamp> {
    let seconds = time.seconds.saturating_add(i64::from(time.nanoseconds >= 500_000_000));
    (time.seconds != 0).then_some(Timestamp { seconds, nanoseconds: 0 })
}

fn time(time: &Option<Timestamp>) -> String {
    let Some(time) = time else { return "not set".into() };
    let mut text = Vec::new();
    match instant::write(&mut text, *time) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => format!("{} seconds after 1970", time.seconds),
    }
}

fn quote(bytes: &[u8]) -> String {
    format!("`{}`", shorten(bytes))
}

fn word(kind: Option<EntryKind>, member: &Member) -> String {
    match kind {
        Some(kind) => type_name(kind).into(),
        None if member.sparse.is_some() => "a sparse file".into(),
        None => format!("`{}`", member.typeflag.escape_ascii()),
    }
}
