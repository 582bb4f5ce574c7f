//! What `bench` asks for.

use std::num::NonZeroU32;
use std::path::PathBuf;

use link::Link;
use registry::Reference;
use registry::platform::Selector;
use server::Serves;

use super::place::image;
use super::{Invalid, Request};
use crate::args::{self, BenchRanges, BenchStrategy, Form, RegistryArgs};

/// Pulls to be measured.
#[derive(Debug)]
pub(crate) struct BenchPull {
    /// The image, if it is not to be made up.
    pub(crate) image: Option<Reference>,
    /// The image to be updated.
    pub(crate) from: Option<Reference>,
    pub(crate) links: Vec<Link>,
    pub(crate) strategies: Vec<BenchStrategy>,
    pub(crate) runs: NonZeroU32,
    /// What the registry makes of requests for ranges, where it is ours.
    pub(crate) serves: Serves,
    /// The file that makes an image ready.
    pub(crate) read: Option<String>,
    pub(crate) peers: bool,
    pub(crate) work: Option<PathBuf>,
    pub(crate) keep_caches: bool,
    pub(crate) html: Option<PathBuf>,
    pub(crate) platform: Option<Selector>,
    pub(crate) registry: RegistryArgs,
    pub(crate) form: Form,
}

/// All strategies there are.
const STRATEGIES: [BenchStrategy; 6] = [
    BenchStrategy::Cheapest,
    BenchStrategy::Stream,
    BenchStrategy::Parallel,
    BenchStrategy::OneRange,
    BenchStrategy::ManyRanges,
    BenchStrategy::Lazy,
];

pub(super) fn pull(args: args::BenchPull) -> Result<Request, Invalid> {
    let is_wanted = |strategy: &BenchStrategy| args.strategy.is_empty() || args.strategy.contains(strategy);
    Ok(Request::BenchPull(Box::new(BenchPull {
        image: args.image.as_deref().map(image).transpose()?,
        from: args.from.as_deref().map(image).transpose()?,
        links: args.link,
        strategies: STRATEGIES.into_iter().filter(is_wanted).collect(),
        runs: args.runs,
        serves: match args.ranges {
            BenchRanges::Many => Serves::Many,
            BenchRanges::One => Serves::One,
            BenchRanges::OneOrNothing => Serves::OneOrNothing,
            BenchRanges::None => Serves::Whole,
        },
        read: args.read,
        peers: args.peers,
        work: args.work,
        keep_caches: args.keep_caches,
        html: args.html,
        platform: args.platform,
        registry: args.registry,
        form: args.form,
    })))
}
