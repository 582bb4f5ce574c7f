//! Doing what an engine asks.

use std::io;

use anyhow::Context;
use containers_storage::AdditionalStore;
use registry::{ImageSource, Reference, transport};

use super::caller::Told;
use super::log::Log;
use super::question::Question;
use crate::access::{access, access_for, remember};
use crate::args::{Layout, StorageHelper};
use crate::commands::publish::{Publisher, place, restore};
use crate::config::{Config, Mode, Policy};
use crate::interrupt::Interrupt;
use crate::request::{Pull, Wish};

/// Reads the question, and publishes the image.
pub(super) fn run(args: &StorageHelper, log: &Log) -> anyhow::Result<()> {
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let (question, _) = Question::read(&mut io::stdin().lock())?;
    let policy =
        Config::load(args.config.as_deref())?.policy(question.name.host(), question.name.repository());
    let told = Told::read();
    if let Err(error) = restore_mounts(args, log) {
        log.failure(&error);
    }
    let name = question.name.clone();
    let outcome = publish(args, &policy, question, &told, &interrupt);
    let outcome = outcome.with_context(|| format!("cannot prepare `{name}`"))?;
    log.say(&format!("{name}: {outcome}"));
    Ok(())
}

/// Mounts what engines find and is not mounted. This is not done while the engine waits without end: it takes a daemon, and the
/// store, which somebody may have for himself.
fn restore_mounts(args: &StorageHelper, log: &Log) -> anyhow::Result<()> {
    let path = args.store.path()?;
    let Ok(additional) = AdditionalStore::open(&place(&path)) else { return Ok(()) };
    if !additional.mounts()?.is_empty() {
        restore(&args.store.open()?, &additional)?.iter().for_each(|line| log.say(line));
    }
    Ok(())
}

fn publish(
    args: &StorageHelper,
    policy: &Policy,
    question: Question,
    told: &Told,
    interrupt: &Interrupt,
) -> anyhow::Result<crate::commands::publish::Outcome> {
    let Question { name, credentials } = question;
    let is_given = credentials.is_some();
    let access = access_for(&name, credentials, told.verification)?;
    let source = transport::open(&Reference::Registry(name), &access)?;
    let store = args.store.create()?;
    let options = Pull::of_engine(source.reference(), told.registry(), policy, args);
    let is_lazy = policy.mode == Mode::Lazy;
    let obstacle = if is_lazy { obstacle(policy, told, &*source, is_given) } else { None };
    let wish = Wish { is_lazy, layout: policy.layout, obstacle };
    let publisher =
        Publisher { store: &store, interrupt, options: &options, wish, is_wanted: &|| told.is_waited_for() };
    let outcome = publisher.publish(&*source, told.platform.as_ref(), told.storage.as_deref())?;
    remember(&access);
    Ok(outcome)
}

/// Says why an image cannot come later, after the engine is gone.
fn obstacle(policy: &Policy, told: &Told, source: &dyn ImageSource, is_given: bool) -> Option<String> {
    if told.maps_users && policy.layout == Layout::Auto {
        return Some("containers with users of their own take plain files".to_owned());
    }
    // What the engine was given on its command line, nobody knows later.
    let opens =
        || transport::open(source.reference(), &access(&told.registry())?).map_err(anyhow::Error::from);
    let error = is_given.then(opens)?.err()?;
    Some(format!("the registry lets nobody in with the credentials that are in files: {error:#}"))
}
