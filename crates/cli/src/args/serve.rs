//! The words of `serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use server::IndexPolicy;

use super::values::parse_address;

/// Serve a directory of OCI layouts as a registry.
///
/// `DIR/team/app`, a layout, is the repository `team/app`, and stays readable as `oci:DIR/team/app:TAG`. What is pushed is on
/// disk when that is acknowledged. The address is written to standard output once it can be used; SIGTERM and Ctrl-C let
/// requests end and stop the server.
#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// The directory that holds a layout for each repository; made if it is missing
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// IP address and port to listen at; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000", value_parser = parse_address)]
    pub(crate) listen: SocketAddr,

    /// Which manifests an index needs to be taken: `all` that it lists, `none`, or those of platforms, such as
    /// `linux/amd64,linux/arm64/v8`; `no-platform` is those without one
    #[arg(long, value_name = "all|none|LIST", default_value = "all", value_parser = parse_policy)]
    pub(crate) index_platforms: IndexPolicy,

    /// Refuse to take or delete anything
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Speak TLS with this certificate, in PEM form, followed by those that vouch for it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Let in only the users of this file, which `htpasswd -B` makes
    #[arg(long, value_name = "FILE")]
    pub(crate) htpasswd: Option<PathBuf>,

    /// Write a line for each request to standard error
    #[arg(long)]
    pub(crate) log: bool,

    /// Serve nothing, but remove what nothing needs; no server may use the directory meanwhile
    #[arg(long, conflicts_with_all = SERVING)]
    pub(crate) gc: bool,

    /// With --gc: remove manifests that no tag leads to, too, unless they refer to one that stays
    #[arg(long, requires = "gc")]
    pub(crate) untagged: bool,

    /// With --gc: only say what would be removed
    #[arg(long, requires = "gc")]
    pub(crate) dry_run: bool,

    /// Serve nothing, but read everything and say what is damaged; exit code 3 if something is
    #[arg(long, conflicts_with_all = SERVING, conflicts_with = "gc")]
    pub(crate) scrub: bool,

    /// With --gc or --scrub: report as JSON, for programs
    #[arg(long, conflicts_with_all = SERVING)]
    pub(crate) json: bool,
}

/// Options that mean something only while the directory is served.
const SERVING: [&str; 7] =
    ["listen", "index_platforms", "read_only", "tls_cert", "tls_key", "htpasswd", "log"];

fn parse_policy(text: &str) -> Result<IndexPolicy, server::policy::Invalid> {
    text.parse()
}
