use std::borrow::Borrow;
use std::io::BufRead;

use super::{Auditor, Findings, Rules, matches_header};
use crate::entry::Entry;
use crate::error::Error;
use crate::limits::Limits;
use crate::tar::{BLOCK_LEN, Event, Member, Walk};
use crate::tar_split::{Invalid, Problem, Reader, Record, shorten};

/// A stretch of the tar that a tar-split stream describes.
#[derive(Debug)]
pub enum Piece<'a, E> {
    /// Bytes of headers, of padding, or after the last member.
    Raw(&'a [u8]),
    /// The content of a member, at least one byte; the stream does not hold it.
    Content {
        /// The member's row of the TOC, where there is one.
        row: Option<E>,
        /// Bytes of content.
        len: u64,
    },
}

/// Walks through the tar that a tar-split stream describes, hands out its stretches in order, and compares the rows of a
/// TOC with its headers on the way.
///
/// Rows are best in tar order: memory grows with the number of rows by which one is off its place.
///
/// # Errors
/// [`Error::TarSplit`] when the stream itself is malformed or does not describe a tar, and whatever `hand` answers.
pub fn replay<E, R>(
    reader: &mut Reader<R>,
    rows: impl IntoIterator<Item = E>,
    rules: Rules,
    limits: &Limits,
    mut hand: impl FnMut(Piece<'_, E>) -> Result<(), Error>,
) -> Result<Findings, Error>
where
    E: Borrow<Entry>,
    R: BufRead,
{
    let mut auditor = Auditor::new(rows, rules);
    let mut walk = Walk::new(limits);
    let mut awaited: Option<(Box<Member>, Option<E>)> = None;
    loop {
        let record = reader.records();
        let invalid = |problem| Error::TarSplit(Invalid { record, problem });
        match reader.read()? {
            None => break,
            Some(Record::Segment(mut bytes)) => {
                let is_zeros = bytes.len() % BLOCK_LEN == 0 && bytes.iter().all(|byte| *byte == 0);
                if walk.has_ended() && !is_zeros {
                    return Err(invalid(Problem::AfterEnd));
                }
                hand(Piece::Raw(bytes))?;
                while let Some(event) = walk.step(&mut bytes).map_err(Problem::Tar).map_err(invalid)? {
                    if let Some((member, _)) = &awaited {
                        return Err(invalid(Problem::NoFile { path: shorten(&member.name) }));
                    }
                    if let Event::Member(member) = event {
                        let row = auditor.member(&member);
                        awaited = Some((member, row));
                    }
                }
                if walk.is_inside_header() {
                    return Err(invalid(Problem::SplitHeader));
                }
            }
            Some(Record::File { name, len, .. }) => {
                let (member, row) = awaited.take().unzip();
                matches_header(&name, len, member.as_deref()).map_err(invalid)?;
                walk.skip_content();
                if len > 0 {
                    hand(Piece::Content { row: row.flatten(), len })?;
                }
            }
        }
    }
    let problem = match awaited {
        Some((member, _)) => Err(Problem::NoFile { path: shorten(&member.name) }),
        None => walk.finish().map_err(Problem::Tar),
    };
    problem.map_err(|problem| Error::TarSplit(Invalid { record: reader.records(), problem }))?;
    Ok(auditor.finish())
}
