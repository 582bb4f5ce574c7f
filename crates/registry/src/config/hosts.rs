//! `hosts.toml` of containerd (its docs/hosts.md): one for each registry, with its mirrors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::LEN_MAX;
use super::invalid::Invalid;
use super::route::{Roles, Route, Scheme};
use crate::error::shorten;
use crate::http::{Identity, Verification};
use crate::name::Name;

/// The registry that goes by another name than that of its host.
const DOCKER_IO: &str = "docker.io";
const DOCKER_IO_ADDRESS: &str = "registry-1.docker.io";
/// The directory with what is said of all other registries.
const DEFAULT: &str = "_default";

/// What a file says about one registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts {
    /// The mirrors, in order.
    mirrors: Vec<Host>,
    /// The registry itself, if it is elsewhere than its name says.
    server: Option<Host>,
}

/// One place of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    scheme: Scheme,
    /// The host, with its port if that is not the usual one.
    address: String,
    base: String,
    roles: Roles,
    verification: Option<Verification>,
    authorities: Vec<PathBuf>,
    identity: Option<Identity>,
    headers: HeaderMap,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    server: String,
    #[serde(default)]
    host: toml::Table,
    #[serde(flatten)]
    own: WrittenHost,
}

#[derive(Deserialize, Default)]
struct WrittenHost {
    #[serde(default)]
    capabilities: Vec<String>,
    ca: Option<OneOrMore>,
    client: Option<Clients>,
    skip_verify: Option<bool>,
    #[serde(default)]
    override_path: bool,
    #[serde(default)]
    header: BTreeMap<String, OneOrMore>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// A file with certificate and key, several of them, or pairs of files.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a file, or a list of files or pairs of files")]
enum Clients {
    One(String),
    More(Vec<OneOrMore>),
}

/// Lists the files that may be about a host, in the order of preference.
pub(super) fn candidates(dirs: &[PathBuf], host: &str) -> impl Iterator<Item = PathBuf> {
    // Hosts have no slash, and none is `..`.
    let names = [host, DEFAULT].into_iter().filter(|name| !name.starts_with('.'));
    names.flat_map(|name| dirs.iter().map(move |dir| dir.join(name).join("hosts.toml")))
}

/// Parses the text of a file in `dir`, where the files are that it names without a path.
///
/// # Errors
/// [`Invalid`] when it is not TOML, or makes no sense.
pub fn parse(text: &str, dir: &Path) -> Result<Hosts, Invalid> {
    if text.len() as u64 > LEN_MAX {
        return Err(Invalid::Length);
    }
    let malformed = |error: toml::de::Error| Invalid::toml(&error, text);
    let written: Written = toml::from_str(text).map_err(malformed)?;
    let mut mirrors = Vec::new();
    for (address, value) in written.host {
        let host: WrittenHost = value.try_into().map_err(malformed)?;
        mirrors.push(Host::parse(&address, host, dir)?);
    }
    let server = match written.server.as_str() {
        "" => None,
        address => Some(Host::parse(address, written.own, dir)?),
    };
    Ok(Hosts { mirrors, server })
}

impl Hosts {
    /// Says where to look for `name`, mirrors first and the registry itself last.
    pub(crate) fn routes(&self, name: &Name) -> Vec<Route> {
        let own = self.server.as_ref().map_or_else(|| Route::direct(name), |server| server.route(name));
        // The last resort does everything, whatever its mirrors do.
        let own = Route { roles: Roles::ALL, ..own };
        self.mirrors.iter().map(|mirror| mirror.route(name)).chain([own]).collect()
    }
}

impl Host {
    fn parse(address: &str, written: WrittenHost, dir: &Path) -> Result<Self, Invalid> {
        let invalid = || Invalid::Address(shorten(address));
        let text = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
        let url: Url = text.parse().map_err(|_| invalid())?;
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(invalid()),
        };
        let host = match url.host_str().ok_or_else(invalid)? {
            DOCKER_IO_ADDRESS => DOCKER_IO,
            host => host,
        };
        Ok(Self {
            scheme,
            address: url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            base: base(url.path(), written.override_path),
            roles: roles(&written.capabilities)?,
            verification: (written.skip_verify == Some(true)).then_some(Verification::Off),
            authorities: written
                .ca
                .into_iter()
                .flat_map(OneOrMore::into_vec)
                .map(|ca| dir.join(ca))
                .collect(),
            identity: written.client.and_then(|clients| clients.first(dir)),
            headers: headers(written.header)?,
        })
    }

    fn route(&self, name: &Name) -> Route {
        Route {
            host: self.address.clone(),
            scheme: Some(self.scheme),
            base: self.base.clone(),
            stands_for: (self.address != name.host()).then(|| name.host().to_owned()),
            roles: self.roles,
            verification: self.verification,
            authorities: self.authorities.clone(),
            identity: self.identity.clone(),
            headers: self.headers.clone(),
            ..Route::direct(name)
        }
    }
}

/// The API is below `/v2`, unless the path of the address is meant to be all there is.
fn base(path: &str, is_all: bool) -> String {
    let path = path.trim_end_matches('/');
    match is_all || path.ends_with("/v2") {
        true => path.to_owned(),
        false => format!("{path}/v2"),
    }
}

fn roles(names: &[String]) -> Result<Roles, Invalid> {
    if names.is_empty() {
        return Ok(Roles::ALL);
    }
    let mut roles = Roles::NONE;
    for name in names {
        match name.as_str() {
            "resolve" => roles.resolve = true,
            "pull" => roles.pull = true,
            "push" => roles.push = true,
            // Of newer releases.
            "referrers" => {}
            other => return Err(Invalid::Capability(shorten(other))),
        }
    }
    Ok(roles)
}

/// Reads headers. Their values may be secret, and are not in messages.
fn headers(written: BTreeMap<String, OneOrMore>) -> Result<HeaderMap, Invalid> {
    let mut headers = HeaderMap::new();
    for (text, values) in written {
        let invalid = || Invalid::Header(shorten(&text));
        let name: HeaderName = text.parse().map_err(|_| invalid())?;
        for value in values.into_vec() {
            let mut value = HeaderValue::try_from(value).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.append(&name, value);
        }
    }
    Ok(headers)
}

impl OneOrMore {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}

impl Clients {
    /// Takes the first: TLS shows only one.
    fn first(self, dir: &Path) -> Option<Identity> {
        let pair = match self {
            Self::One(file) => vec![file],
            Self::More(pairs) => pairs.into_iter().next()?.into_vec(),
        };
        let certificates = dir.join(pair.first()?);
        let key = pair
            .get(1)
            .filter(|key| !key.is_empty())
            .map_or_else(|| certificates.clone(), |key| dir.join(key));
        Some(Identity { certificates, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, name: &str) -> String {
        let hosts = parse(text, Path::new("/d")).unwrap();
        let one = |route: Route| {
            let scheme = route.scheme.map_or("?", Scheme::as_str);
            let Roles { resolve, pull, push } = route.roles;
            let roles: String = [(resolve, 'r'), (pull, 'p'), (push, 'w')]
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, c)| *c)
                .collect();
            let insecure = if route.verification.is_some() { " insecure" } else { "" };
            let stands_for = route.stands_for.map(|host| format!(" for {host}")).unwrap_or_default();
            let keys = route
                .identity
                .map(|identity| format!(" {}+{}", identity.certificates.display(), identity.key.display()));
            let headers: String = route
                .headers
                .iter()
                .map(|(name, value)| format!(" {name}={}", value.to_str().unwrap()))
                .collect();
            let cas: String = route.authorities.iter().map(|ca| format!(" {}", ca.display())).collect();
            format!(
                "{scheme}://{}{} {}{insecure} {roles}{stand}{cas}{}{headers}",
                route.host,
                route.base,
                route.repository,
                keys.unwrap_or_default(),
                stand = stands_for
            )
        };
        hosts.routes(&name.parse().unwrap()).into_iter().map(one).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn mirrors_come_in_the_order_of_the_file() {
        let text = r#"
            server = "https://registry-1.docker.io"
            [host."http://z.local:5000"]
            capabilities = ["pull"]
            [host."https://a.local/proxy/hub"]
            capabilities = ["pull", "resolve"]
            skip_verify = true
            ca = "ca.pem"
            client = [["client.cert", "client.key"], ["other.pem", ""]]
            [host."https://a.local/proxy/hub".header]
            x = "y"
            X-Two = ["1", "2"]
            [host."https://m.local/v2/hub"]
            override_path = true
            ca = ["/etc/ca.pem", "b.pem"]
            client = "/both.pem"
        "#;
        insta::assert_snapshot!(show(text, "debian"), @"
        http://z.local:5000/v2 library/debian p for docker.io
        https://a.local/proxy/hub/v2 library/debian insecure rp for docker.io /d/ca.pem /d/client.cert+/d/client.key x-two=1 x-two=2 x=y
        https://m.local/v2/hub library/debian rpw for docker.io /etc/ca.pem /d/b.pem /both.pem+/both.pem
        https://docker.io/v2 library/debian rpw
        ");
        insta::assert_snapshot!(show("", "h.io/a"), @"?://h.io/v2 a rpw");
        insta::assert_snapshot!(show("server = \"other.io\"\nskip_verify = true", "h.io/a"), @"https://other.io/v2 a insecure rpw for h.io");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let message = |text: &str| parse(text, Path::new("/d")).unwrap_err().to_string();
        insta::assert_snapshot!(message("server = \"ftp://h.io\""), @"`ftp://h.io` is not the address of a host, such as `https://example.com`");
        insta::assert_snapshot!(message("[host.\"https://\"]"), @"`https://` is not the address of a host, such as `https://example.com`");
        insta::assert_snapshot!(message("[host.\"https://h.io\"]\ncapabilities = [\"fly\"]"), @"capability `fly` is not `pull`, `resolve` or `push`");
        insta::assert_snapshot!(message("[host.\"https://h.io\"]\nca = 7"), @"expected a string or a list of strings");
        insta::assert_snapshot!(message("[host.\"https://h.io\".header]\n\"a b\" = \"c\""), @"header `a b` or its value cannot be sent");
        insta::assert_snapshot!(message("[host.\"https://h.io\".header]\na = \"secret\\n\""), @"header `a` or its value cannot be sent");
        insta::assert_snapshot!(message("server = ["), @"unclosed array, expected `]` in line 1");
    }

    #[test]
    fn files_are_looked_for_by_host() {
        let dirs = [PathBuf::from("/a"), PathBuf::from("/b")];
        let found: Vec<_> = candidates(&dirs, "h.io:5000").map(|path| path.display().to_string()).collect();
        assert_eq!(
            found,
            [
                "/a/h.io:5000/hosts.toml",
                "/b/h.io:5000/hosts.toml",
                "/a/_default/hosts.toml",
                "/b/_default/hosts.toml"
            ]
        );
        assert_eq!(candidates(&dirs, "..").count(), 2);
    }
}
