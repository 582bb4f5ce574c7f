//! Who pulls.

mod background;
mod containerd;
mod morsel;
mod peer;
mod soci;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;

use super::images::Ready;
use super::watch::Watch;

pub(super) use morsel::Morsel;
pub(super) use peer::{left_out, peers};
pub(super) use soci::Soci;

/// A program that pulls images, in one of its ways.
pub(super) trait Contender {
    /// Says who it is, and what it does.
    fn about(&self) -> &About;

    /// Tells whether content that it brought in before may be read from where it was, so that this has to be at the same end of a
    /// link.
    fn reads_again(&self) -> bool {
        false
    }

    /// Starts the program for nothing, so that it is in memory when it is measured, as morsel is: it runs the benchmark.
    fn warm_up(&self) {}

    /// Brings an image in without being measured.
    fn prepare(&self, image: &Target, place: &Path) -> anyhow::Result<()>;

    /// Does what is left to do behind a pull in a place, so that it disturbs nobody.
    fn settle(&self, _place: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    /// Pulls an image into a place of its own.
    fn pull(&self, image: &Target, place: &Path, watch: &mut Watch<'_>) -> anyhow::Result<Pulled>;
}

/// What is said of a contender.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct About {
    pub(crate) name: String,
    /// Whether it is a peer, not morsel itself.
    pub(crate) is_peer: bool,
    /// Whether files are there afterwards: who does less is not compared.
    pub(crate) unpacks: bool,
    pub(crate) version: Option<String>,
    /// What it does, in a line.
    pub(crate) does: String,
    /// Where comparing it is unfair, to whomever.
    pub(crate) unfair: Option<String>,
}

/// The variables that lead to proxies, or past them.
const PROXY_VARIABLES: [&str; 6] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"];

/// Lets a program reach a registry as the target says, whatever leads others to theirs.
fn through<'c>(command: &'c mut Command, image: &Target) -> &'c mut Command {
    PROXY_VARIABLES.iter().for_each(|variable| {
        command.env_remove(variable);
    });
    match &image.proxy {
        Some(proxy) => command.env("https_proxy", proxy).env("http_proxy", proxy),
        // What is on this machine is reached without help.
        None => command.env("no_proxy", "127.0.0.1"),
    }
}

/// An image, and the way to it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Its name, with the host.
    pub(super) name: String,
    /// The name of the image as it was before it was converted, where there is one.
    pub(super) original: String,
    /// The same where the registry speaks TLS, if it does.
    pub(super) original_by_tls: Option<String>,
    /// Whether the registry is on this machine, and speaks no TLS.
    pub(super) is_ours: bool,
    /// The HTTP proxy through which it is reached.
    pub(super) proxy: Option<String>,
    /// The link that it is reached over, if there is one.
    pub(super) link: Option<usize>,
    /// The platform, if it is not that of this machine.
    pub(super) platform: Option<String>,
    pub(super) ready: Ready,
}

impl Target {
    /// Returns the platform in its parts: the operating system, the architecture and, if it matters, its variant.
    fn parts(&self) -> impl Iterator<Item = &str> {
        self.platform.iter().flat_map(|platform| platform.split('/'))
    }
}

/// What a pull took.
#[derive(Debug, Default)]
pub(super) struct Pulled {
    pub(super) wall: Duration,
    /// Until the image could be used.
    pub(super) ready: Option<Duration>,
    pub(super) cpu: Duration,
    pub(super) peak_memory: u64,
    /// What it says itself.
    pub(super) receipt: Option<Receipt>,
}

/// What a contender says of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Receipt {
    pub(crate) requests: u64,
    /// Bytes that were missing.
    pub(crate) needed: u64,
    /// Bytes that came and were not needed.
    pub(crate) wasted: u64,
    /// Bytes of content that were here.
    pub(crate) reused: u64,
}
