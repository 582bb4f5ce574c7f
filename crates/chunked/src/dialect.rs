//! The formats of layers that carry a table of contents.

use std::fmt;

use serde::Serialize;

/// Names the format of a layer that carries a TOC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// containers/storage up to 1.46: a 40-byte footer, no tar-split. Up to 1.43 the annotations had an older prefix.
    WithoutTarSplit,
    /// containers/storage 1.47 to 1.49: a tar-split that only annotations know, a footer of 56 bytes that lost half of
    /// its fields.
    ShortFooter,
    /// containers/storage 1.50 to 1.53: a 64-byte footer, a tar-split that the TOC does not vouch for.
    UnverifiedTarSplit,
    /// containers/storage since 1.54: the TOC holds the digest of the tar-split.
    Current,
    /// stargz-snapshotter's own zstd:chunked: an eStargz TOC, a 40-byte footer.
    StargzZstd,
    /// eStargz: gzip members, the TOC as the last member of the tar.
    Estargz,
    /// The format eStargz grew out of: the same layout, no digests to rely on.
    LegacyStargz,
}

impl Dialect {
    /// Tells whether containers/storage (podman, buildah, skopeo, CRI-O) wrote it.
    pub fn is_containers_storage(self) -> bool {
        matches!(self, Self::WithoutTarSplit | Self::ShortFooter | Self::UnverifiedTarSplit | Self::Current)
    }

    /// Tells whether the blob is gzip; all others are zstd.
    pub fn is_gzip(self) -> bool {
        matches!(self, Self::Estargz | Self::LegacyStargz)
    }

    /// Tells whether the frame of a chunk goes on with padding and headers, so that decoding must stop at the chunk's end.
    pub fn frames_go_on(self) -> bool {
        !self.is_containers_storage()
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WithoutTarSplit => "zstd:chunked without tar-split (containers/storage up to 1.46)",
            Self::ShortFooter => "zstd:chunked with a 56-byte footer (containers/storage 1.47 to 1.49)",
            Self::UnverifiedTarSplit => {
                "zstd:chunked with unverified tar-split (containers/storage 1.50 to 1.53)"
            }
            Self::Current => "zstd:chunked (containers/storage 1.54 or newer)",
            Self::StargzZstd => "zstd:chunked of stargz-snapshotter",
            Self::Estargz => "eStargz",
            Self::LegacyStargz => "stargz, the predecessor of eStargz",
        })
    }
}
