//! Answers challenges, and remembers the answers.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use serde::Serialize;

use super::credentials::{self, Credentials, Given, basic};
use super::invalid::Invalid;
use super::token::{ANSWER_LEN_MAX, Token};
use crate::challenge::{self, Challenge};
use crate::client::{Detail, Failure};
use crate::error::shorten;
use crate::http::{Http, Place, Request, Response, Tls};

/// Who we say that we are when we exchange an identity token.
const CLIENT_ID: &str = "morsel";

/// What a token is for, as `repository:NAME:ACTIONS`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope(String);

impl Scope {
    /// Reads a repository.
    pub(crate) fn pull(repository: &str) -> Self {
        Self(format!("repository:{repository}:pull"))
    }

    /// Reads and writes a repository.
    pub(crate) fn push(repository: &str) -> Self {
        Self(format!("repository:{repository}:pull,push"))
    }

    /// Writes a repository, and takes blobs from another one.
    pub(crate) fn mount(repository: &str, from: &str) -> Self {
        Self(format!("repository:{repository}:pull,push repository:{from}:pull"))
    }
}

/// Whom to convince, and of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The host as people know it, with its port if it has one.
    pub(crate) host: &'a str,
    /// The repository there.
    pub(crate) repository: &'a str,
    pub(crate) scope: &'a Scope,
    pub(crate) tls: &'a Arc<Tls>,
    /// Whether the host was asked over TLS: what is for it must not be sent without.
    pub(crate) is_secure: bool,
}

/// The credentials of this machine, and the tokens that they were exchanged for.
#[derive(Debug)]
pub(crate) struct Tokens {
    files: Vec<PathBuf>,
    given: Option<Given>,
    ways: Mutex<Ways>,
}

/// How hosts are convinced, each for each purpose. A way is locked while a token is got: one will do for all threads.
type Ways = HashMap<(String, Scope), Arc<Mutex<Way>>>;

/// How a host is convinced.
#[derive(Debug, Default)]
enum Way {
    /// Nothing was asked for so far.
    #[default]
    Open,
    /// By a password in each request.
    Basic(Secret),
    /// By a token, which is got for a password.
    Bearer(Bearer, Token),
}

/// What a host wants of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// Nothing.
    None,
    /// A password in each request.
    Basic,
    /// A token, which may be given to everybody.
    Bearer,
}

/// A header that is never shown.
struct Secret(HeaderValue);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where tokens are given, and for what.
#[derive(Debug, Clone)]
struct Bearer {
    realm: Url,
    service: Option<String>,
    scopes: Vec<String>,
}

impl Tokens {
    /// Takes the files with credentials, in the order of preference, and those that come before all of them.
    pub(crate) fn new(files: Vec<PathBuf>, given: Option<Given>) -> Self {
        Self { files, given, ways: Mutex::default() }
    }

    /// Returns what convinced the host before, renewed where it does not last.
    pub(crate) fn known(&self, http: &Http, wanted: Wanted<'_>) -> Result<Option<HeaderValue>, Failure> {
        let way = self.way(wanted);
        let mut way = lock(&way);
        Ok(match &mut *way {
            Way::Open => None,
            Way::Basic(header) => Some(header.0.clone()),
            Way::Bearer(_, token) if token.is_valid() => Some(token.header.clone()),
            Way::Bearer(bearer, token) => {
                *token = self.fetch(http, wanted, bearer)?;
                Some(token.header.clone())
            }
        })
    }

    /// Answers a 401 that came for a request with the header `refused`; `None` when there is nothing better to say.
    pub(crate) fn answer(
        &self,
        http: &Http,
        wanted: Wanted<'_>,
        headers: &HeaderMap,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Failure> {
        let way = self.way(wanted);
        let mut way = lock(&way);
        let header = match Asked::parse(headers, wanted)? {
            // Another thread was faster.
            _ if way.header().is_some_and(|header| Some(header) != refused) => way.header().cloned(),
            Asked::Nothing => None,
            Asked::Password => {
                let header = match self.credentials(wanted)? {
                    Some(Credentials::Password { user, password }) => basic(&user, &password),
                    _ => None,
                };
                let header = header.filter(|header| Some(header) != refused);
                *way = header.clone().map_or(Way::Open, |header| Way::Basic(Secret(header)));
                header
            }
            Asked::Token(bearer) => {
                let token = self.fetch(http, wanted, &bearer)?;
                let header = token.header.clone();
                *way = Way::Bearer(bearer, token);
                Some(header)
            }
        };
        Ok(header)
    }

    /// Tells whether there are credentials for a host.
    pub(crate) fn has_credentials(&self, host: &str, repository: &str) -> bool {
        self.find(host, repository).is_ok_and(|found| found.is_some())
    }

    /// Says what the host wanted so far.
    pub(crate) fn login(&self, host: &str, scope: &Scope) -> Login {
        let way = lock(&self.ways).get(&(host.to_owned(), scope.clone())).cloned();
        match way.as_deref().map(lock).as_deref() {
            None | Some(Way::Open) => Login::None,
            Some(Way::Basic(_)) => Login::Basic,
            Some(Way::Bearer(..)) => Login::Bearer,
        }
    }

    fn way(&self, wanted: Wanted<'_>) -> Arc<Mutex<Way>> {
        lock(&self.ways).entry((wanted.host.to_owned(), wanted.scope.clone())).or_default().clone()
    }

    fn credentials(&self, wanted: Wanted<'_>) -> Result<Option<Credentials>, Invalid> {
        self.find(wanted.host, wanted.repository)
    }

    fn find(&self, host: &str, repository: &str) -> Result<Option<Credentials>, Invalid> {
        match self.given.as_ref().filter(|given| given.host == host) {
            Some(given) => Ok(Some(given.credentials.clone())),
            None => credentials::find(&self.files, host, repository),
        }
    }

    fn fetch(&self, http: &Http, wanted: Wanted<'_>, bearer: &Bearer) -> Result<Token, Failure> {
        let credentials = self.credentials(wanted)?;
        let had_credentials = credentials.is_some();
        if had_credentials && wanted.is_secure && bearer.realm.scheme() == "http" {
            return Err(Invalid::PlainRealm(Place::from(&bearer.realm).to_string()).into());
        }
        let request = bearer.request(wanted.tls.clone(), credentials);
        let asked = Instant::now();
        let response = http.send(&request)?;
        let place = Place::from(&response.url);
        if !response.status.is_success() {
            return Err(refusal(response, had_credentials));
        }
        let no_token = |why: String| Invalid::Token { place: place.to_string(), why };
        let body = response.body.read_limited(ANSWER_LEN_MAX).map_err(|error| no_token(error.to_string()))?;
        let body = body.ok_or_else(|| no_token("its answer is too long".to_owned()))?;
        Ok(Token::parse(&body, asked).map_err(|why| no_token(why.to_owned()))?)
    }
}

impl Way {
    fn header(&self) -> Option<&HeaderValue> {
        match self {
            Self::Open => None,
            Self::Basic(header) => Some(&header.0),
            Self::Bearer(_, token) => Some(&token.header),
        }
    }
}

/// What a challenge asks for.
enum Asked {
    Nothing,
    Password,
    Token(Bearer),
}

impl Asked {
    /// Chooses among the challenges: tokens are for one purpose and end, passwords do neither.
    fn parse(headers: &HeaderMap, wanted: Wanted<'_>) -> Result<Self, Invalid> {
        let mut challenges = Vec::new();
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let text = value.to_str().map_err(|_| Invalid::Challenge("it is not text".to_owned()))?;
            challenges.extend(challenge::parse(text).map_err(|why| Invalid::Challenge(why.to_string()))?);
        }
        let find = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        match (find("bearer"), find("basic"), challenges.first()) {
            (Some(bearer), ..) => Bearer::parse(bearer, wanted).map(Self::Token),
            (None, Some(_), _) => Ok(Self::Password),
            (None, None, Some(other)) => Err(Invalid::Challenge(format!("by `{}`", shorten(&other.scheme)))),
            (None, None, None) => Ok(Self::Nothing),
        }
    }
}

impl Bearer {
    fn parse(challenge: &Challenge, wanted: Wanted<'_>) -> Result<Self, Invalid> {
        let parameter = |name: &str| challenge.parameters.get(name).filter(|value| !value.is_empty());
        let realm = parameter("realm").map(String::as_str).unwrap_or_default();
        let realm: Url =
            realm.parse().map_err(|_| Invalid::Challenge(format!("with the realm `{}`", shorten(realm))))?;
        if !matches!(realm.scheme(), "http" | "https") {
            return Err(Invalid::Challenge(format!("with the realm `{}`", Place::from(&realm))));
        }
        // Who asks for a scope of its own knows better: a proxy has another name for the repository than we do.
        let scope = parameter("scope").unwrap_or(&wanted.scope.0);
        let scopes = scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        Ok(Self { realm, service: parameter("service").cloned(), scopes })
    }

    /// Asks for a token. An identity token is exchanged (OAuth 2, RFC 6749 §6), a password is shown.
    fn request(&self, tls: Arc<Tls>, credentials: Option<Credentials>) -> Request {
        let service = self.service.iter().map(|service| ("service", service.as_str()));
        match credentials {
            Some(Credentials::Identity(token)) => {
                let scope = self.scopes.join(" ");
                let fixed = [
                    ("grant_type", "refresh_token"),
                    ("client_id", CLIENT_ID),
                    ("scope", &scope),
                    ("refresh_token", &token),
                ];
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                Request::new(Method::POST, self.realm.clone(), tls)
                    .header(CONTENT_TYPE, form)
                    .with_body(encode_form(fixed.into_iter().chain(service)).into())
            }
            other => {
                let scopes = self.scopes.iter().map(|scope| ("scope", scope.as_str()));
                let mut url = self.realm.clone();
                url.query_pairs_mut().extend_pairs(service.chain(scopes));
                let header = match &other {
                    Some(Credentials::Password { user, password }) => {
                        url.query_pairs_mut().append_pair("account", user);
                        basic(user, password)
                    }
                    _ => None,
                };
                Request::new(Method::GET, url, tls).authorized(header)
            }
        }
    }
}

fn encode_form<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    reqwest::Url::parse_with_params("x:/", pairs)
        .ok()
        .and_then(|url| url.query().map(str::to_owned))
        .unwrap_or_default()
}

fn refusal(response: Response, had_credentials: bool) -> Failure {
    let (place, status) = (Place::from(&response.url), response.status);
    let detail = Detail::read(response.body);
    match status.as_u16() {
        400 | 401 | 403 => Failure::Denied { place, status, detail, had_credentials },
        _ => Failure::Unexpected { place, status, detail },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
