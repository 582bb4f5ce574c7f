//! What a path asks for: the paths of the distribution specification.

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Base,
    Token,
    Manifest {
        name: &'a str,
        reference: &'a str,
    },
    Blob {
        name: &'a str,
        digest: &'a str,
    },
    /// An upload; without an ID it is to be started.
    Upload {
        name: &'a str,
        id: &'a str,
    },
    Tags {
        name: &'a str,
    },
    Referrers {
        name: &'a str,
        digest: &'a str,
    },
    /// A blob at the blob host.
    Signed {
        digest: &'a str,
    },
    Unknown,
}

impl<'a> Route<'a> {
    /// Reads a path, without its query.
    pub(super) fn of(path: &'a str) -> Self {
        if let Some(digest) = path.strip_prefix("/signed/") {
            return Self::Signed { digest };
        }
        match path {
            "/token" => return Self::Token,
            "/v2" | "/v2/" => return Self::Base,
            _ => {}
        }
        let Some(path) = path.strip_prefix("/v2/") else { return Self::Unknown };
        if let Some((name, id)) = path.split_once("/blobs/uploads") {
            return Self::Upload { name, id: id.trim_start_matches('/') };
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Self::Tags { name };
        }
        let Some((place, last)) = path.rsplit_once('/') else { return Self::Unknown };
        match place.rsplit_once('/') {
            Some((name, "manifests")) => Self::Manifest { name, reference: last },
            Some((name, "blobs")) => Self::Blob { name, digest: last },
            Some((name, "referrers")) => Self::Referrers { name, digest: last },
            _ => Self::Unknown,
        }
    }

    /// Returns the repository.
    pub(super) fn name(self) -> Option<&'a str> {
        match self {
            Self::Manifest { name, .. }
            | Self::Blob { name, .. }
            | Self::Upload { name, .. }
            | Self::Tags { name }
            | Self::Referrers { name, .. } => Some(name),
            Self::Base | Self::Token | Self::Signed { .. } | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_repository_of_several_components() {
        let digest = "sha256:00";
        let table = [
            ("/v2/", Route::Base),
            ("/v2/a/b/manifests/latest", Route::Manifest { name: "a/b", reference: "latest" }),
            ("/v2/a/b/blobs/sha256:00", Route::Blob { name: "a/b", digest }),
            ("/v2/a/blobs/uploads/", Route::Upload { name: "a", id: "" }),
            ("/v2/a/blobs/uploads/7", Route::Upload { name: "a", id: "7" }),
            ("/v2/blobs/blobs/sha256:00", Route::Blob { name: "blobs", digest }),
            ("/v2/a/tags/list", Route::Tags { name: "a" }),
            ("/v2/a/referrers/sha256:00", Route::Referrers { name: "a", digest }),
            ("/signed/sha256:00", Route::Signed { digest }),
            ("/v2/a", Route::Unknown),
            ("/", Route::Unknown),
        ];
        for (path, route) in table {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
