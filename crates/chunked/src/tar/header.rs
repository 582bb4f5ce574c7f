//! One 512-byte header block: v7, ustar, star and GNU.

use super::Invalid;

/// Bytes of a tar block; headers and payloads are padded to it.
pub const BLOCK_LEN: usize = 512;

const CHECKSUM: std::ops::Range<usize> = 148..156;

/// The fields of a header block, before any extension overrides them.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) link_name: Vec<u8>,
    pub(super) mode: i64,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) size: i64,
    pub(super) modified: i64,
    pub(super) accessed: Option<i64>,
    pub(super) changed: Option<i64>,
    pub(super) typeflag: u8,
    pub(super) dev_major: i64,
    pub(super) dev_minor: i64,
}

enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK_LEN]) -> Result<Self, Invalid> {
        check_sum(block)?;
        let mut header = Self {
            name: text(&block[0..100]),
            link_name: text(&block[157..257]),
            mode: number(&block[100..108], "mode")?,
            uid: number(&block[108..116], "uid")?,
            gid: number(&block[116..124], "gid")?,
            size: number(&block[124..136], "size")?,
            modified: number(&block[136..148], "mtime")?,
            accessed: None,
            changed: None,
            typeflag: block[156],
            dev_major: 0,
            dev_minor: 0,
        };
        let format = Format::of(block);
        if !matches!(format, Format::V7) {
            header.dev_major = number(&block[329..337], "devmajor")?;
            header.dev_minor = number(&block[337..345], "devminor")?;
        }
        match format {
            Format::V7 => {}
            Format::Ustar => header.prefix(text(&block[345..500])),
            Format::Star => {
                header.accessed = Some(number(&block[476..488], "atime")?);
                header.changed = Some(number(&block[488..500], "ctime")?);
                header.prefix(text(&block[345..476]));
            }
            Format::Gnu => header.gnu_times(block),
        }
        Ok(header)
    }

    fn prefix(&mut self, prefix: Vec<u8>) {
        if !prefix.is_empty() {
            let name = std::mem::replace(&mut self.name, prefix);
            self.name.push(b'/');
            self.name.extend(name);
        }
    }

    /// Reads the times that GNU tar keeps where ustar keeps the prefix. Go's writer once put an ASCII prefix there under
    /// the GNU magic; such a prefix is no number, and is then taken for the prefix it is.
    fn gnu_times(&mut self, block: &[u8; BLOCK_LEN]) {
        let time = |field: &[u8]| match field.first() {
            None | Some(0) => Ok(None),
            Some(_) => number(field, "time").map(Some),
        };
        match (time(&block[345..357]), time(&block[357..369])) {
            (Ok(accessed), Ok(changed)) => (self.accessed, self.changed) = (accessed, changed),
            _ => {
                let prefix = text(&block[345..500]);
                if prefix.is_ascii() {
                    self.prefix(prefix);
                }
            }
        }
    }
}

impl Format {
    fn of(block: &[u8; BLOCK_LEN]) -> Self {
        match &block[257..265] {
            b"ustar  \0" => Self::Gnu,
            magic if magic.starts_with(b"ustar\0") => match &block[508..512] {
                b"tar\0" => Self::Star,
                _ => Self::Ustar,
            },
            _ => Self::V7,
        }
    }
}

/// Compares the checksum with the bytes summed as unsigned or, as some old writers did, as signed numbers.
fn check_sum(block: &[u8; BLOCK_LEN]) -> Result<(), Invalid> {
    let found = octal(&block[CHECKSUM]).ok_or(Invalid::Number("chksum"))?;
    // The field itself counts as spaces. Whole blocks are summed first: that takes vector instructions.
    let [all, field] = [block.as_slice(), &block[CHECKSUM]].map(sums);
    let spaces = i64::from(b' ') * CHECKSUM.len() as i64;
    let [unsigned, signed] = [all.0 - field.0 + spaces, all.1 - field.1 + spaces];
    if found == unsigned || found == signed {
        return Ok(());
    }
    Err(Invalid::Checksum { expected: unsigned.unsigned_abs(), found: found.unsigned_abs() })
}

/// Sums bytes, as unsigned and as signed numbers.
fn sums(bytes: &[u8]) -> (i64, i64) {
    let unsigned: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    let signed: i32 = bytes.iter().map(|byte| i32::from(byte.cast_signed())).sum();
    (unsigned.into(), signed.into())
}

/// Takes the bytes before the first NUL.
fn text(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// Reads a number: octal digits between spaces and NULs, or two's complement when the first bit is set.
pub(super) fn number(field: &[u8], name: &'static str) -> Result<i64, Invalid> {
    let value = match field.first() {
        Some(first) if first & 0x80 != 0 => base256(field),
        _ => octal(field),
    };
    value.ok_or(Invalid::Number(name))
}

fn octal(field: &[u8]) -> Option<i64> {
    let filler = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !filler(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !filler(byte)).map_or(start, |last| last.saturating_add(1));
    let digits = field.get(start..end)?;
    let digits = digits.split(|byte| *byte == 0).next()?;
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn base256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let negative = first & 0x40 != 0;
    let flip = if negative { 0xff } else { 0 };
    let start = u64::from((first ^ flip) & 0x7f);
    let value = rest
        .iter()
        .try_fold(start, |value, byte| (value >> 56 == 0).then(|| value << 8 | u64::from(byte ^ flip)))?;
    let value = i64::try_from(value).ok()?;
    Some(if negative { !value } else { value })
}
