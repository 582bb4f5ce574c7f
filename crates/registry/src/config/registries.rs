//! `registries.conf`, version 2 (containers-registries.conf(5)).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::LEN_MAX;
use super::invalid::Invalid;
use super::route::{Roles, Route};
use crate::error::shorten;
use crate::http::Verification;
use crate::name::Name;

/// What the files say about registries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistriesConf {
    registries: Vec<Registry>,
    /// Registries that a name without a host may be one of; `None` when nobody said so.
    search: Option<Vec<String>>,
    /// Full names of names without a host; those without tags on both sides.
    aliases: BTreeMap<String, String>,
}

/// One registry, or what of it begins with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Registry {
    prefix: Prefix,
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mirror {
    location: String,
    insecure: bool,
    serves: Serves,
}

/// What a mirror may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serves {
    All,
    Digests,
    Tags,
}

/// Which names a registry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Prefix {
    /// Those that begin with the text.
    Start(String),
    /// Those whose host ends with the text, which begins with a dot.
    Subdomains(String),
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    registry: Vec<WrittenRegistry>,
    registries: Option<toml::Table>,
    #[serde(rename = "unqualified-search-registries")]
    search: Option<Vec<String>>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenRegistry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<WrittenMirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WrittenMirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: String,
}

/// Parses the text of a file.
///
/// # Errors
/// [`Invalid`] when it is not TOML, of version 1, or makes no sense.
pub fn parse(text: &str) -> Result<RegistriesConf, Invalid> {
    if text.len() as u64 > LEN_MAX {
        return Err(Invalid::Length);
    }
    let written: Written = toml::from_str(text).map_err(|error| Invalid::toml(&error, text))?;
    if written.registries.is_some() {
        return Err(Invalid::Version);
    }
    let registries = written.registry.into_iter().map(Registry::parse).collect::<Result<_, _>>()?;
    Ok(RegistriesConf { registries, search: written.search, aliases: written.aliases })
}

impl RegistriesConf {
    /// Adds what a later file says: of a prefix or alias that both know, only the later one counts, and of the registries to
    /// search those of the last file that has some.
    pub fn merge(&mut self, later: Self) {
        self.search = later.search.or(self.search.take());
        self.aliases.extend(later.aliases);
        self.registries.retain(|old| !later.registries.iter().any(|new| new.prefix == old.prefix));
        self.registries.extend(later.registries);
    }

    /// Tells whether a place, as a registry's or a mirror's, need not prove who it is.
    pub(crate) fn is_insecure(&self, name: &Name) -> bool {
        let full = format!("{}/{}", name.host(), name.repository());
        let is_below = |location: &str| {
            full.strip_prefix(location).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.registries.iter().any(|registry| {
            let is_own = match &registry.location {
                Some(location) => is_below(location),
                None => registry.prefix.rest(&full).is_some(),
            };
            let is_mirror = |mirror: &Mirror| mirror.insecure && is_below(&mirror.location);
            (registry.insecure && is_own) || registry.mirrors.iter().any(is_mirror)
        })
    }

    /// Completes a name that was written without a host: by its alias, else by the registry to search, else by `docker.io`.
    ///
    /// Which of several registries is meant nobody can tell without asking them all, and then it depends on which of them
    /// answers, and on who put an image of that name there. So that is an error.
    pub(crate) fn complete(&self, name: &Name) -> Result<Name, Invalid> {
        let Some(short) = name.short() else { return Ok(name.clone()) };
        let at = |place: &str| {
            let invalid = |source| Invalid::Name { text: shorten(place), source: Box::new(source) };
            place.parse::<Name>().and_then(|full| name.moved(full.host(), full.repository())).map_err(invalid)
        };
        // An empty alias takes one of an earlier file away.
        if let Some(alias) = self.aliases.get(short).filter(|alias| !alias.is_empty()) {
            return at(alias);
        }
        match self.search.as_deref().unwrap_or_default() {
            [] => Ok(name.clone().full()),
            [only] => at(&format!("{}/{short}", only.trim_end_matches('/'))),
            several => Err(Invalid::Ambiguous(shorten(&several.join("`, `")))),
        }
    }

    /// Says where to look for `name`, mirrors first; `None` when nothing is known about it.
    pub(crate) fn routes(&self, name: &Name) -> Result<Option<Vec<Route>>, Invalid> {
        let full = format!("{}/{}", name.host(), name.repository());
        let matching = self.registries.iter().filter_map(|registry| {
            let rest = registry.prefix.rest(&full)?;
            Some((registry, rest))
        });
        // The longest prefix leaves the least.
        let Some((registry, rest)) =
            matching.min_by_key(|(registry, rest)| (registry.prefix.is_wildcard(), rest.len()))
        else {
            return Ok(None);
        };
        if registry.blocked {
            return Ok(Some(vec![Route { blocked: true, ..Route::direct(name) }]));
        }
        let mut routes = Vec::new();
        for mirror in registry.mirrors.iter().filter(|mirror| mirror.serves(name)) {
            let route = route(name, &format!("{}{rest}", mirror.location), mirror.insecure)?;
            routes.push(Route { roles: Roles::READ, ..route });
        }
        let own =
            registry.location.as_ref().map_or_else(|| full.clone(), |location| format!("{location}{rest}"));
        routes.push(route(name, &own, registry.insecure)?);
        Ok(Some(routes))
    }
}

/// Goes to `place`, a host and a repository.
fn route(name: &Name, place: &str, insecure: bool) -> Result<Route, Invalid> {
    let invalid = |source| Invalid::Name { text: shorten(place), source: Box::new(source) };
    let (host, repository) = place.split_once('/').unwrap_or((place, ""));
    let moved = name.moved(host, repository).map_err(invalid)?;
    let verification = insecure.then_some(Verification::Off);
    Ok(Route { verification, ..Route::direct(&moved) })
}

impl Registry {
    fn parse(written: WrittenRegistry) -> Result<Self, Invalid> {
        let some = |text: String| Some(text.trim_end_matches('/').to_owned()).filter(|text| !text.is_empty());
        let location = some(written.location);
        let prefix = some(written.prefix).or_else(|| location.clone()).ok_or(Invalid::NoPrefix)?;
        let prefix = Prefix::parse(&prefix)?;
        let by_digest = written.mirror_by_digest_only;
        let mirrors = written
            .mirror
            .into_iter()
            .map(|mirror| Mirror::parse(mirror, by_digest))
            .collect::<Result<_, _>>()?;
        let (insecure, blocked) = (written.insecure, written.blocked);
        Ok(Self { prefix, location, insecure, blocked, mirrors })
    }
}

impl Mirror {
    fn parse(written: WrittenMirror, by_digest_only: bool) -> Result<Self, Invalid> {
        let serves = match written.pull_from_mirror.as_str() {
            "" if by_digest_only => Serves::Digests,
            "" | "all" => Serves::All,
            "digest-only" => Serves::Digests,
            "tag-only" => Serves::Tags,
            other => return Err(Invalid::Policy(shorten(other))),
        };
        let location = written.location.trim_end_matches('/').to_owned();
        Ok(Self { location, insecure: written.insecure, serves })
    }

    fn serves(&self, name: &Name) -> bool {
        match self.serves {
            Serves::All => true,
            Serves::Digests => name.digest().is_some(),
            Serves::Tags => name.digest().is_none(),
        }
    }
}

impl Prefix {
    fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::Prefix(shorten(text));
        match text.strip_prefix('*') {
            Some(domain) if domain.starts_with('.') && domain.len() > 1 && !domain.contains(['*', '/']) => {
                Ok(Self::Subdomains(domain.to_owned()))
            }
            None if !text.contains(['*', ' ', '@']) && !text.starts_with('/') => {
                Ok(Self::Start(text.to_owned()))
            }
            _ => Err(invalid()),
        }
    }

    fn is_wildcard(&self) -> bool {
        matches!(self, Self::Subdomains(_))
    }

    /// Returns what follows the prefix in the name of a repository; `None` when that begins otherwise.
    fn rest<'a>(&self, full: &'a str) -> Option<&'a str> {
        match self {
            Self::Start(start) => {
                full.strip_prefix(start.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Subdomains(domain) => {
                let host_len = full.find('/').unwrap_or(full.len());
                let (host, rest) = full.split_at(host_len);
                host.strip_suffix(domain.as_str()).filter(|sub| !sub.is_empty()).map(|_| rest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn show(conf: &RegistriesConf, name: &str) -> String {
        let Some(routes) = conf.routes(&name.parse().unwrap()).unwrap() else { return "unknown".to_owned() };
        let one = |route: &Route| {
            let insecure = if route.verification.is_some() { " insecure" } else { "" };
            let blocked = if route.blocked { " blocked" } else { "" };
            let mirror = if route.roles.push { "" } else { " mirror" };
            format!("{}/{}{insecure}{blocked}{mirror}", route.host, route.repository)
        };
        routes.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn names_are_led_to_their_places() {
        let conf = parse(
            r#"
            unqualified-search-registries = ["docker.io", "quay.io"]
            credential-helpers = ["containers-auth.json"]
            short-name-mode = "enforcing"
            [aliases]
            "debian" = "docker.io/library/debian"
            [[registry]]
            location = "docker.io"
            [[registry.mirror]]
            location = "mirror.local:5000/hub/"
            insecure = true
            [[registry.mirror]]
            location = "digests.local"
            pull-from-mirror = "digest-only"
            [[registry.mirror]]
            location = "tags.local"
            pull-from-mirror = "tag-only"
            [[registry]]
            prefix = "example.com/team"
            location = "internal/moved/team"
            [[registry]]
            prefix = "example.com/team/secret"
            blocked = true
            [[registry]]
            prefix = "*.example.com"
            location = "proxy.local/all"
            [[registry]]
            prefix = "*.plain.net"
            insecure = true
            "#,
        )
        .unwrap();
        let cases = [
            (
                "debian",
                "mirror.local:5000/hub/library/debian insecure mirror, tags.local/library/debian mirror, docker.io/library/debian",
            ),
            (
                &format!("debian{DIGEST}"),
                "mirror.local:5000/hub/library/debian insecure mirror, digests.local/library/debian mirror, docker.io/library/debian",
            ),
            ("example.com/team/app:1", "internal/moved/team/app"),
            ("example.com/team", "internal/moved/team"),
            ("example.com/teams/app", "unknown"),
            ("example.com/team/secret/x", "example.com/team/secret/x blocked"),
            ("a.b.example.com/x", "proxy.local/all/x"),
            ("notexample.com/x", "unknown"),
            ("a.plain.net/x", "a.plain.net/x insecure"),
        ];
        for (name, expected) in cases {
            assert_eq!(show(&conf, name), expected, "{name}");
        }
    }

    #[test]
    fn names_without_a_host_are_completed() {
        let mut conf =
            parse("[aliases]\n\"fedora\" = \"registry.fedoraproject.org/fedora\"\n\"own\" = \"a.io/own\"")
                .unwrap();
        let show = |conf: &RegistriesConf, text: &str| match conf.complete(&text.parse().unwrap()) {
            Ok(name) => name.to_string(),
            Err(invalid) => invalid.to_string(),
        };
        assert_eq!(show(&conf, "fedora:41"), "registry.fedoraproject.org/fedora:41");
        assert_eq!(
            show(&conf, &format!("fedora{DIGEST}")),
            format!("registry.fedoraproject.org/fedora{DIGEST}")
        );
        assert_eq!(show(&conf, "docker.io/fedora"), "docker.io/library/fedora:latest");
        assert_eq!(show(&conf, "debian"), "docker.io/library/debian:latest");
        conf.merge(parse("unqualified-search-registries = [\"quay.io\"]\n[aliases]\nown = \"\"").unwrap());
        assert_eq!(show(&conf, "own"), "quay.io/own:latest");
        assert_eq!(show(&conf, "library/app"), "quay.io/library/app:latest");
        conf.merge(parse("").unwrap());
        assert_eq!(show(&conf, "app"), "quay.io/app:latest");
        conf.merge(parse("unqualified-search-registries = [\"quay.io\", \"docker.io\"]").unwrap());
        assert_eq!(show(&conf, "fedora"), "registry.fedoraproject.org/fedora:latest");
        insta::assert_snapshot!(show(&conf, "app"), @"it could be in any of `quay.io`, `docker.io`; write which, or give it an alias");
        conf.merge(parse("unqualified-search-registries = [\"A/B\"]").unwrap());
        insta::assert_snapshot!(show(&conf, "app"), @"`A/B/app` is not the name of a repository");
    }

    #[test]
    fn later_files_win_by_prefix() {
        let mut conf = parse("[[registry]]\nlocation = \"a.io\"\nblocked = true\n[[registry]]\nlocation = \"b.io\"\nblocked = true").unwrap();
        conf.merge(parse("[[registry]]\nlocation = \"a.io\"\ninsecure = true").unwrap());
        assert_eq!(show(&conf, "a.io/x"), "a.io/x insecure");
        assert_eq!(show(&conf, "b.io/x"), "b.io/x blocked");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(message("[registries.search]\nregistries = [\"a\"]"), @"it is of version 1 of the format, expected version 2, with `[[registry]]`");
        insta::assert_snapshot!(message("[[registry]]\ninsecure = true"), @"a `[[registry]]` has neither `prefix` nor `location`");
        insta::assert_snapshot!(message("[[registry]]\nprefix = \"a.*.io\""), @"prefix `a.*.io` is not `HOST[/PATH]` or `*.HOST`");
        insta::assert_snapshot!(message("[[registry]]\nlocation = 7"), @"invalid type: integer `7`, expected a string in line 2");
        insta::assert_snapshot!(message("[[registry]]\nlocation = \"a\"\n[[registry.mirror]]\nlocation = \"b\"\npull-from-mirror = \"x\""), @"`pull-from-mirror` is `x`, expected `all`, `digest-only` or `tag-only`");
        insta::assert_snapshot!(message("a b"), @"key with no value, expected `=` in line 1");
        let conf = parse("[[registry]]\nprefix = \"a.io\"\nlocation = \"B/C\"").unwrap();
        let lost = conf.routes(&"a.io/x".parse().unwrap()).unwrap_err();
        insta::assert_snapshot!(lost, @"`B/C/x` is not the name of a repository");
    }
}
