//! How this machine and its user get at registries: the files and variables that other tools of the field read, too.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use registry::auth::{Credentials, Given};
use registry::client::{Options, Registries};
use registry::config::{self, Files};
use registry::http::{self, Proxies, Verification};
use registry::transport::Access;
use registry::{Hosts, Name};

use crate::args::RegistryArgs;
use crate::output::scratch;

/// Where certificates for single hosts are, below the user's directory of configuration and for all users.
const CERTS_OF_USER: &str = "containers/certs.d";
const REGISTRIES_CONF: &str = "/etc/containers/registries.conf";
const CERTS: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// Puts together what the command line, the environment and the home directory say.
pub(crate) fn access(args: &RegistryArgs) -> anyhow::Result<Access> {
    let options = options(args)?;
    Ok(Access { scratch: scratch(), registries: Registries::new(options) })
}

/// Puts together how to get at a registry on behalf of a program that says which credentials it has, if any, and whether
/// the registry has to prove who it is.
pub(crate) fn access_for(
    name: &Name,
    credentials: Option<Credentials>,
    verification: Verification,
) -> anyhow::Result<Access> {
    let options = options(&RegistryArgs::default())?;
    let is_insecure =
        config::is_insecure(&options.places, name).context("cannot tell how to ask the registry")?;
    let verification = if is_insecure { Verification::Off } else { verification };
    let credentials = credentials.map(|credentials| Given { host: name.host().to_owned(), credentials });
    let options = Options { auth_files: Vec::new(), credentials, verification, ..options };
    Ok(Access { scratch: scratch(), registries: Registries::new(options) })
}

fn options(args: &RegistryArgs) -> anyhow::Result<Options> {
    Ok(Options {
        http: http_options(args),
        verification: if args.tls_verify { Verification::On } else { Verification::Off },
        auth_files: auth_files(args.authfile.as_deref())?,
        cert_dir: args.cert_dir.clone(),
        places: places(),
        certs: config_home()
            .map(|home| home.join(CERTS_OF_USER))
            .into_iter()
            .chain(CERTS.map(PathBuf::from))
            .collect(),
        hosts: hosts_file().map_or_else(Hosts::default, |file| Hosts::load(&file)),
        credentials: None,
    })
}

fn http_options(args: &RegistryArgs) -> http::Options {
    let options = http::Options { proxies: proxies(), ..http::Options::default() };
    let given = args.timeout.map(|seconds| Duration::from_secs(seconds.get().into()));
    http::Options { stall_timeout: given.unwrap_or(options.stall_timeout), ..options }
}

/// Keeps what was learned of the hosts of blobs for the next run. It is only a cache: that it cannot be written is no
/// failure.
pub(crate) fn remember(access: &Access) {
    if let Some(file) = hosts_file()
        && let Some(Ok(())) = file.parent().map(fs::create_dir_all)
    {
        let _ = access.registries.hosts().save(&file);
    }
}

fn hosts_file() -> Option<PathBuf> {
    let cache = path("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache")))?;
    Some(cache.join("morsel/hosts.json"))
}

/// Lists the files of containers-registries.conf(5), the one of the user in place of the one for all, and the directory
/// of containerd.
fn places() -> Files {
    let of_user = config_home().map(|home| home.join("containers/registries.conf"));
    let named = path("CONTAINERS_REGISTRIES_CONF").or_else(|| of_user.clone().filter(|file| file.exists()));
    let mut registries = vec![named.unwrap_or_else(|| PathBuf::from(REGISTRIES_CONF))];
    registries.extend(drop_ins(Path::new("/etc/containers/registries.conf.d")));
    registries.extend(of_user.iter().flat_map(|file| drop_ins(&file.with_extension("conf.d"))));
    Files { registries, hosts: vec![PathBuf::from("/etc/containerd/certs.d")] }
}

/// Lists the files of a directory of further configuration, by name.
fn drop_ins(dir: &Path) -> Vec<PathBuf> {
    let entries = dir.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "conf")).collect();
    files.sort();
    files
}

/// Lists the files with credentials in the order of containers-auth.json(5). One that was named has to be there.
fn auth_files(named: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
    let named = named.map(Path::to_owned).or_else(|| path("REGISTRY_AUTH_FILE"));
    if let Some(file) = named {
        ensure_file(&file)?;
        return Ok(vec![file]);
    }
    let docker = path("DOCKER_CONFIG").or_else(|| Some(home()?.join(".docker")));
    let files = [
        path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        Some(PathBuf::from(format!("/run/containers/{}/auth.json", rustix::process::getuid().as_raw()))),
        config_home().map(|dir| dir.join("containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ];
    Ok(files.into_iter().flatten().collect())
}

fn ensure_file(path: &Path) -> anyhow::Result<()> {
    let metadata =
        path.metadata().with_context(|| format!("cannot read the credentials in `{}`", path.display()))?;
    ensure!(!metadata.is_dir(), "`{}` is a directory, expected a file with credentials", path.display());
    Ok(())
}

/// Reads the usual variables, of which the lower-case ones win, as with other programs.
fn proxies() -> Proxies {
    let read = |lower: &str, upper: &str| {
        let text = |name| env::var(name).ok().filter(|text: &String| !text.is_empty());
        text(lower).or_else(|| text(upper))
    };
    Proxies {
        http: read("http_proxy", "HTTP_PROXY"),
        https: read("https_proxy", "HTTPS_PROXY"),
        except: read("no_proxy", "NO_PROXY"),
    }
}

pub(crate) fn config_home() -> Option<PathBuf> {
    path("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")))
}

fn home() -> Option<PathBuf> {
    path("HOME")
}

fn path(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
