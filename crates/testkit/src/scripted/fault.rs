//! What goes wrong, with which requests, and how often.

use std::sync::atomic::{AtomicU32, Ordering};

use super::log::Host;
use super::message::Head;
use super::route::Route;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The requests that it happens to.
    pub target: Target,
    /// How many of them pass before it happens.
    pub skip: u32,
    /// How many it happens to after that.
    pub times: u32,
    /// What happens.
    pub misdeed: Misdeed,
}

impl Fault {
    /// Makes a fault that happens once, to the first request that fits.
    pub fn new(target: Target, misdeed: Misdeed) -> Self {
        Self { target, skip: 0, times: 1, misdeed }
    }

    /// Lets so many requests pass before it happens.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Makes it happen to so many requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Makes it happen to every request that fits.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }
}

/// The requests that a fault happens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All of them.
    Any,
    /// GET of a blob, where its bytes are: at the blob host if there is one.
    Blobs,
    /// The same with a `Range` header.
    BlobRanges,
    /// GET of a blob at the registry, if that redirects to a blob host.
    Redirects,
    /// GET of a manifest.
    Manifests,
    /// HEAD of anything.
    Heads,
    /// PATCH and PUT of an upload's bytes.
    Uploads,
    /// PUT of a manifest.
    ManifestPuts,
    /// Requests for a token.
    Tokens,
    /// Whatever has this in its path or query: a digest, say.
    Path(String),
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misdeed {
    /// The connection is closed after so many bytes of the body; `Content-Length` promised more.
    Truncate {
        /// Bytes sent.
        after: u64,
    },
    /// Nothing more is sent after so many bytes of the body, and the connection stays open.
    Stall {
        /// Bytes sent.
        after: u64,
    },
    /// The connection is reset after so many bytes of the body.
    Reset {
        /// Bytes sent.
        after: u64,
    },
    /// The connection is closed instead of an answer.
    HangUp,
    /// No answer comes, and the connection stays open.
    Silence,
    /// Another status, and nothing is done.
    Status {
        /// The status.
        status: u16,
        /// The `Retry-After` header, in seconds.
        retry_after: Option<u32>,
    },
    /// The lowest bit of a byte of the blob or manifest is flipped, in whatever range it is sent.
    Flip {
        /// Where the byte is in the whole.
        offset: u64,
    },
    /// The connection is reset after so many bytes of the request's body. What arrived of an upload stays.
    CutUpload {
        /// Bytes taken.
        after: u64,
    },
}

/// The faults of a script, and how often each has been met.
#[derive(Debug)]
pub(super) struct Faults(Vec<(Fault, AtomicU32)>);

impl Faults {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self(faults.into_iter().map(|fault| (fault, AtomicU32::new(0))).collect())
    }

    /// Finds what happens to a request. A request that is let pass by one fault may meet the next.
    pub(super) fn meet(&self, head: &Head, host: Host, redirects: bool) -> Option<&Misdeed> {
        let fits = self.0.iter().filter(|(fault, _)| fault.target.fits(head, host, redirects));
        let mut due = fits.filter(|(fault, met)| {
            let earlier = met.fetch_add(1, Ordering::Relaxed);
            earlier >= fault.skip && earlier - fault.skip < fault.times
        });
        due.next().map(|(fault, _)| &fault.misdeed)
    }
}

impl Target {
    fn fits(&self, head: &Head, host: Host, redirects: bool) -> bool {
        let get = head.method == "GET";
        let route = Route::of(head.path());
        let blob = get && matches!(route, Route::Blob { .. } | Route::Signed { .. });
        let served = blob && (host == Host::Blobs || !redirects);
        match self {
            Self::Any => true,
            Self::Blobs => served,
            Self::BlobRanges => served && head.header("range").is_some(),
            Self::Redirects => blob && host == Host::Front && redirects,
            Self::Manifests => get && matches!(route, Route::Manifest { .. }),
            Self::Heads => head.method == "HEAD",
            Self::Uploads => {
                matches!(head.method.as_str(), "PATCH" | "PUT") && matches!(route, Route::Upload { .. })
            }
            Self::ManifestPuts => head.method == "PUT" && matches!(route, Route::Manifest { .. }),
            Self::Tokens => matches!(route, Route::Token),
            Self::Path(part) => head.target.contains(part),
        }
    }
}
