use std::borrow::Cow;
use std::io::{BufRead, Read};

use super::row::Row;
use super::{Invalid, Problem};
use crate::error::Error;
use crate::limits::Limits;

/// One record of a tar-split stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// Raw bytes of the tar: padding and one header, or what follows the last member. Some writers end with an empty one.
    Segment(&'a [u8]),
    /// One member of the tar, whatever its type.
    File {
        /// The name in the tar, not normalized.
        name: Cow<'a, [u8]>,
        /// The size in the header: bytes of content that follow in the tar.
        len: u64,
        /// The [`Crc64`](super::Crc64) of the content; `None` when there is none.
        crc64: Option<u64>,
    },
}

/// Reads a tar-split stream record by record.
///
/// Memory is bounded by [`Limits::tar_split_record_len`], about twice over. Fields that are not known are skipped. After an
/// error the position in the stream is undefined.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    limits: Limits,
    line: Vec<u8>,
    payload: Vec<u8>,
    records: u64,
    bytes: u64,
}

impl<R: BufRead> Reader<R> {
    /// Starts at the first record of the decompressed stream `input`.
    pub fn new(input: R, limits: &Limits) -> Self {
        Self { input, limits: *limits, line: Vec::new(), payload: Vec::new(), records: 0, bytes: 0 }
    }

    /// Reads the next record; `None` at the end of the stream.
    ///
    /// # Errors
    /// [`Error::Read`] when the input fails, [`Error::TarSplit`] when the record is malformed or out of order.
    pub fn read(&mut self) -> Result<Option<Record<'_>>, Error> {
        let record = self.records;
        let invalid = |problem| Error::TarSplit(Invalid { record, problem });
        if !self.read_line()? {
            return Ok(None);
        }
        let row: Row<'_> = serde_json::from_slice(&self.line).map_err(|error| invalid(malformed(&error)))?;
        if row.position != record {
            return Err(invalid(Problem::Position(row.position)));
        }
        self.records = record.saturating_add(1);
        let record = row.decode(&mut self.payload).map_err(invalid)?;
        match &record {
            Record::File { name, .. } if name.len() as u64 > self.limits.string_len => {
                Err(invalid(Problem::NameTooLong { len: name.len(), limit: self.limits.string_len }))
            }
            _ => Ok(Some(record)),
        }
    }

    /// Counts the records read.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Counts the bytes of the records read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the next line into `line`; tells whether there was one.
    fn read_line(&mut self) -> Result<bool, Error> {
        let limit = self.limits.tar_split_record_len;
        self.line.clear();
        let read = |source| Error::Read { what: "the tar-split", source };
        let len = Read::take(&mut self.input, limit.saturating_add(1)).read_until(b'\n', &mut self.line);
        let len = len.map_err(read)? as u64;
        let invalid = |problem| Err(Error::TarSplit(Invalid { record: self.records, problem }));
        if len > limit {
            return invalid(Problem::RecordTooLong { limit });
        }
        self.bytes = self.bytes.saturating_add(len);
        if self.bytes > self.limits.tar_split_len {
            return invalid(Problem::StreamTooLong { limit: self.limits.tar_split_len });
        }
        Ok(len > 0)
    }
}

/// Words an error of the JSON parser, which may quote the input at length.
fn malformed(error: &serde_json::Error) -> Problem {
    Problem::Json(error.to_string().chars().take(150).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tar_split::{Crc64, Writer};

    fn read_all(stream: &[u8], limits: &Limits) -> Result<Vec<Record<'static>>, Error> {
        let mut reader = Reader::new(stream, limits);
        let mut records = Vec::new();
        while let Some(record) = reader.read()? {
            records.push(match record {
                Record::Segment(bytes) => Record::Segment(bytes.to_vec().leak()),
                Record::File { name, len, crc64 } => {
                    Record::File { name: Cow::Owned(name.into_owned()), len, crc64 }
                }
            });
        }
        Ok(records)
    }

    fn refusal(stream: &str) -> String {
        match read_all(stream.as_bytes(), &Limits::default()) {
            Ok(records) => format!("accepted: {records:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn record() -> impl Strategy<Value = Record<'static>> {
        let name = prop_oneof!["[ -~]{0,20}".prop_map(String::into_bytes), any::<Vec<u8>>()];
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..2000).prop_map(|bytes| Record::Segment(bytes.leak())),
            (name, any::<u64>(), any::<u64>()).prop_map(|(name, len, crc64)| Record::File {
                name: Cow::Owned(name),
                len,
                crc64: (len > 0).then_some(crc64),
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(records in prop::collection::vec(record(), 0..20)) {
            let mut writer = Writer::new(Vec::new());
            for record in &records {
                match record {
                    Record::Segment(bytes) => writer.segment(bytes).unwrap(),
                    Record::File { name, len, crc64 } => writer.file(name, *len, crc64.unwrap_or(7)).unwrap(),
                }
            }
            prop_assert_eq!(read_all(&writer.finish(), &Limits::default()).unwrap(), records);
        }

        #[test]
        fn no_input_panics(stream: Vec<u8>) {
            drop(read_all(&stream, &Limits::default()));
        }
    }

    #[test]
    fn variations_of_other_writers_are_read() {
        let stream = concat!(
            r#"{"position":0,"payload":"aGVhZGVy","type":2}"#,
            "\n",
            r#"{"type":1,"name":"a","size":6,"comment":{"nested":["]}"]},"payload":"YUw+7uLYEAA=","position":1}"#,
            "\r\n",
            r#"{"type":1,"name":"dir/","payload":"","position":2}"#,
            "\n",
            r#"{"type":1,"name":"caf\u00e9","position":3}"#,
            "\n",
            r#"{"type":2,"payload":"","position":4}"#,
        );
        let file =
            |name: &'static str, len, crc64| Record::File { name: Cow::from(name.as_bytes()), len, crc64 };
        assert_eq!(
            read_all(stream.as_bytes(), &Limits::default()).unwrap(),
            [
                Record::Segment(b"header"),
                file("a", 6, Some(Crc64::of(b"hello\n"))),
                file("dir/", 0, None),
                file("café", 0, None),
                Record::Segment(b""),
            ]
        );
    }

    #[test]
    fn malformed_records_are_refused() {
        let refusals = [
            "\n",
            "[]",
            "{",
            r#"{"type":2,"payload":"aGVh"#,
            r#"{"type":2,"payload":"aGVh","position":0}{}"#,
            r#"{"payload":"aGVh","position":0}"#,
            r#"{"type":2,"payload":"aGVh"}"#,
            r#"{"type":3,"payload":"aGVh","position":0}"#,
            r#"{"type":-2,"payload":"aGVh","position":0}"#,
            r#"{"type":2,"type":1,"payload":"aGVh","position":0}"#,
            r#"{"type":2,"payload":"aGVh","Payload":"aGVi","position":0}"#,
            r#"{"type":2,"payload":"aGVh","position":1}"#,
            r#"{"type":2,"payload":"aGV","position":0}"#,
            r#"{"type":2,"payload":"a\u0047Vh","position":0}"#,
            r#"{"type":2,"payload":[1],"position":0}"#,
            r#"{"type":1,"name":"a","size":1,"payload":null,"position":0}"#,
            r#"{"type":1,"name":"a","size":1,"payload":"aGVh","position":0}"#,
            r#"{"type":1,"name":"a","size":-1,"payload":null,"position":0}"#,
            r#"{"type":1,"name":"a","name_raw":"/w==","payload":null,"position":0}"#,
            r#"{"type":1,"name_raw":"?","payload":null,"position":0}"#,
        ];
        insta::assert_snapshot!(refusals.map(refusal).join("\n"), @r#"
        record 0 of the tar-split is malformed: EOF while parsing a value at line 2 column 0
        record 0 of the tar-split is malformed: invalid type: sequence, expected a JSON object at line 1 column 0
        record 0 of the tar-split is malformed: EOF while parsing an object at line 1 column 1
        record 0 of the tar-split is malformed: EOF while parsing a string at line 1 column 25
        record 0 of the tar-split is malformed: trailing characters at line 1 column 41
        record 0 of the tar-split is malformed: missing field `type` at line 1 column 31
        record 0 of the tar-split is malformed: missing field `position` at line 1 column 27
        record 0 of the tar-split has type 3, expected 1 for a file or 2 for a segment
        record 0 of the tar-split is malformed: invalid value: integer `-2`, expected u64 at line 1 column 10
        record 0 of the tar-split is malformed: duplicate field `type` at line 1 column 16
        record 0 of the tar-split is malformed: key `Payload` is not spelled `payload` at line 1 column 36
        record 0 of the tar-split has position 1
        record 0 of the tar-split has a `payload` that is not base64: DecodeError: Invalid padding
        record 0 of the tar-split is malformed: invalid type: string "aGVh", expected a borrowed string at line 1 column 31
        record 0 of the tar-split is malformed: invalid type: sequence, expected a borrowed string at line 1 column 20
        record 0 of the tar-split has a checksum of 0 bytes, expected 8
        record 0 of the tar-split has a checksum of 3 bytes, expected 8
        record 0 of the tar-split is malformed: invalid value: integer `-1`, expected u64 at line 1 column 30
        record 0 of the tar-split has both `name` and `name_raw`
        record 0 of the tar-split has a `name_raw` that is not base64: DecodeError: Invalid symbol 63, offset 0.
        "#);
    }

    #[test]
    fn limits_hold() {
        let row = r#"{"type":1,"name":"abc","payload":null,"position":0}"#;
        let refusal = |limits: Limits| read_all(row.as_bytes(), &limits).unwrap_err().to_string();
        let refusals = [
            refusal(Limits { tar_split_record_len: 50, ..Limits::default() }),
            refusal(Limits { tar_split_len: 50, ..Limits::default() }),
            refusal(Limits { string_len: 2, ..Limits::default() }),
        ];
        insta::assert_snapshot!(refusals.join("\n"), @"
        record 0 of the tar-split is longer than 50 bytes
        record 0 of the tar-split ends beyond the limit of 50 bytes
        record 0 of the tar-split has a name of 3 bytes, the limit is 2
        ");
    }

    #[test]
    fn an_error_quotes_little_of_the_input() {
        let row = format!(r#"{{"type":"{}","position":0}}"#, "\u{1b}x".repeat(5000));
        assert!(refusal(&row).len() < 300, "{}", refusal(&row));
        assert!(!refusal(&row).contains('\u{1b}'));
    }
}
