//! Where a repository is: at its registry, or at a mirror.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Url;

use super::failure::Failure;
use crate::error::shorten;
use crate::http::{Tls, Verification};
use crate::name::Name;

/// The host that serves what is named `docker.io`.
const DOCKER_IO: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A repository at one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The host as people know it, with its port if it has one.
    pub(crate) host: String,
    /// The host that is connected to.
    pub(super) address: String,
    pub(super) repository: String,
    pub(super) tls: Arc<Tls>,
}

impl Endpoint {
    /// Takes the place that `name` says.
    pub(crate) fn of(name: &Name, tls: Tls) -> Self {
        let host = name.host().to_owned();
        let address = if host == DOCKER_IO.0 { DOCKER_IO.1.to_owned() } else { host.clone() };
        Self { host, address, repository: name.repository().to_owned(), tls: Arc::new(tls) }
    }

    /// Returns how the registry is spoken with; `None` when that has to be found out.
    pub(super) fn fixed_scheme(&self) -> Option<Scheme> {
        (!self.may_be_plain()).then_some(Scheme::Https)
    }

    /// Tells whether the registry may do without TLS: because it need not prove who it is, or is on this machine.
    fn may_be_plain(&self) -> bool {
        self.tls.verification == Verification::Off || is_this_machine(&self.address)
    }

    /// Returns the URL of something in the repository.
    pub(super) fn url(&self, scheme: Scheme, rest: &str) -> Result<Url, Failure> {
        parse(&format!("{}://{}/v2/{}/{rest}", scheme.as_str(), self.address, self.repository))
    }

    /// Returns the URL that says whether there is a registry.
    pub(super) fn probe_url(&self, scheme: Scheme) -> Result<Url, Failure> {
        parse(&format!("{}://{}/v2/", scheme.as_str(), self.address))
    }
}

fn parse(text: &str) -> Result<Url, Failure> {
    text.parse().map_err(|_| Failure::Url(shorten(text)))
}

/// How a host is spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Http,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
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

    #[test]
    fn names_lead_to_urls() {
        let url = |name: &str| {
            let endpoint = Endpoint::of(&name.parse().unwrap(), Tls::default());
            endpoint.url(Scheme::Https, "tags/list").unwrap().to_string()
        };
        assert_eq!(url("debian"), "https://registry-1.docker.io/v2/library/debian/tags/list");
        assert_eq!(url("h.io:5000/a/b"), "https://h.io:5000/v2/a/b/tags/list");
        assert_eq!(url("[::1]:5000/a"), "https://[::1]:5000/v2/a/tags/list");
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
            let endpoint = Endpoint::of(&name.parse().unwrap(), Tls::default());
            assert_eq!(endpoint.may_be_plain(), expected, "{name}");
        }
        let tls = Tls { verification: Verification::Off, ..Tls::default() };
        assert!(Endpoint::of(&"h.io/a".parse().unwrap(), tls).may_be_plain());
    }
}
