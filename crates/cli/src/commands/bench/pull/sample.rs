//! An image that is made up, and its update: the same bytes on every machine.
//!
//! It has a layer of many small files of text, and one of programs. Each file of the update is as before, or changed by chance;
//! of the largest program a twentieth is new, and bytes were put in. All times are new, as after an ordinary build.

use std::collections::BTreeSet;
use std::io::{self, Write};

use tar::{Builder, EntryType, Header};

use super::plan::Random;

/// The file whose content makes the image ready: the program that its config names.
pub(super) const PROGRAM: &str = "usr/bin/program";

/// Files of the first layer, and the most bytes of one; many are far smaller.
const SMALL_FILES: usize = 3000;
const SMALL_LEN_MAX: usize = 24 << 10;
/// Libraries of the second layer, and bytes of each.
const LIBRARIES: usize = 16;
const LIBRARY_LEN: usize = 768 << 10;
/// Bytes of the program and of the largest library.
const PROGRAM_LEN: usize = 2 << 20;
const LARGEST_LEN: usize = 8 << 20;
/// Of so many files, one is changed by the update.
const CHANGED: usize = 12;

/// Which of the two images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Old,
    New,
}

/// An image that is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) version: Version,
    /// It is so many times smaller than it could be.
    pub(super) divisor: usize,
}

impl Sample {
    /// Makes one of the usual size.
    pub(super) fn new(version: Version) -> Self {
        Self { version, divisor: 1 }
    }
}

/// Writes the tar of a layer, the lowest is 0; `None` when there is none.
pub(super) fn layer(sample: Sample, number: usize, out: &mut dyn Write) -> Option<io::Result<()>> {
    let write: fn(&mut Layer<'_>) -> io::Result<()> = match number {
        0 => small_files,
        1 => programs,
        _ => return None,
    };
    let mut layer = Layer { tar: Builder::new(out), sample, directories: BTreeSet::new() };
    Some(write(&mut layer).and_then(|()| layer.tar.finish()))
}

fn small_files(layer: &mut Layer<'_>) -> io::Result<()> {
    let mut random = Random(11);
    for number in 0..SMALL_FILES / layer.sample.divisor {
        // The product of two numbers is small more often than large.
        let len = random.below(SMALL_LEN_MAX) * random.below(SMALL_LEN_MAX) / SMALL_LEN_MAX + 32;
        let seed = layer.seed(number, &mut random);
        let name = format!("usr/lib/python3/package{}/module{number}.py", number / 40);
        layer.file(&name, 0o644, &text(seed, len))?;
    }
    Ok(())
}

fn programs(layer: &mut Layer<'_>) -> io::Result<()> {
    let mut random = Random(12);
    layer.file(PROGRAM, 0o755, &code(1, PROGRAM_LEN))?;
    for number in 0..LIBRARIES / layer.sample.divisor {
        let seed = layer.seed(100 + number, &mut random);
        layer.file(&format!("usr/lib/lib{number}.so"), 0o644, &code(seed, LIBRARY_LEN))?;
    }
    let len = LARGEST_LEN / layer.sample.divisor;
    let mut largest = code(2, len);
    if layer.sample.version == Version::New {
        largest.splice(len / 2..len / 2 + len / 20, code(3, len / 20 + 1000));
    }
    layer.file("usr/lib/liblargest.so", 0o644, &largest)
}

struct Layer<'a> {
    tar: Builder<&'a mut dyn Write>,
    sample: Sample,
    directories: BTreeSet<String>,
}

impl Layer<'_> {
    /// Chooses what is in a file: in the update, something else now and then.
    fn seed(&self, number: usize, random: &mut Random) -> u64 {
        let is_changed = random.below(CHANGED) == 0 && self.sample.version == Version::New;
        1000 + number as u64 + if is_changed { 1_000_000 } else { 0 }
    }

    /// Adds a file, and the directories above it that are not there yet.
    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        for (end, _) in path.match_indices('/') {
            let above = path.get(..=end).unwrap_or_default();
            if self.directories.insert(above.to_owned()) {
                self.entry(above, EntryType::Directory, 0o755, &[])?;
            }
        }
        self.entry(path, EntryType::Regular, mode, bytes)
    }

    fn entry(&mut self, path: &str, kind: EntryType, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(match self.sample.version {
            Version::Old => 1_700_000_000,
            Version::New => 1_702_000_000,
        });
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, path, bytes)
    }
}

/// Makes text that compresses to about a third.
fn text(seed: u64, len: usize) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "return", "self", "def", "import", "from", "None", "value", "result", "index", "name", "path", "if",
        "else", "for", "in", "raise", "yield", "lambda", "class", "while", "assert", "with", "except",
        "pass",
    ];
    let mut random = Random(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1);
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        let number = random.next();
        let word = WORDS.get(number as usize % WORDS.len()).unwrap_or(&"");
        bytes.extend_from_slice(word.as_bytes());
        match number >> 32 & 7 {
            0 => bytes.extend_from_slice(format!("_{}", number >> 48).as_bytes()),
            1 => bytes.extend_from_slice(b"\n    "),
            _ => bytes.push(b' '),
        }
    }
    bytes.truncate(len);
    bytes
}

/// Makes bytes that compress to about a half, as those of programs do.
fn code(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        let number = random.next();
        let opcode = [0x48, 0x8b, (number & 7) as u8, (number >> 8 & 3) as u8];
        bytes.extend_from_slice(&opcode);
        bytes.extend_from_slice(&(number >> 40 & 0xFF_FFFF).to_le_bytes()[..3]);
    }
    bytes.truncate(len);
    bytes
}

#[cfg(test)]
mod tests {
    use chunked::DiffId;

    use super::*;

    fn tar(version: Version, number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        layer(Sample::new(version), number, &mut bytes).unwrap().unwrap();
        bytes
    }

    #[test]
    fn the_image_is_the_same_everywhere() {
        let facts = |version| {
            [0, 1].map(|number| {
                let tar = tar(version, number);
                (tar.len(), DiffId::of(&tar).to_string())
            })
        };
        insta::assert_debug_snapshot!([facts(Version::Old), facts(Version::New)], @r#"
        [
            [
                (
                    20823552,
                    "sha256:9ce8527a713c5b04051e8e9d4952b4c547e4ff6128ee1aa31f3d03faa26b1b9f",
                ),
                (
                    33570304,
                    "sha256:709c9cec96db04fef1eec2fb255482448b0b9342c2ef286629047c3ffdddb863",
                ),
            ],
            [
                (
                    20823552,
                    "sha256:9d481e337582bd53ebb982cb06e52d14efecb760a5a30f8d2430c87f16442b60",
                ),
                (
                    33571328,
                    "sha256:648906cbee5d754043a40b4b59d9ef2d4c93f07ba0c10ee2a41c76b82e441c96",
                ),
            ],
        ]
        "#);
        assert!(layer(Sample::new(Version::Old), 2, &mut io::sink()).is_none());
    }
}
