//! Pulling in turns.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use mount::rootfs;
use rustix::process::geteuid;
use server::Serves;

use super::contender::{Contender, Morsel, Soci, Target, left_out, peers};
use super::disk::Disk;
use super::images::{Image, Images, Ready};
use super::plan::{Case, Phase};
use super::report::{Report, Run, Summary};
use super::stage::Stage;
use super::watch::Watch;
use super::{caches, plan, verdict};
use crate::args::BenchStrategy;
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::request::BenchPull;
use crate::ui::steps::Steps;

/// The round of pulls that nobody counts.
const NOT_COUNTED: u32 = u32::MAX;

/// Everything that is needed to pull.
pub(super) struct Bench<'a> {
    request: &'a BenchPull,
    images: Images,
    stage: Stage,
    contenders: Vec<Box<dyn Contender>>,
    notes: Vec<String>,
    work: &'a Path,
}

impl<'a> Bench<'a> {
    pub(super) fn start(request: &'a BenchPull, images: Images, work: &'a Path) -> anyhow::Result<Self> {
        let mut notes = Vec::new();
        let can_mount = rootfs::permit().is_ok();
        if !can_mount {
            notes.push(
                "only root can mount: when an image is ready is not known, and `lazy` is left out".to_owned(),
            );
        }
        let strategies =
            request.strategies.iter().filter(|strategy| can_mount || **strategy != BenchStrategy::Lazy);
        let start = |strategy: &BenchStrategy| -> anyhow::Result<Box<dyn Contender>> {
            let words = request.registry.words();
            Ok(Box::new(Morsel::new(*strategy, words, work.join("cache"), can_mount)?))
        };
        let mut contenders = strategies.map(start).collect::<Result<Vec<_>, _>>()?;
        ensure!(
            !contenders.is_empty(),
            "only root can mount, and nothing but `--strategy lazy` was asked for"
        );
        let mut tls = None;
        if request.peers {
            let (peers, missing) = peers(images.has_originals());
            contenders.extend(peers);
            notes.extend(missing);
            match soci(&images, can_mount, work) {
                Ok(soci) => {
                    tls = Some(soci.tls());
                    contenders.push(Box::new(soci));
                }
                Err(error) => notes.push(shorten(&left_out("soci", &error))),
            }
        }
        let stage = Stage::start(&images.source, request.serves, &request.links, tls)?;
        Ok(Self { request, images, stage, contenders, notes, work })
    }

    /// Lists what is to be measured.
    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for link in 0..self.request.links.len() {
            for phase in
                Phase::ALL.into_iter().filter(|phase| self.images.old.is_some() || *phase != Phase::Update)
            {
                for contender in 0..self.contenders.len() {
                    cases.push(Case { link, phase, contender });
                }
            }
        }
        // Where nothing is missing, all strategies are one.
        let is_first = |contender: usize| contender == 0 || self.is_peer(contender);
        cases.retain(|case| case.phase != Phase::Repeat || is_first(case.contender));
        cases
    }

    fn is_peer(&self, contender: usize) -> bool {
        self.contenders.get(contender).is_some_and(|contender| contender.about().is_peer)
    }

    /// Pulls in all ways, over all links.
    pub(super) fn run(mut self, interrupt: &Interrupt) -> anyhow::Result<Report> {
        let cases = self.cases();
        let turns = plan::turns(&cases, self.request.runs.get());
        // The first pull over a link teaches what the host can do, and touches memory for the first time: nobody counts it.
        for link in 0..self.request.links.len() {
            interrupt.check()?;
            self.turn(NOT_COUNTED, Case { link, phase: Phase::Cold, contender: 0 })?;
        }
        let runs = self.turns(turns, interrupt)?;
        self.note(&runs);
        let summaries = cases.iter().filter_map(|case| Summary::of(*case, &runs)).collect();
        let mut report = Report {
            machine: Machine::this(),
            new: self.images.new,
            old: self.images.old,
            links: self.request.links.iter().map(ToString::to_string).collect(),
            ranges: self.images.source.layouts().map(|_| ranges(self.request.serves)),
            contenders: self.contenders.iter().map(|contender| contender.about().clone()).collect(),
            rounds: self.request.runs.get(),
            notes: self.notes,
            verdicts: Vec::new(),
            summaries,
            runs,
        };
        report.verdicts = verdict::all(&report);
        Ok(report)
    }

    /// Takes turns. What a peer cannot do is part of the comparison; for what morsel cannot do there is none.
    fn turns(&mut self, turns: Vec<(u32, Case)>, interrupt: &Interrupt) -> anyhow::Result<Vec<Run>> {
        let steps = Steps::start("pulls", turns.len() as u64, self.request.form);
        let (mut runs, mut failed) = (Vec::new(), Vec::<Case>::new());
        for (round, case) in turns {
            steps.done();
            interrupt.check()?;
            if failed.contains(&case) {
                continue;
            }
            match self.turn(round, case) {
                Ok(run) => runs.push(run),
                Err(error) if self.is_peer(case.contender) => {
                    // What was killed with this process did not fail.
                    interrupt.check()?;
                    failed.push(case);
                    let link = self.request.links.get(case.link).map(ToString::to_string).unwrap_or_default();
                    let why = shorten(&format!("{error:#}"));
                    self.notes.push(format!("{}, over {link}: {why}", case.phase.name()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(runs)
    }

    /// Says what keeps numbers from being what they could be.
    fn note(&mut self, runs: &[Run]) {
        if !self.request.keep_caches && !geteuid().is_root() {
            self.notes.push("only root can drop the page cache: it was warm".to_owned());
        }
        if let Ready::Read(paths) = &self.images.ready
            && rootfs::permit().is_ok()
            && runs.iter().all(|run| self.is_peer(run.contender) || run.ready.is_none())
        {
            let why = match paths.as_slice() {
                [] => "the image names no program".to_owned(),
                paths => format!("the image has none of `{}`", paths.join("`, `")),
            };
            self.notes.push(format!("{why}: when it is ready is not known; `--read PATH` names a file"));
        }
    }

    /// Pulls once, into a store of its own.
    fn turn(&self, round: u32, case: Case) -> anyhow::Result<Run> {
        let contender = self.contenders.get(case.contender).context("nobody pulls")?;
        let name = &contender.about().name;
        // Nothing is removed before the end: ext4 makes files slowly where others were removed just before.
        let place = self.work.join(format!("{round}-{}-{}-{}", case.link, case.phase.name(), case.contender));
        fs::create_dir(&place).with_context(|| format!("cannot make `{}`", place.display()))?;
        let disk = || Disk::mount(place.with_extension("ext4"), &place);
        let _disk = self.request.new_disks.then(disk).transpose()?;
        let before = match case.phase {
            Phase::Cold => None,
            Phase::Update => self.images.old.as_ref(),
            Phase::Repeat => Some(&self.images.new),
        };
        if let Some(image) = before {
            let link = contender.reads_again().then_some(case.link);
            contender
                .prepare(&self.target(image, link), &place)
                .with_context(|| format!("{name} cannot pull `{}`", image.name))?;
            contender.settle(&place)?;
        }
        rustix::fs::sync();
        if !self.request.keep_caches {
            caches::drop(self.images.source.layouts());
            contender.warm_up();
        }
        let run = self
            .measure((round, case), &**contender, &place)
            .with_context(|| format!("{name} cannot pull `{}`", self.images.new.name))?;
        contender.settle(&place)?;
        Ok(run)
    }

    fn measure(&self, turn: (u32, Case), contender: &dyn Contender, place: &Path) -> anyhow::Result<Run> {
        let link = turn.1.link;
        let mut watch = Watch::new(&self.stage, link);
        let pulled = contender.pull(&self.target(&self.images.new, Some(link)), place, &mut watch)?;
        Ok(Run::new(turn, &pulled, watch.finish()))
    }

    /// Returns the way to an image, over a link or without any.
    fn target(&self, image: &Image, link: Option<usize>) -> Target {
        let Stage { plain, by_tls, .. } = &self.stage;
        let (address, is_ours) = (plain.address(link), plain.address(None).is_some());
        let host = address.filter(|_| is_ours).map(|address| format!("{address}/"));
        let by_tls = by_tls.as_ref().and_then(|door| door.address(link));
        Target {
            original: host.clone().unwrap_or_default() + &image.original,
            original_by_tls: by_tls.map(|address| format!("{address}/{}", image.original)),
            name: host.unwrap_or_default() + &image.path,
            is_ours,
            proxy: address.filter(|_| !is_ours).map(|address| format!("http://{address}")),
            link,
            platform: self.request.platform.as_ref().map(ToString::to_string),
            ready: self.images.ready.clone(),
        }
    }
}

/// Gets soci ready, which takes an index beside each image.
fn soci(images: &Images, can_mount: bool, work: &Path) -> anyhow::Result<Soci> {
    ensure!(can_mount, "only root can mount");
    let layouts = images.source.layouts().context("nobody pushes an index of the image to its registry")?;
    let originals: Vec<_> = images.all().map(|image| image.original.as_str()).collect();
    Soci::prepare(layouts, &originals, work)
}

/// Leaves out the middle of a long text, on one line.
fn shorten(text: &str) -> String {
    const ENDS: usize = 160;
    let words: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    match words.len() {
        0..=400 => words.iter().collect(),
        len => words.iter().take(ENDS).chain(&['.', '.', '.']).chain(words.iter().skip(len - ENDS)).collect(),
    }
}

/// Says what a registry makes of requests for ranges.
fn ranges(serves: Serves) -> &'static str {
    match serves {
        Serves::Many => "which serves many ranges in a request",
        Serves::One => "which serves one range in a request, and for several the whole blob",
        Serves::OneOrNothing => "which serves one range in a request, and refuses several",
        Serves::Whole => "which serves whole blobs only",
    }
}
