//! Whether a layer's descriptions of itself agree: the TOC, the headers in the tar-split, the tar.
//!
//! A layer that tells clients with a TOC one story and clients without another could hide what it installs. So every
//! member of the tar must have exactly one row of the TOC, equal in everything that both record, and the reverse.

mod compare;
mod findings;
mod replay;
mod rows;

use std::borrow::Borrow;
use std::io::{BufRead, Read};

pub use compare::Rules;
pub use findings::{Disagreement, Field, Findings, Inconsistent};
pub use replay::{Piece, replay};
pub use rows::Auditor;

use crate::entry::Entry;
use crate::error::Error;
use crate::limits::Limits;
use crate::tar::{Event, Member, Walk};
use crate::tar_split::{Problem, Reader, shorten};

/// Compares the rows of a TOC with the headers in a tar-split stream, and each header with the record that follows it.
///
/// Rows are best in tar order: memory grows with the number of rows by which one is off its place.
///
/// # Errors
/// [`Error::TarSplit`] when the stream itself is malformed or does not describe a tar.
pub fn tar_split<E, R>(
    reader: &mut Reader<R>,
    rows: impl IntoIterator<Item = E>,
    rules: Rules,
    limits: &Limits,
) -> Result<Findings, Error>
where
    E: Borrow<Entry>,
    R: BufRead,
{
    replay(reader, rows, rules, limits, |_| Ok(()))
}

/// Checks the record of a file against the header that came before it.
pub(crate) fn matches_header(name: &[u8], len: u64, header: Option<&Member>) -> Result<(), Problem> {
    let path = || shorten(name);
    match header {
        None => Err(Problem::NoHeader { path: path() }),
        Some(member) if member.name != name => {
            Err(Problem::OtherName { path: path(), expected: shorten(&member.name) })
        }
        Some(member) if member.payload_len() != len => {
            Err(Problem::OtherLen { path: path(), len, expected: member.payload_len() })
        }
        Some(_) => Ok(()),
    }
}

/// Compares the rows of a TOC with the members of a tar.
///
/// # Errors
/// [`Error::Read`] when `tar` fails, [`Error::Tar`] when it is no tar.
pub fn tar<E: Borrow<Entry>>(
    mut tar: impl Read,
    rows: impl IntoIterator<Item = E>,
    rules: Rules,
    limits: &Limits,
) -> Result<Findings, Error> {
    let mut auditor = Auditor::new(rows, rules);
    let mut walk = Walk::new(limits);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match tar.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Error::Read { what: "the tar", source }),
        };
        let mut bytes = buffer.get(..count).unwrap_or_default();
        while let Some(event) = walk.step(&mut bytes)? {
            if let Event::Member(member) = event {
                let _row = auditor.member(&member);
            }
        }
    }
    walk.finish()?;
    Ok(auditor.finish())
}

#[cfg(test)]
pub(crate) mod tests;
