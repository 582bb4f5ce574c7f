//! `morsel mirror verify`.

use std::process::ExitCode;

use anyhow::Context;
use registry::Reference;
use registry::mirror::completeness::{Completeness, Expected, State, Verdict, examine};
use registry::mirror::list::parse_platforms;
use registry::transport::{self, Access};
use serde::Serialize;

use super::list::read_text;
use super::verify_text;
use crate::access::access;
use crate::exit;
use crate::interrupt::Interrupt;
use crate::output::{print, print_text};
use crate::request::MirrorVerify;
use crate::ui::json::to_json;

/// The report for programs.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) image: Completeness,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compared: Option<Compared>,
}

/// What another image has of the same.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) other: Completeness,
    /// Whether both have the same index, byte for byte.
    pub(super) same_index: bool,
    /// The platforms, or else digests, that only the first one has.
    pub(super) only_here: Vec<String>,
    /// Those that only the other one has.
    pub(super) only_there: Vec<String>,
}

/// Says how complete a mirror is.
pub(crate) fn run(request: &MirrorVerify) -> anyhow::Result<ExitCode> {
    let access = access(&request.registry)?;
    let mut allowed = request.allowed.clone();
    if let Some(file) = &request.allow_file {
        let cannot = || format!("cannot read the platforms in `{}`", file.display());
        allowed.extend(parse_platforms(&read_text(file).with_context(cannot)?).with_context(cannot)?);
    }
    let expected = Expected { allowed, required: request.required.clone(), jobs: request.jobs };
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let look = |reference| look(reference, &access, &interrupt, &expected);
    let image = look(&request.image)?;
    let other = request.other.as_ref().map(look).transpose()?;
    let compared = other.map(|other| compare(&image, other));
    let report = Report { image, compared };
    match request.form {
        form if form.json => print(&to_json(&report)?)?,
        form if form.quiet => {}
        _ => print_text(&verify_text::of(&report))?,
    }
    Ok(exit_code(&report))
}

fn look(
    reference: &Reference,
    access: &Access,
    interrupt: &Interrupt,
    expected: &Expected,
) -> anyhow::Result<Completeness> {
    let cannot = || format!("cannot verify `{reference}`");
    let source = transport::open(reference, access).with_context(cannot)?;
    let examined = examine(&interrupt.guard_image(&*source), expected);
    interrupt.die_if_asked();
    examined.with_context(cannot)
}

fn compare(image: &Completeness, other: Completeness) -> Compared {
    Compared {
        same_index: image.digest == other.digest,
        only_here: beyond(image, &other),
        only_there: beyond(&other, image),
        other,
    }
}

/// Names what `one` has and `other` has not.
fn beyond(one: &Completeness, other: &Completeness) -> Vec<String> {
    let is_there = |image: &Completeness, digest| {
        image.children.iter().any(|child| child.digest == digest && child.state == State::Present)
    };
    let beyond =
        one.children.iter().filter(|child| child.state == State::Present && !is_there(other, child.digest));
    beyond.map(|child| child.platform.clone().unwrap_or_else(|| child.digest.to_string())).collect()
}

fn exit_code(report: &Report) -> ExitCode {
    match report.image.verdict {
        _ if report.compared.as_ref().is_some_and(|compared| !compared.same_index) => {
            exit::code::MISSING.into()
        }
        Verdict::Complete => ExitCode::SUCCESS,
        Verdict::Sparse => exit::code::SPARSE.into(),
        Verdict::Broken => exit::code::MISSING.into(),
    }
}
