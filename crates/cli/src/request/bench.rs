//! What `bench` asks for.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::thread;

use link::Link;
use registry::platform::Selector;
use registry::{Name, Reference};
use server::Serves;

use super::place::{Place, image, place};
use super::{Invalid, LayerPlace, Request};
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
    /// The command that does.
    pub(crate) run: Option<String>,
    pub(crate) peers: bool,
    pub(crate) work: Option<PathBuf>,
    /// Whether every store has a file system of its own.
    pub(crate) new_disks: bool,
    pub(crate) keep_caches: bool,
    pub(crate) html: Option<PathBuf>,
    /// Where pictures go.
    pub(crate) pictures: Option<PathBuf>,
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
        run: args.run,
        peers: args.peers,
        work: args.work,
        new_disks: args.new_disks,
        keep_caches: args.keep_caches,
        html: args.html,
        pictures: args.pictures,
        platform: args.platform,
        registry: args.registry,
        form: args.form,
    })))
}

/// A registry to be measured.
#[derive(Debug)]
pub(crate) struct BenchRegistry {
    pub(crate) name: Name,
    /// Bounds of a measurement.
    pub(crate) bytes: u64,
    pub(crate) seconds: u64,
    pub(crate) json: bool,
    pub(crate) registry: RegistryArgs,
}

pub(super) fn registry(args: args::BenchRegistry) -> Result<Request, Invalid> {
    match place(&args.image)? {
        Place::Image(Reference::Registry(name)) => Ok(Request::BenchRegistry(BenchRegistry {
            name,
            bytes: args.bytes,
            seconds: args.seconds.get().into(),
            json: args.json,
            registry: args.registry,
        })),
        _ => Err(Invalid::NotInRegistry(args.image)),
    }
}

/// Conversions to be measured.
#[derive(Debug)]
pub(crate) struct BenchConvert {
    pub(crate) source: BenchSource,
    pub(crate) levels: Vec<i32>,
    pub(crate) jobs: Vec<usize>,
    pub(crate) runs: NonZeroU32,
    pub(crate) work: Option<PathBuf>,
    /// That of this machine.
    pub(crate) platform: String,
    pub(crate) registry: RegistryArgs,
    pub(crate) form: Form,
}

/// What is converted.
#[derive(Debug)]
pub(crate) enum BenchSource {
    /// A layer in a file.
    Layer(PathBuf),
    /// An image.
    Image(Reference),
}

impl BenchConvert {
    /// Tells whether there is a network between this machine and the source.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.source, BenchSource::Image(Reference::Registry(_)))
    }
}

pub(super) fn convert(args: args::BenchConvert) -> Result<Request, Invalid> {
    let source = match place(&args.source)? {
        Place::Image(reference) => BenchSource::Image(reference),
        Place::Layer(LayerPlace::File(path)) => BenchSource::Layer(path),
        Place::Layer(LayerPlace::Stream) => return Err(Invalid::StreamToRepeat),
    };
    let given = args.jobs.iter().map(|jobs| jobs.get()).collect();
    Ok(Request::BenchConvert(Box::new(BenchConvert {
        source,
        levels: args.level.iter().map(|level| level.get()).collect(),
        jobs: if args.jobs.is_empty() { all_jobs() } else { given },
        runs: args.runs,
        work: args.work,
        platform: Selector::host().to_string(),
        registry: args.registry,
        form: args.form,
    })))
}

/// Lists 1, 2, 4 and so on, up to one for each processor.
fn all_jobs() -> Vec<usize> {
    let most = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut jobs: Vec<_> = (0..usize::BITS).map(|shift| 1 << shift).take_while(|jobs| *jobs < most).collect();
    jobs.push(most);
    jobs
}
