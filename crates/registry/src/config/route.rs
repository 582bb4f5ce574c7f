//! One place to look.

use std::path::PathBuf;

use reqwest::header::HeaderMap;

use crate::http::{Identity, Verification};
use crate::name::Name;

/// A repository at one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// The host, with its port if it has one.
    pub(crate) host: String,
    pub(crate) repository: String,
    /// How it is spoken with; `None` when that is to be found out.
    pub(crate) scheme: Option<Scheme>,
    /// The path below which its API is.
    pub(crate) base: String,
    /// The registry that it stands in for, if it wants to be told.
    pub(crate) stands_for: Option<String>,
    pub(crate) roles: Roles,
    /// Whether it has to prove who it is; `None` when nothing is said about that.
    pub(crate) verification: Option<Verification>,
    /// Files with further authorities.
    pub(crate) authorities: Vec<PathBuf>,
    pub(crate) identity: Option<Identity>,
    /// What every request has besides.
    pub(crate) headers: HeaderMap,
    /// Whether nobody may go there.
    pub(crate) blocked: bool,
}

/// How a host is spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Over TLS.
    Https,
    /// Without.
    Http,
}

/// What a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    /// It knows what tags mean.
    pub(crate) resolve: bool,
    /// It has content by its digest.
    pub(crate) pull: bool,
    /// It takes content.
    pub(crate) push: bool,
}

impl Roles {
    pub(crate) const ALL: Self = Self { resolve: true, pull: true, push: true };
    pub(crate) const READ: Self = Self { push: false, ..Self::ALL };
    pub(crate) const NONE: Self = Self { resolve: false, pull: false, push: false };
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

impl Route {
    /// Goes where the name says.
    pub(crate) fn direct(name: &Name) -> Self {
        Self {
            host: name.host().to_owned(),
            repository: name.repository().to_owned(),
            scheme: None,
            base: "/v2".to_owned(),
            stands_for: None,
            roles: Roles::ALL,
            verification: None,
            authorities: Vec::new(),
            identity: None,
            headers: HeaderMap::new(),
            blocked: false,
        }
    }
}
