//! Where an image is: a transport and a place, written as people know it from skopeo.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::shorten;
use crate::name::{self, Name};

/// Transports of other tools; a bare name that starts like one of them is a mistake, not an image of that name.
const FOREIGN_TRANSPORTS: [&str; 7] =
    ["containers-storage", "dir", "docker-daemon", "ostree", "sif", "tarball", "atomic"];

/// Endings that make a word without a transport a file: those of tar files and of what compresses them.
const FILE_ENDINGS: [&str; 7] = [".tar", ".gz", ".tgz", ".zst", ".zstd", ".tzst", ".blob"];

/// Names what is wrong with a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The image's name in a registry is malformed.
    #[error("`{text}` is not an image name")]
    Name {
        /// The name as given.
        text: String,
        /// What is wrong with it.
        source: name::Invalid,
    },
    /// The transport is one of another tool.
    #[error(
        "transport `{0}:` is not supported, expected `docker://`, `oci:`, `oci-archive:` or `docker-archive:`"
    )]
    Transport(String),
    /// There is no path after the transport.
    #[error("`{0}` names no path")]
    NoPath(String),
    /// The tag of a layout breaks the grammar of OCI reference names.
    #[error("tag `{0}` is not letters and digits, separated by single `-`, `.`, `_`, `:`, `@`, `+` or `/`")]
    Tag(String),
    /// The number of an image in an archive is not a number.
    #[error("`@{0}` is not the number of an image in the archive, counted from 0")]
    Position(String),
    /// The word is a path where an image is expected.
    #[error("`{0}` is a path, expected an image such as `oci:{0}` or `oci-archive:{0}`")]
    Path(String),
}

/// Where an image is.
///
/// | written | means |
/// |---|---|
/// | `docker://NAME`, or a bare name | an image in a registry |
/// | `oci:DIR[:TAG]` | an OCI image layout |
/// | `oci-archive:FILE[:TAG]` | a tar of an OCI image layout |
/// | `docker-archive:FILE[:NAME]`, `docker-archive:FILE[:@N]` | a tar as `docker save` writes it |
///
/// Paths end at the first colon, so they cannot contain one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// An image in a registry.
    Registry(Name),
    /// An image in an OCI layout.
    OciLayout {
        /// The layout's directory.
        dir: PathBuf,
        /// The image's `org.opencontainers.image.ref.name`; `None` means the only one there is.
        tag: Option<String>,
    },
    /// An image in a tar of an OCI layout.
    OciArchive {
        /// The tar.
        file: PathBuf,
        /// The image's `org.opencontainers.image.ref.name`; `None` means the only one there is.
        tag: Option<String>,
    },
    /// An image in a tar as `docker save` writes it.
    DockerArchive {
        /// The tar.
        file: PathBuf,
        /// Which of its images; `None` means the only one there is.
        image: Option<ArchiveImage>,
    },
}

/// Picks one image of a Docker archive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ArchiveImage {
    /// By one of its names.
    Name(Name),
    /// By its position, from 0.
    Position(usize),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(name) => write!(f, "docker://{name}"),
            Self::OciLayout { dir, tag } => write_place(f, "oci", dir, tag.as_ref()),
            Self::OciArchive { file, tag } => write_place(f, "oci-archive", file, tag.as_ref()),
            Self::DockerArchive { file, image } => write_place(f, "docker-archive", file, image.as_ref()),
        }
    }
}

impl fmt::Display for ArchiveImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Position(position) => write!(f, "@{position}"),
        }
    }
}

fn write_place(
    f: &mut fmt::Formatter<'_>,
    transport: &str,
    path: &Path,
    image: Option<&impl fmt::Display>,
) -> fmt::Result {
    write!(f, "{transport}:{}", path.display())?;
    image.map_or(Ok(()), |image| write!(f, ":{image}"))
}

impl FromStr for Reference {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(name) = text.strip_prefix("docker://") {
            // As with skopeo, this is the full name.
            return parse_name(name).map(Name::full).map(Self::Registry);
        }
        match text.split_once(':') {
            Some(("oci", place)) => {
                let (dir, tag) = parse_layout_place(text, place)?;
                Ok(Self::OciLayout { dir, tag })
            }
            Some(("oci-archive", place)) => {
                let (file, tag) = parse_layout_place(text, place)?;
                Ok(Self::OciArchive { file, tag })
            }
            Some(("docker-archive", place)) => {
                let (file, image) = split_place(text, place)?;
                Ok(Self::DockerArchive { file, image: image.map(str::parse).transpose()? })
            }
            Some((transport, _)) if FOREIGN_TRANSPORTS.contains(&transport) => {
                Err(Invalid::Transport(transport.to_owned()))
            }
            _ if looks_like_path(text) => Err(Invalid::Path(shorten(text))),
            _ => parse_name(text).map(Self::Registry),
        }
    }
}

impl FromStr for ArchiveImage {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.strip_prefix('@') {
            Some(position) => {
                position.parse().map(Self::Position).map_err(|_| Invalid::Position(shorten(position)))
            }
            None => parse_name(text).map(Self::Name),
        }
    }
}

fn parse_name(text: &str) -> Result<Name, Invalid> {
    text.parse().map_err(|source| Invalid::Name { text: shorten(text), source })
}

fn parse_layout_place(text: &str, place: &str) -> Result<(PathBuf, Option<String>), Invalid> {
    let (path, tag) = split_place(text, place)?;
    if let Some(tag) = tag.filter(|tag| !is_ref_name(tag)) {
        return Err(Invalid::Tag(shorten(tag)));
    }
    Ok((path, tag.map(str::to_owned)))
}

fn split_place<'a>(text: &str, place: &'a str) -> Result<(PathBuf, Option<&'a str>), Invalid> {
    let (path, image) = match place.split_once(':') {
        Some((path, image)) => (path, Some(image)),
        None => (place, None),
    };
    if path.is_empty() {
        return Err(Invalid::NoPath(shorten(text)));
    }
    Ok((PathBuf::from(path), image))
}

/// Checks the grammar of `org.opencontainers.image.ref.name` (OCI image-spec, annotations.md).
fn is_ref_name(tag: &str) -> bool {
    let is_separator =
        |text: &str| text == "--" || (text.len() <= 1 && text.bytes().all(|byte| b"-._:@+".contains(&byte)));
    tag.split('/').all(|component| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        edge(component.bytes().next())
            && edge(component.bytes().last())
            && component.split(|c: char| c.is_ascii_alphanumeric()).all(is_separator)
    })
}

/// What a verb is pointed at: an image, or a single layer.
///
/// The decision looks at the text only, never at the disk, so that a command means the same everywhere:
///
/// 1. `-` is standard input or output.
/// 2. A word with a transport is an image.
/// 3. A word that starts with `/`, `./` or `../`, or that ends like a tar or a compressed file (`.tar`, `.gz`, `.tgz`,
///    `.zst`, `.zstd`, `.tzst`, `.blob`), is a file with one layer.
/// 4. Everything else is the name of an image in a registry. A file of such a name is written `./NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// Standard input or output, with one layer.
    Stream,
    /// A file with one layer.
    File(PathBuf),
    /// An image.
    Image(Reference),
}

impl FromStr for Operand {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            _ if text == "-" => Ok(Self::Stream),
            Ok(reference) => Ok(Self::Image(reference)),
            Err(Invalid::Path(_)) => Ok(Self::File(PathBuf::from(text))),
            Err(invalid) => Err(invalid),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
            Self::Image(reference) => reference.fmt(f),
        }
    }
}

fn looks_like_path(text: &str) -> bool {
    let starts = ["/", "./", "../"].iter().any(|start| text.starts_with(start));
    starts || matches!(text, "." | "..") || FILE_ENDINGS.iter().any(|ending| text.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn transports_are_told_apart() {
        assert_eq!(parse("oci:/a/b"), Reference::OciLayout { dir: "/a/b".into(), tag: None });
        assert_eq!(
            parse("oci:a:quay.io/x/y:1"),
            Reference::OciLayout { dir: "a".into(), tag: Some("quay.io/x/y:1".into()) }
        );
        assert_eq!(
            parse("oci-archive:a.tar:v1"),
            Reference::OciArchive { file: "a.tar".into(), tag: Some("v1".into()) }
        );
        assert_eq!(
            parse("docker-archive:a.tar:debian:12"),
            Reference::DockerArchive {
                file: "a.tar".into(),
                image: Some(ArchiveImage::Name("debian:12".parse().unwrap()))
            }
        );
        assert_eq!(
            parse("docker-archive:a.tar:@2"),
            Reference::DockerArchive { file: "a.tar".into(), image: Some(ArchiveImage::Position(2)) }
        );
        assert_eq!(parse("docker://debian"), parse("debian"));
        assert_eq!(parse("oci/app:1").to_string(), "docker://docker.io/oci/app:1");
    }

    #[test]
    fn operands_are_decided_by_their_text() {
        let operand = |text: &str| text.parse::<Operand>().unwrap();
        assert_eq!(operand("-"), Operand::Stream);
        for file in ["layer.tar", "build/layer.tar.gz", "./layer", "../layer", "/layer", "a.zst", "x.tgz"] {
            assert_eq!(operand(file), Operand::File(file.into()), "{file}");
        }
        for image in ["debian", "debian:12", "build/layer", "oci:x.tar", "docker://layer.tar"] {
            assert!(matches!(operand(image), Operand::Image(_)), "{image}");
        }
    }

    #[test]
    fn errors_name_the_part() {
        let message = |text: &str| text.parse::<Reference>().unwrap_err().to_string();
        insta::assert_snapshot!(message("oci:"), @"`oci:` names no path");
        insta::assert_snapshot!(message("oci::tag"), @"`oci::tag` names no path");
        insta::assert_snapshot!(message("oci:a:"), @"tag `` is not letters and digits, separated by single `-`, `.`, `_`, `:`, `@`, `+` or `/`");
        insta::assert_snapshot!(message("oci:a:../b"), @"tag `../b` is not letters and digits, separated by single `-`, `.`, `_`, `:`, `@`, `+` or `/`");
        insta::assert_snapshot!(message("dir:/x"), @"transport `dir:` is not supported, expected `docker://`, `oci:`, `oci-archive:` or `docker-archive:`");
        insta::assert_snapshot!(message("docker-archive:a:@x"), @"`@x` is not the number of an image in the archive, counted from 0");
        insta::assert_snapshot!(message("./layer"), @"`./layer` is a path, expected an image such as `oci:./layer` or `oci-archive:./layer`");
        insta::assert_snapshot!(message("Debian"), @"`Debian` is not an image name");
    }

    proptest! {
        #[test]
        fn text_round_trips(
            transport in "(oci|oci-archive)",
            path in "[a-zA-Z0-9/._ -]{1,20}",
            tag in proptest::option::of("[A-Za-z0-9]{1,4}((--|[-._:@+/])[A-Za-z0-9]{1,4}){0,3}"),
        ) {
            let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
            let reference = parse(&format!("{transport}:{path}{tag}"));
            prop_assert_eq!(parse(&reference.to_string()), reference);
        }

        #[test]
        fn any_text_parses_or_fails_and_what_parses_round_trips(
            transport in "(oci:|oci-archive:|docker-archive:|docker://|)",
            rest in "\\PC{0,30}",
        ) {
            if let Ok(reference) = format!("{transport}{rest}").parse::<Reference>() {
                prop_assert_eq!(parse(&reference.to_string()), reference);
            }
        }
    }
}
