//! `morsel unpack`.

mod text;

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use chunked::{BlobDigest, ContentDigest};
use serde::Serialize;
use store::unpack::{Contents, Options, Report, unpack};
use store::{Image, Store};

use crate::args::{Form, Unpack};
use crate::image_name;
use crate::interrupt::Interrupt;
use crate::output::print;
use crate::ui;
use crate::ui::json::to_json;

/// What was unpacked, and what became of it.
#[derive(Debug, Serialize)]
struct Unpacked {
    image: String,
    manifest: BlobDigest,
    directory: String,
    #[serde(flatten)]
    report: Report,
    /// Why it was not mounted; `None` when nobody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_mounted: Option<String>,
    seconds: f64,
}

/// Makes the files of an image that is in the store.
pub(crate) fn run(args: &Unpack) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let cannot = || format!("cannot unpack `{}` to `{}`", args.image, args.directory.display());
    let started = Instant::now();
    let store = args.store.open()?;
    let image = image_name::find(store.images(), &args.image).with_context(cannot)?;
    let defaults = Options::default();
    let owners = args.owner.clone().unwrap_or(defaults.owners);
    let options = Options { owners, sync: args.sync, ..defaults };
    let report = match unpack_image(&store, &image, &args.directory, &options, &interrupt) {
        Err(error) => {
            interrupt.die_if_asked();
            return Err(error).with_context(cannot);
        }
        Ok(report) => report,
    };
    say(&Unpacked::new(&image, &args.directory, report, started, None), &args.form)
}

/// Makes the files of an image where it cannot be mounted.
pub(super) fn instead_of_mount(
    store: &Store,
    image: &Image,
    directory: &Path,
    why: String,
    form: &Form,
) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let started = Instant::now();
    let report = unpack_image(store, image, directory, &Options::default(), &interrupt)?;
    say(&Unpacked::new(image, directory, report, started, Some(why)), form)
}

fn say(unpacked: &Unpacked, form: &Form) -> anyhow::Result<ExitCode> {
    if form.json {
        print(&to_json(unpacked)?)?;
    } else if !form.quiet {
        ui::say(&text::of(unpacked, Duration::from_secs_f64(unpacked.seconds)));
    }
    Ok(ExitCode::SUCCESS)
}

impl Unpacked {
    fn new(
        image: &Image,
        directory: &Path,
        report: Report,
        started: Instant,
        not_mounted: Option<String>,
    ) -> Self {
        Self {
            image: image.name.clone(),
            manifest: image.manifest,
            directory: directory.display().to_string(),
            report,
            not_mounted,
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}

fn unpack_image(
    store: &Store,
    image: &Image,
    directory: &Path,
    options: &Options,
    interrupt: &Interrupt,
) -> Result<Report, store::Error> {
    unpack(&store.tree(image)?, &GuardedContents { store, interrupt }, directory, options)
}

/// The contents of the store, until the process is asked to stop.
struct GuardedContents<'a> {
    store: &'a Store,
    interrupt: &'a Interrupt,
}

impl Contents for GuardedContents<'_> {
    fn open(&self, digest: &ContentDigest) -> Result<Option<File>, store::Error> {
        let stopped = |source: io::Error| {
            let path = self.store.path().to_owned();
            store::Error::File { action: "read from", path, source }
        };
        self.interrupt.check().map_err(stopped)?;
        self.store.objects().open(digest)
    }
}
