//! A file that lists images to mirror.
//!
//! One image a line, with globs in its tag, and behind it the platforms if they are not those of all others:
//!
//! ```text
//! # what the cluster runs
//! quay.io/team/app:1.*
//! docker.io/library/debian:bookworm-????????  linux/amd64 linux/arm64
//! oci:images:base
//! ```

use std::fmt;

use crate::error::shorten;
use crate::name::Name;
use crate::platform::{self, Selector};
use crate::reference::{self, Reference};

/// Longest list in bytes.
pub const LIST_LEN_MAX: u64 = 4 << 20;
/// Most images in a list.
const LINES_MAX: usize = 20_000;

/// Names what is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// An image is malformed.
    #[error("line {line}: `{text}` is not an image")]
    Image {
        /// The line, from 1.
        line: usize,
        /// What it says.
        text: String,
        /// What is wrong with it.
        source: reference::Invalid,
    },
    /// A glob is where none can be.
    #[error("line {line}: `{text}` has a glob outside the tag of a registry's image")]
    Glob {
        /// The line, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// A platform is malformed.
    #[error("line {line}: {source}")]
    Platform {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: platform::Invalid,
    },
    /// The list is too long.
    #[error("it lists more than {0} images")]
    TooLong(usize),
    /// There is nothing in the list.
    #[error("it lists no image")]
    Empty,
    /// The names of images do not make places at the destination.
    #[error("`{place}` is no place for an image")]
    Place {
        /// Where the image would go.
        place: String,
        /// What is wrong with it.
        source: reference::Invalid,
    },
    /// A glob fits no tag.
    #[error("no tag of `{repository}` fits `{glob}`")]
    NoTag {
        /// The repository.
        repository: String,
        /// The glob.
        glob: String,
    },
    /// The destination holds one image only.
    #[error("`{0}` cannot hold several images, expected `HOST[/PREFIX]` or `oci:DIR`")]
    Base(String),
}

/// Images that a line lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which images.
    pub images: Images,
    /// The platforms, if not those of all others.
    pub platforms: Vec<Selector>,
}

/// Which images a line lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Images {
    /// One.
    One(Reference),
    /// Those of a repository whose tags fit a glob.
    Tags(Name, Glob),
}

/// A pattern for tags: `*` stands for anything, `?` for one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Tells whether a tag fits.
    pub fn matches(&self, tag: &str) -> bool {
        fits(self.0.as_bytes(), tag.as_bytes())
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Compares without recursion: after a mismatch only the last `*` takes one more.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(read) {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, read));
                at = at.saturating_add(1);
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                at = at.saturating_add(1);
                read = read.saturating_add(1);
            }
            _ => {
                let Some((star, taken)) = last_star else { return false };
                let taken = taken.saturating_add(1);
                last_star = Some((star, taken));
                (at, read) = (star.saturating_add(1), taken);
            }
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// Reads a list.
///
/// # Errors
/// [`Invalid`] with the line and what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Line>, Invalid> {
    let mut lines = Vec::new();
    for (position, text) in text.lines().enumerate() {
        let text = text.split('#').next().unwrap_or_default();
        let mut words = text.split_whitespace();
        let Some(image) = words.next() else { continue };
        if lines.len() == LINES_MAX {
            return Err(Invalid::TooLong(LINES_MAX));
        }
        let line = position.saturating_add(1);
        let platforms = words.map(|word| word.parse().map_err(|source| Invalid::Platform { line, source }));
        lines.push(Line { images: images(image, line)?, platforms: platforms.collect::<Result<_, _>>()? });
    }
    if lines.is_empty() { Err(Invalid::Empty) } else { Ok(lines) }
}

/// Reads a list of platforms, one a line.
///
/// # Errors
/// [`Invalid`] with the line and what is wrong with it.
pub fn parse_platforms(text: &str) -> Result<Vec<Selector>, Invalid> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).enumerate();
    let platforms = lines.filter(|(_, text)| !text.is_empty()).map(|(position, text)| {
        let line = position.saturating_add(1);
        text.parse().map_err(|source| Invalid::Platform { line, source })
    });
    platforms.collect()
}

fn images(text: &str, line: usize) -> Result<Images, Invalid> {
    let is_glob = |text: &str| text.contains(['*', '?']);
    let invalid = |source| Invalid::Image { line, text: shorten(text), source };
    if !is_glob(text) {
        return text.parse().map(Images::One).map_err(invalid);
    }
    let misplaced = || Invalid::Glob { line, text: shorten(text) };
    let (repository, tag) = text.rsplit_once(':').ok_or_else(misplaced)?;
    if is_glob(repository) || !tag.bytes().all(is_of_glob) {
        return Err(misplaced());
    }
    match repository.parse().map_err(invalid)? {
        Reference::Registry(name) if name.digest().is_none() => Ok(Images::Tags(name, Glob(tag.to_owned()))),
        _ => Err(misplaced()),
    }
}

fn is_of_glob(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-*?".contains(&byte)
}

/// Returns where an image goes below `base`, such as `mirror.local:5000/hub` or `oci:DIR`: in a registry to the repository
/// of the same name, in a layout under its full name.
///
/// # Errors
/// [`Invalid::Place`] when that is no place for an image, [`Invalid::Base`] when `base` is one for a single image.
pub fn place(base: &str, image: &Name) -> Result<Reference, Invalid> {
    let base = base.trim_end_matches('/');
    let which = match (image.tag(), image.digest()) {
        (Some(tag), _) => format!(":{tag}"),
        (None, Some(digest)) => format!("@{digest}"),
        (None, None) => String::new(),
    };
    let place = match base.strip_prefix("oci:") {
        Some(_) => format!("{base}:{}/{}{which}", image.host(), image.repository()),
        None => format!("{base}/{}{which}", image.repository()),
    };
    match place.parse().map_err(|source| Invalid::Place { place: shorten(&place), source })? {
        place @ (Reference::Registry(_) | Reference::OciLayout { .. }) => Ok(place),
        _ => Err(Invalid::Base(shorten(base))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs_fit_tags() {
        let cases = [
            ("1.*", "1.2", true),
            ("1.*", "2.1", false),
            ("*", "", true),
            ("*-alpine", "3.1-alpine", true),
            ("*-alpine", "alpine", false),
            ("v?.*.?", "v1.22.3", true),
            ("v?.*.?", "v1.22.33", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
        ];
        for (glob, tag, expected) in cases {
            assert_eq!(Glob(glob.to_owned()).matches(tag), expected, "{glob} {tag}");
        }
    }

    #[test]
    fn lines_are_images_and_platforms() {
        let lines =
            parse("# all\n\nquay.io/a/b:1.* linux/arm64  # edge\n  oci:dir:x\nh.io:5000/c\n").unwrap();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].images, Images::Tags("quay.io/a/b".parse().unwrap(), Glob("1.*".to_owned())));
        assert_eq!(lines[0].platforms, ["linux/arm64".parse().unwrap()]);
        assert_eq!(lines[2].images, Images::One("h.io:5000/c".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(message("\nA b"), @"line 2: `A` is not an image");
        insta::assert_snapshot!(message("a:1 arm64"), @"line 1: platform `arm64` is not of the form `os/arch[/variant][,os.version][+feature]`");
        insta::assert_snapshot!(message("quay.io/*/b:1"), @"line 1: `quay.io/*/b:1` has a glob outside the tag of a registry's image");
        insta::assert_snapshot!(message("oci:dir:1*"), @"line 1: `oci:dir:1*` has a glob outside the tag of a registry's image");
        insta::assert_snapshot!(message("# nothing"), @"it lists no image");
    }

    #[test]
    fn images_keep_their_names_below_the_destination() {
        let at = |base: &str, name: &str| place(base, &name.parse().unwrap()).map(|place| place.to_string());
        assert_eq!(at("localhost:5000", "debian:12").unwrap(), "docker://localhost:5000/library/debian:12");
        assert_eq!(at("docker://h.io/hub/", "quay.io/a/b").unwrap(), "docker://h.io/hub/a/b:latest");
        assert_eq!(at("oci:dir", "quay.io/a/b:1").unwrap(), "oci:dir:quay.io/a/b:1");
        assert!(at("oci-archive:x.tar", "a").is_err() && at("./x", "a").is_err());
    }

    proptest! {
        #[test]
        fn any_list_parses_or_fails(text in "\\PC{0,80}") {
            let _lines = parse(&text);
        }

        #[test]
        fn a_star_fits_every_way_to_fill_it(start in "[a-z]{0,5}", middle in "[a-z*]{0,9}", end in "[a-z]{0,5}") {
            let glob = Glob(format!("{start}*{end}"));
            let tag = format!("{start}{middle}{end}");
            prop_assert!(glob.matches(&tag));
        }
    }
}
