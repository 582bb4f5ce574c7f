//! What a scripted registry does unlike others: plain values, each field one behavior.

use std::time::Duration;

use serde_json::Value;

use super::fault::Fault;
use super::signer::Signer;
use crate::link::Link;

/// How a registry behaves. The default is a good one: many ranges in a request, no redirects, open to everybody.
///
/// ```
/// use morsel_testkit::scripted::{Fault, Misdeed, Ranges, Script, Target};
///
/// let script = Script {
///     ranges: Ranges::IgnoresMany,
///     faults: vec![Fault::new(Target::Blobs, Misdeed::Truncate { after: 1000 })],
///     ..Script::default()
/// };
/// ```
#[derive(Debug, Clone)]
pub struct Script {
    /// What becomes of the `Range` header.
    pub ranges: Ranges,
    /// How answers of several parts are written.
    pub multipart: Multipart,
    /// The most ranges in a request, and the status for more; 200 sends the whole blob.
    pub range_limit: Option<(usize, u16)>,
    /// What the server takes for each range of a request.
    pub per_range: Duration,
    /// The most bytes in a line of the head of a request for a blob, where its bytes are, and the status for more:
    /// nginx has 8192 and 400.
    pub header_limit: Option<(usize, u16)>,
    /// The most connections at once; those beyond get 503 and are closed.
    pub connection_limit: Option<usize>,
    /// Where blobs are.
    pub blobs: Blobs,
    /// Who may come in.
    pub auth: Auth,
    /// Signs the tokens given out, for another registry that sends its clients here.
    pub signer: Option<Signer>,
    /// What goes wrong now and then; the first that fits a request is taken.
    pub faults: Vec<Fault>,
    /// Whether the referrers API is there; without it clients fall back to tags.
    pub referrers: bool,
    /// What becomes of an index some of whose children are not there.
    pub indexes: Indexes,
    /// Whether manifests can be deleted.
    pub deletes: bool,
    /// The link to the registry.
    pub link: Option<Link>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            ranges: Ranges::Many,
            multipart: Multipart::default(),
            range_limit: None,
            per_range: Duration::ZERO,
            header_limit: None,
            connection_limit: None,
            blobs: Blobs::Here,
            auth: Auth::None,
            signer: None,
            faults: Vec::new(),
            referrers: true,
            indexes: Indexes::All,
            deletes: true,
            link: None,
        }
    }
}

/// What becomes of the `Range` header. As nginx and docker-registry do, 200 and the whole blob answer ranges that are
/// together longer than the blob, whatever is chosen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// A part for each range, in the order asked for.
    Many,
    /// The same, with a boundary that has a colon and no quotes, as CloudFront sends it.
    ManyUnquotedBoundary,
    /// One part for ranges that are at most this many bytes apart, in ascending order.
    Coalesced {
        /// The widest gap that is sent along.
        gap: u64,
    },
    /// A part for each range, the last first.
    Reordered,
    /// One range that reaches from the first to the last, not multipart.
    OnePartForMany,
    /// 206 for one range, 200 and the whole blob for several, as S3 does.
    IgnoresMany,
    /// 200 and the whole blob, always.
    IgnoresAll,
    /// 206 for one range, this status for several. 416 comes with the length of the blob and no body, as
    /// docker-registry sends it.
    Refuses(u16),
}

/// How answers of several parts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Multipart {
    /// What stands before the first boundary.
    pub start: Start,
    /// The order of a part's headers.
    pub headers: Headers,
}

/// What stands before the first boundary of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Nothing, as docker-registry has it.
    #[default]
    Boundary,
    /// A blank line, as nginx has it.
    BlankLine,
}

/// The order of a part's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Headers {
    /// `Content-Type` first, as nginx has it.
    #[default]
    TypeFirst,
    /// `Content-Range` first, as docker-registry has it.
    RangeFirst,
}

/// Where blobs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blobs {
    /// At the registry itself.
    Here,
    /// At a blob host on a second port, by signed addresses that work for so many requests.
    Signed {
        /// How often an address may be used before it answers 403.
        uses: Option<u32>,
    },
    /// Below this address, as `ALGORITHM/HEX`: the `blobs` folder of a layout, say.
    At(String),
}

/// Who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Everybody.
    None,
    /// Who has the password.
    Basic(Login),
    /// Who has a token for the repository and the action.
    Bearer {
        /// Who gets tokens; `None` means everybody.
        login: Option<Login>,
        /// How many requests a token is good for.
        uses: Option<u32>,
    },
}

/// A user and what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password. At the token server it is also the identity token that may be sent instead.
    pub password: String,
}

impl Login {
    /// Makes a login.
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }
}

/// Which children of an index have to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indexes {
    /// All of them, as with distribution, whose error has one entry for each that is missing.
    All,
    /// None, as with `validation.manifests.indexes.platforms: none` of distribution.
    None,
    /// Those for some operating systems and architectures, as with `list` of distribution.
    Listed(Vec<(&'static str, &'static str)>),
    /// As with Quay, which says so on `GET /v2/`.
    Quay {
        /// Whether it takes sparse indexes at all.
        sparse: bool,
        /// The architectures that have to be there; none means all, and children without one always have to.
        required: Vec<&'static str>,
    },
}

impl Indexes {
    /// Tells whether a child has to be there.
    pub(super) fn require(&self, child: &Value) -> bool {
        let (os, architecture) = (&child["platform"]["os"], &child["platform"]["architecture"]);
        match self {
            Self::All => true,
            Self::None => false,
            Self::Listed(platforms) => platforms.iter().any(|(one, two)| os == one && architecture == two),
            Self::Quay { sparse, required } => {
                !sparse
                    || required.is_empty()
                    || architecture.is_null()
                    || required.iter().any(|one| architecture == one)
            }
        }
    }

    /// Returns the headers of `GET /v2/`.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let distribution = ("Docker-Distribution-Api-Version", "registry/2.0".to_owned());
        match self {
            Self::Quay { sparse, required } => vec![
                distribution,
                ("X-Sparse-Manifest-Support", sparse.to_string()),
                ("X-Required-Architectures", required.join(",")),
            ],
            _ => vec![distribution],
        }
    }
}
