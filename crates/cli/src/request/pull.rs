//! What `pull`, `estimate`, and the verbs that pull on the way ask for.

use std::num::NonZeroUsize;

use chunked::Link;
use chunked::plan::Way;
use registry::Reference;
use registry::platform::Selector;
use store::fetch::{self, Verification};
use store::pull::LAYERS_AT_ONCE;

use super::place::image;
use super::{Invalid, Request};
use crate::args::{self, Form, RegistryArgs};
use crate::config::Policy;

/// Images to bring into the store.
#[derive(Debug)]
pub(crate) struct Pull {
    pub(crate) references: Vec<Reference>,
    /// The platform, if not this machine's.
    pub(crate) platform: Option<Selector>,
    pub(crate) layers: NonZeroUsize,
    pub(crate) fetch: fetch::Options,
    /// Names of places that may hold content.
    pub(crate) seeds: Vec<String>,
    /// Whether to wait until everything is on disk.
    pub(crate) sync: bool,
    pub(crate) store: args::StorePlace,
    pub(crate) registry: RegistryArgs,
    pub(crate) form: Form,
}

/// Images to let engines find.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) pull: Pull,
    pub(crate) wish: Wish,
}

/// How an image is to be published, where it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Whether engines get it before its content is here.
    pub(crate) is_lazy: bool,
    pub(crate) layout: args::Layout,
    /// Why it cannot be lazy, if that is known.
    pub(crate) obstacle: Option<String>,
}

/// A pull to estimate.
#[derive(Debug)]
pub(crate) struct Estimate {
    pub(crate) reference: Reference,
    /// The image to compare with, if not the store.
    pub(crate) from: Option<Reference>,
    /// The link, if not the one that is remembered.
    pub(crate) link: Option<Link>,
    /// The platform, if not this machine's.
    pub(crate) platform: Option<Selector>,
    /// Whether the requests are wanted.
    pub(crate) plan: bool,
    /// Whether programs want it.
    pub(crate) json: bool,
    pub(crate) store: args::StorePlace,
    pub(crate) registry: RegistryArgs,
}

pub(super) fn pull(args: args::Pull) -> Result<Request, Invalid> {
    let defaults = fetch::Options::default();
    let fetch = fetch::Options {
        jobs: args.jobs.unwrap_or(defaults.jobs),
        verification: match args.verify {
            args::Verification::DiffId => Verification::DiffId,
            args::Verification::Toc => Verification::Toc,
        },
        way: args.strategy.into(),
        ..defaults
    };
    Ok(Request::Pull(Box::new(Pull {
        references: args.images.iter().map(|text| image(text)).collect::<Result<_, _>>()?,
        platform: args.platform,
        layers: args.layers,
        fetch,
        seeds: args.seed,
        sync: args.sync,
        store: args.store,
        registry: args.registry,
        form: args.form,
    })))
}

impl From<args::Strategy> for Way {
    fn from(strategy: args::Strategy) -> Self {
        match strategy {
            args::Strategy::Cheapest => Self::Cheapest,
            args::Strategy::Stream => Self::Stream,
            args::Strategy::Parallel => Self::Parallel,
            args::Strategy::OneRange => Self::OneRange,
            args::Strategy::ManyRanges => Self::ManyRanges,
        }
    }
}

pub(super) fn publish(args: args::Publish) -> Result<Request, Invalid> {
    let pull = Pull {
        references: args.images.iter().map(|text| image(text)).collect::<Result<_, _>>()?,
        platform: args.platform,
        layers: LAYERS_AT_ONCE,
        fetch: fetch::Options::default(),
        seeds: args.seed,
        sync: true,
        store: args.store,
        registry: args.registry,
        form: args.form,
    };
    let wish = Wish { is_lazy: args.lazy, layout: args.layout, obstacle: None };
    Ok(Request::Publish(Box::new(Publish { pull, wish })))
}

/// Takes a link that nothing else is known of, as estimates would leave it out.
fn estimated(found: link::Link) -> Result<Link, Invalid> {
    let expected = link::Link::new(found.rate, found.round_trip);
    match found == expected {
        true => Ok(Link::new(found.round_trip, found.rate)),
        false => Err(Invalid::EstimatedLink { found, expected }),
    }
}

pub(super) fn estimate(args: args::Estimate) -> Result<Request, Invalid> {
    Ok(Request::Estimate(Box::new(Estimate {
        reference: image(&args.image)?,
        from: args.from.as_deref().map(image).transpose()?,
        link: args.link.map(estimated).transpose()?,
        platform: args.platform,
        plan: args.plan,
        json: args.json,
        store: args.store,
        registry: args.registry,
    })))
}

impl Pull {
    /// Asks for the image that a command is to be recorded in.
    pub(crate) fn of_record(args: &args::Record) -> Result<Self, Invalid> {
        Ok(Self {
            references: vec![image(&args.image)?],
            platform: args.platform.clone(),
            layers: LAYERS_AT_ONCE,
            fetch: fetch::Options::default(),
            seeds: Vec::new(),
            sync: false,
            store: args.store.clone(),
            registry: args.registry.clone(),
            form: args.form,
        })
    }

    /// Asks for the image that an engine is about to pull.
    pub(crate) fn of_engine(
        reference: &Reference,
        registry: RegistryArgs,
        policy: &Policy,
        args: &args::StorageHelper,
    ) -> Self {
        Self {
            references: vec![reference.clone()],
            platform: None,
            layers: LAYERS_AT_ONCE,
            fetch: fetch::Options::default(),
            seeds: policy.seeds.clone(),
            sync: true,
            store: args.store.clone(),
            registry,
            form: Form { json: false, quiet: true },
        }
    }

    /// Asks for one image that a command needs, in the usual way.
    pub(crate) fn of(text: &str, args: &args::Mount) -> Result<Self, Invalid> {
        Ok(Self {
            references: vec![image(text)?],
            platform: args.platform.clone(),
            layers: LAYERS_AT_ONCE,
            fetch: fetch::Options::default(),
            seeds: Vec::new(),
            sync: false,
            store: args.store.clone(),
            registry: args.registry.clone(),
            // Programs get the report of the command, and nothing else.
            form: Form { json: false, quiet: args.form.quiet || args.form.json },
        })
    }
}
