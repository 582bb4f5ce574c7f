//! Mirrors the images that a file lists.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use registry::mirror::list::{self, Images, LIST_LEN_MAX, Line, place};
use registry::mirror::{Options, Selection};
use registry::{Name, Reference};
use serde::Serialize;

use super::image::{Job, Mirrored, Run};
use super::text;
use crate::exit;
use crate::output::{print, print_text};
use crate::request::Mirror;
use crate::ui::json::to_json;

/// Most tags of a repository that globs are compared with.
const TAGS_MAX: usize = 100_000;

/// The report for programs.
#[derive(Debug, Default, Serialize)]
pub(super) struct ListReport {
    images: Vec<Mirrored>,
    failures: Vec<Failure>,
    seconds: f64,
    /// What people were told already.
    #[serde(skip)]
    known: HashSet<String>,
}

/// An image that could not be mirrored, or a line that could not be understood as images.
#[derive(Debug, Serialize)]
struct Failure {
    image: String,
    error: String,
    exit_code: u8,
}

/// Mirrors one image after the other. One that fails does not keep others from being mirrored.
pub(super) fn run(request: &Mirror, run: &Run<'_>, file: &Path, base: &str) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let lines = read(file).with_context(|| format!("cannot read the list `{}`", file.display()))?;
    let mut report = ListReport::default();
    for line in &lines {
        let options = options(&request.options, line);
        match sources(run, line) {
            Ok(sources) => report.mirror(request, run, &sources, base, &options)?,
            Err(error) => report.fail(line_name(line), &error),
        }
    }
    run.finish();
    report.seconds = start.elapsed().as_secs_f64();
    match request.form {
        form if form.json => print(&to_json(&report)?)?,
        form if form.quiet => {}
        _ => print_text(&text::of_all(&report.images, report.failures.len(), start.elapsed()))?,
    }
    Ok(report.failures.first().map_or(ExitCode::SUCCESS, |failure| failure.exit_code.into()))
}

impl ListReport {
    fn mirror(
        &mut self,
        request: &Mirror,
        run: &Run<'_>,
        sources: &[Reference],
        base: &str,
        options: &Options,
    ) -> anyhow::Result<()> {
        for source in sources {
            // To be asked to stop is no failure of each image that is left.
            run.check();
            match mirror(run, source, base, options) {
                Ok(mirrored) => self.add(request, mirrored)?,
                Err(error) => self.fail(source.to_string(), &error),
            }
        }
        Ok(())
    }

    fn add(&mut self, request: &Mirror, mirrored: Mirrored) -> anyhow::Result<()> {
        if !request.form.json && !request.form.quiet {
            print_text(&text::of(&mirrored, &mut self.known))?;
        }
        self.images.push(mirrored);
        Ok(())
    }

    fn fail(&mut self, image: String, error: &anyhow::Error) {
        let exit_code = exit::report(error);
        self.failures.push(Failure { image, error: format!("{error:#}"), exit_code });
    }
}

fn mirror(run: &Run<'_>, source: &Reference, base: &str, options: &Options) -> anyhow::Result<Mirrored> {
    let name = match source {
        Reference::Registry(name) => name.clone(),
        other => named(other)?,
    };
    let destination = place(base, &name)?;
    run.mirror(&Job { source, destination: &destination, upstream: None, options })
}

/// Takes the tag of an image in a layout as its name.
fn named(reference: &Reference) -> anyhow::Result<Name> {
    let tag = match reference {
        Reference::OciLayout { tag, .. } | Reference::OciArchive { tag, .. } => tag.as_deref(),
        Reference::Registry(_) | Reference::DockerArchive { .. } => None,
    };
    let tag = tag.with_context(|| format!("`{reference}` has no name for its place at the destination"))?;
    Ok(tag.parse::<Name>()?)
}

fn sources(run: &Run<'_>, line: &Line) -> anyhow::Result<Vec<Reference>> {
    match &line.images {
        Images::One(reference) => Ok(vec![reference.clone()]),
        Images::Tags(name, glob) => {
            let cannot = || format!("cannot list the tags of `{}/{}`", name.host(), name.repository());
            let tags = run.access().registries.tags(name, TAGS_MAX).with_context(cannot)?;
            let fitting = tags.iter().filter(|tag| glob.matches(tag));
            let tagged = fitting.filter_map(|tag| name.with_tag(tag).ok().map(Reference::Registry));
            let tagged: Vec<Reference> = tagged.collect();
            let none =
                || list::Invalid::NoTag { repository: name.repository().to_owned(), glob: glob.to_string() };
            if tagged.is_empty() { Err(none().into()) } else { Ok(tagged) }
        }
    }
}

fn line_name(line: &Line) -> String {
    match &line.images {
        Images::One(reference) => reference.to_string(),
        Images::Tags(name, glob) => format!("{}/{}:{glob}", name.host(), name.repository()),
    }
}

fn options(all: &Options, line: &Line) -> Options {
    if line.platforms.is_empty() {
        return all.clone();
    }
    let selection = Selection { platforms: line.platforms.clone(), ..all.selection.clone() };
    Options { selection, ..all.clone() }
}

fn read(file: &Path) -> anyhow::Result<Vec<Line>> {
    Ok(list::parse(&read_text(file)?)?)
}

/// Reads a file of text that is no longer than a list may be.
pub(super) fn read_text(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let len = File::open(file)?.take(LIST_LEN_MAX + 1).read_to_string(&mut text)?;
    anyhow::ensure!(len as u64 <= LIST_LEN_MAX, "it is longer than {LIST_LEN_MAX} bytes");
    Ok(text)
}
