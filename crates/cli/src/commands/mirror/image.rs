//! Mirrors one image.

use anyhow::Context;
use registry::mirror::{self, Completed, Destination, Done, Options, Placed, Plan};
use registry::transport::{self, Access};
use registry::{ImageSource, Reference};
use serde::Serialize;

use crate::interrupt::Interrupt;
use crate::request::Mirror;
use crate::ui::mirror_progress::MirrorProgress;

/// What the images of one command line share.
pub(super) struct Run<'a> {
    access: &'a Access,
    interrupt: &'a Interrupt,
    progress: &'a MirrorProgress,
    dry_run: bool,
    placed: Placed,
}

/// One image to mirror.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) source: &'a Reference,
    pub(super) destination: &'a Reference,
    pub(super) upstream: Option<&'a Reference>,
    pub(super) options: &'a Options,
}

/// What was planned, and what was done unless only that was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Mirrored {
    #[serde(flatten)]
    pub(super) plan: Plan,
    pub(super) done: Option<Done>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        request: &Mirror,
        access: &'a Access,
        interrupt: &'a Interrupt,
        progress: &'a MirrorProgress,
    ) -> Self {
        Self { access, interrupt, progress, dry_run: request.dry_run, placed: Placed::default() }
    }

    pub(super) fn access(&self) -> &Access {
        self.access
    }

    /// Ends the process if it was asked to stop.
    pub(super) fn check(&self) {
        self.interrupt.die_if_asked();
    }

    /// Takes the progress away, and ends the process if it was asked to stop.
    pub(super) fn finish(&self) {
        self.progress.finish();
        self.interrupt.die_if_asked();
    }

    /// Plans, and does it.
    pub(super) fn mirror(&self, job: &Job<'_>) -> anyhow::Result<Mirrored> {
        let Job { source, destination, options, .. } = *job;
        let cannot = || format!("cannot mirror `{source}` to `{destination}`");
        let image = self.open(job).with_context(cannot)?;
        let image = self.interrupt.guard_image(&*image);
        let mut destination =
            Destination::create(destination, self.access, options.jobs.get()).with_context(cannot)?;
        let plan = mirror::plan(&image, &mut destination, options, &self.placed).with_context(cannot)?;
        if self.dry_run {
            // Later images find what this one would have brought.
            self.placed.assume(&plan, &destination);
            return Ok(Mirrored { plan, done: None });
        }
        let done = mirror::run(&plan, &image, destination, options, &self.placed, self.progress);
        Ok(Mirrored { done: Some(done.with_context(cannot)?), plan })
    }

    fn open(&self, job: &Job<'_>) -> Result<Box<dyn ImageSource>, registry::Error> {
        let image = transport::open(job.source, self.access)?;
        let Some(upstream) = job.upstream else { return Ok(image) };
        Ok(Box::new(Completed::new(image, transport::open(upstream, self.access)?)))
    }
}
