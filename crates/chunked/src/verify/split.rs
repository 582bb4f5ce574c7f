use std::io::BufRead;

use crate::audit::matches_header;
use crate::error::Error;
use crate::tar::Member;
use crate::tar_split::{Crc64, Invalid, Problem, Reader, Record, shorten};

/// Compares a tar-split stream with the tar it should rebuild, as the tar comes.
#[derive(Debug)]
pub(super) struct Split<R> {
    reader: Reader<R>,
    /// Bytes the stream should have.
    len: u64,
    /// The record that was read last.
    record: u64,
    /// What of its segment has not been met in the tar.
    segment: Vec<u8>,
    at: usize,
    /// Bytes of padding to come before the next header.
    padding: usize,
    /// The record that the header being compared begins in.
    header: Option<u64>,
    file: Option<File>,
}

#[derive(Debug)]
struct File {
    path: String,
    crc: Crc64,
    expected: Option<u64>,
}

enum Next {
    Segment,
    File { name: Vec<u8>, len: u64, crc64: Option<u64> },
    End,
}

impl<R: BufRead> Split<R> {
    /// Starts at the first record of a stream of `len` bytes, and the first byte of the tar.
    pub(super) fn new(reader: Reader<R>, len: u64) -> Self {
        Self { reader, len, record: 0, segment: Vec::new(), at: 0, padding: 0, header: None, file: None }
    }

    /// Compares the next bytes that are not content.
    pub(super) fn raw(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.end_file()?;
        while !bytes.is_empty() {
            let rest = self.segment.get(self.at..).unwrap_or_default();
            let len = rest.len().min(bytes.len());
            let (now, later) = bytes.split_at_checked(len).unwrap_or_default();
            if Some(now) != rest.get(..len) {
                return Err(self.invalid(Problem::OtherBytes));
            }
            self.at = self.at.saturating_add(len);
            if len > self.padding {
                self.header.get_or_insert(self.record);
            }
            self.padding = self.padding.saturating_sub(len);
            bytes = later;
            if len == 0 {
                match self.next()? {
                    Next::Segment => {}
                    Next::File { name, .. } => {
                        return Err(self.invalid(Problem::NoHeader { path: shorten(&name) }));
                    }
                    Next::End => return Err(self.invalid(Problem::Missing)),
                }
            }
        }
        Ok(())
    }

    /// Compares the next member, whose header was given as raw bytes.
    pub(super) fn member(&mut self, member: &Member) -> Result<(), Error> {
        if self.header.take().is_some_and(|begins_in| begins_in != self.record) {
            return Err(self.invalid(Problem::SplitHeader));
        }
        self.padding = member.padding_len();
        match self.next_after_segment()? {
            Next::Segment => Err(self.invalid(Problem::NoFile { path: shorten(&member.name) })),
            Next::End => Err(self.invalid(Problem::Missing)),
            Next::File { name, len, crc64 } => {
                matches_header(&name, len, Some(member)).map_err(|problem| self.invalid(problem))?;
                self.file = Some(File { path: shorten(&name), crc: Crc64::new(), expected: crc64 });
                Ok(())
            }
        }
    }

    /// Takes the next bytes of the member's content.
    pub(super) fn content(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file {
            file.crc.update(bytes);
        }
    }

    /// Compares the end of the tar.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.end_file()?;
        match self.next_after_segment()? {
            Next::End if self.reader.bytes() == self.len => Ok(()),
            Next::End => {
                Err(self.invalid(Problem::StreamLen { expected: self.len, found: self.reader.bytes() }))
            }
            _ => Err(self.invalid(Problem::Surplus)),
        }
    }

    /// Reads the next record that is not an empty segment, or stays at what is left of this one.
    fn next_after_segment(&mut self) -> Result<Next, Error> {
        loop {
            if self.at < self.segment.len() {
                return Ok(Next::Segment);
            }
            match self.next()? {
                Next::Segment => {}
                other => return Ok(other),
            }
        }
    }

    fn next(&mut self) -> Result<Next, Error> {
        self.record = self.reader.records();
        Ok(match self.reader.read()? {
            None => Next::End,
            Some(Record::File { name, len, crc64 }) => Next::File { name: name.into_owned(), len, crc64 },
            Some(Record::Segment(bytes)) => {
                self.segment.clear();
                self.segment.extend_from_slice(bytes);
                self.at = 0;
                Next::Segment
            }
        })
    }

    fn end_file(&mut self) -> Result<(), Error> {
        let Some(File { path, crc, expected }) = self.file.take() else { return Ok(()) };
        let found = crc.finish();
        match expected {
            Some(expected) if expected != found => {
                Err(self.invalid(Problem::ContentChecksum { path, expected, found }))
            }
            _ => Ok(()),
        }
    }

    fn invalid(&self, problem: Problem) -> Error {
        Error::TarSplit(Invalid { record: self.record, problem })
    }
}
