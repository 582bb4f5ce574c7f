//! Where a repository is: at its registry, or at a mirror.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::failure::Failure;
use crate::config::{Roles, Route, Scheme};
use crate::error::shorten;
use crate::http::{Tls, Verification};

/// The host that serves what is named `docker.io`.
const DOCKER_IO: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A repository at one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The host as people know it, with its port if it has one.
    pub(crate) host: String,
    pub(super) repository: String,
    pub(super) tls: Arc<Tls>,
    pub(super) roles: Roles,
    /// The host that is connected to.
    pub(super) address: String,
    scheme: Option<Scheme>,
    base: String,
    stands_for: Option<String>,
    /// What every request has besides.
    pub(super) headers: HeaderMap,
}

impl Endpoint {
    /// Takes the place that a route leads to.
    pub(super) fn at(route: Route, tls: Tls) -> Self {
        let Route { host, repository, roles, scheme, base, stands_for, headers, .. } = route;
        let address = if host == DOCKER_IO.0 { DOCKER_IO.1.to_owned() } else { host.clone() };
        Self { host, repository, tls: Arc::new(tls), roles, address, scheme, base, stands_for, headers }
    }

    /// Returns how the registry is spoken with; `None` when that has to be found out.
    pub(super) fn fixed_scheme(&self) -> Option<Scheme> {
        self.scheme.or_else(|| (!self.may_be_plain()).then_some(Scheme::Https))
    }

    /// Tells whether the registry may do without TLS: because it need not prove who it is, or is on this machine.
    fn may_be_plain(&self) -> bool {
        self.tls.verification == Verification::Off || is_this_machine(&self.address)
    }

    /// Returns the URL of something in the repository.
    pub(super) fn url(&self, scheme: Scheme, rest: &str) -> Result<Url, Failure> {
        let mut url = self.parse(scheme, &format!("{}/{rest}", self.repository))?;
        if let Some(host) = &self.stands_for {
            // What containerd tells mirrors, of which some serve several registries.
            url.query_pairs_mut().append_pair("ns", host);
        }
        Ok(url)
    }

    /// Tells whether a URL leads to the host of this registry, which alone gets credentials.
    pub(super) fn is_at(&self, url: &Url) -> bool {
        let own = format!("{}://{}/", url.scheme(), self.address);
        own.parse::<Url>().is_ok_and(|own| own.origin() == url.origin())
    }

    /// Returns the URL that says whether there is a registry.
    pub(super) fn probe_url(&self, scheme: Scheme) -> Result<Url, Failure> {
        self.parse(scheme, "")
    }

    fn parse(&self, scheme: Scheme, rest: &str) -> Result<Url, Failure> {
        let text = format!("{}://{}{}/{rest}", scheme.as_str(), self.address, self.base);
        text.parse().map_err(|_| Failure::Url(shorten(&text)))
    }
}

fn is_this_machine(address: &str) -> bool {
    let host = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => address,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str, tls: Tls) -> Endpoint {
        Endpoint::at(Route::direct(&name.parse().unwrap()), tls)
    }

    #[test]
    fn names_lead_to_urls() {
        let url =
            |name: &str| endpoint(name, Tls::default()).url(Scheme::Https, "tags/list").unwrap().to_string();
        assert_eq!(url("debian"), "https://registry-1.docker.io/v2/library/debian/tags/list");
        assert_eq!(url("h.io:5000/a/b"), "https://h.io:5000/v2/a/b/tags/list");
        assert_eq!(url("[::1]:5000/a"), "https://[::1]:5000/v2/a/tags/list");
        let stands_for = Some("docker.io".to_owned());
        let route =
            Route { stands_for, base: "/hub/v2".to_owned(), ..Route::direct(&"h.io/a".parse().unwrap()) };
        let url = Endpoint::at(route, Tls::default()).url(Scheme::Http, "blobs/x").unwrap();
        assert_eq!(url.as_str(), "http://h.io/hub/v2/a/blobs/x?ns=docker.io");
    }

    #[test]
    fn only_this_machine_may_do_without_tls() {
        let cases = [
            ("localhost/a", true),
            ("localhost:5000/a", true),
            ("127.0.0.1:5000/a", true),
            ("127.9.9.9/a", true),
            ("[::1]:5000/a", true),
            ("[::1]/a", true),
            ("10.0.0.1:5000/a", false),
            ("localhost.example.com/a", false),
            ("debian", false),
        ];
        for (name, expected) in cases {
            assert_eq!(endpoint(name, Tls::default()).fixed_scheme().is_none(), expected, "{name}");
        }
        let tls = Tls { verification: Verification::Off, ..Tls::default() };
        assert_eq!(endpoint("h.io/a", tls).fixed_scheme(), None);
    }
}
