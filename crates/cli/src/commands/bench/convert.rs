//! Measures conversions: by level, by the number of threads, and where the time goes.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, bail};
use chunked::digest::Hasher;
use chunked::input::Input;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use super::measure;
use super::pull::remove;
use super::spread::Spread;
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::output::{print, print_text, scratch};
use crate::request::{BenchConvert, BenchSource};
use crate::ui::json::to_json;
use crate::ui::steps::Steps;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, Percent, count, per_second, seconds};

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    source: String,
    /// Bytes of the source's blobs, and of the tars in them.
    blob_len: u64,
    tar_len: u64,
    conversions: Vec<Conversion>,
    /// Seconds of processors at the first level and with all jobs, step by step; none where the source is not a layer in a file.
    steps: Vec<Step>,
}

/// Conversions of one kind.
#[derive(Debug, Serialize)]
struct Conversion {
    #[serde(flatten)]
    kind: Kind,
    wall: Spread,
    cpu: Spread,
    peak_memory: Spread,
    /// Bytes of the result.
    blob_len: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Kind {
    level: i32,
    jobs: usize,
    /// Whether what is written is decoded and compared.
    is_checked: bool,
}

/// What is done to convert, and what it takes of the processors.
#[derive(Debug, Serialize)]
struct Step {
    what: &'static str,
    seconds: f64,
}

/// Converts in every way, some times each, and reports.
pub(crate) fn run(request: &BenchConvert) -> anyhow::Result<ExitCode> {
    let place = request.work.clone().unwrap_or_else(scratch);
    let work = TempDir::with_prefix_in("morsel-bench-", &place)
        .with_context(|| format!("cannot make a directory in `{}`", place.display()))?;
    // Asked to stop, this process ends as after any other failure, and takes its files away.
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let report = fetch(request, work.path())
        .and_then(|source| Bench { request, source, work: work.path() }.run(&interrupt));
    remove(work);
    let report = report.inspect_err(|_| interrupt.die_if_asked())?;
    match request.form {
        form if form.json => print(&to_json(&report)?)?,
        form if form.quiet => {}
        _ => print_text(&text(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings an image of a registry here first: its network is not what is measured.
fn fetch(request: &BenchConvert, work: &Path) -> anyhow::Result<String> {
    match &request.source {
        BenchSource::Layer(path) => Ok(path.display().to_string()),
        BenchSource::Image(reference) if request.is_remote() => {
            let here = format!("oci:{}:image", work.join("source").display());
            let mut mirror = Command::new(std::env::current_exe()?);
            mirror
                .args(["mirror", "--quiet", "--platform"])
                .arg(&request.platform)
                .args(request.registry.words());
            let output = mirror.arg(reference.to_string()).arg(&here).output()?;
            if !output.status.success() {
                bail!("cannot copy `{reference}`: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
            Ok(here)
        }
        BenchSource::Image(reference) => Ok(reference.to_string()),
    }
}

struct Bench<'a> {
    request: &'a BenchConvert,
    source: String,
    work: &'a Path,
}

impl Bench<'_> {
    fn kinds(&self) -> Vec<Kind> {
        let (levels, jobs) = (&self.request.levels, &self.request.jobs);
        let most = jobs.iter().copied().max().unwrap_or(1);
        let mut kinds: Vec<_> = levels
            .iter()
            .flat_map(|level| jobs.iter().map(|jobs| Kind { level: *level, jobs: *jobs, is_checked: true }))
            .collect();
        kinds.extend(levels.first().map(|level| Kind { level: *level, jobs: most, is_checked: false }));
        kinds
    }

    fn run(&self, interrupt: &Interrupt) -> anyhow::Result<Report> {
        let (kinds, runs) = (self.kinds(), self.request.runs.get());
        let steps = Steps::start("conversions", kinds.len() as u64 * u64::from(runs), self.request.form);
        let mut measured: Vec<Vec<(measure::Measured, Value)>> = kinds.iter().map(|_| Vec::new()).collect();
        for _ in 0..runs {
            for (kind, measured) in kinds.iter().zip(&mut measured) {
                interrupt.check()?;
                measured.push(self.convert(*kind)?);
                steps.done();
            }
        }
        drop(steps);
        let sizes = measured.iter().flatten().next().map(|(_, report)| Sizes::of(report)).unwrap_or_default();
        let conversions: Vec<_> = kinds
            .iter()
            .zip(&measured)
            .filter_map(|(kind, measured)| Conversion::of(*kind, measured))
            .collect();
        let steps = self.steps(&conversions)?;
        let source = match &self.request.source {
            BenchSource::Layer(path) => path.display().to_string(),
            BenchSource::Image(reference) => reference.to_string(),
        };
        let Sizes { before, tar, .. } = sizes;
        let blob_len = match &self.request.source {
            BenchSource::Layer(path) => path.metadata().map_or(before, |metadata| metadata.len()),
            BenchSource::Image(_) => before,
        };
        Ok(Report { machine: Machine::this(), source, blob_len, tar_len: tar, conversions, steps })
    }

    fn convert(&self, kind: Kind) -> anyhow::Result<(measure::Measured, Value)> {
        let work = TempDir::new_in(self.work).context("cannot make a directory for the result")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args([
            "convert",
            "--json",
            "--level",
            &kind.level.to_string(),
            "--jobs",
            &kind.jobs.to_string(),
        ]);
        command.args((!kind.is_checked).then_some("--no-verify"));
        let target: OsString = match &self.request.source {
            BenchSource::Layer(_) => work.path().join("layer").into(),
            BenchSource::Image(_) => {
                command.args(["--force", "--platform", &self.request.platform]);
                format!("oci:{}:image", work.path().join("image").display()).into()
            }
        };
        let measured = measure::run(command.arg(&self.source).arg(target), || {})?;
        if !measured.status.success() {
            bail!("cannot convert `{}`: {}", self.source, String::from_utf8_lossy(&measured.stderr).trim());
        }
        let report =
            serde_json::from_slice(&measured.stdout).context("the report of a conversion makes no sense")?;
        Ok((measured, report))
    }

    /// Tells what the steps take, by doing without the later ones: reading and decompressing, hashing the tar, all but
    /// checking, all.
    fn steps(&self, conversions: &[Conversion]) -> anyhow::Result<Vec<Step>> {
        let BenchSource::Layer(path) = &self.request.source else { return Ok(Vec::new()) };
        let unchecked = conversions.iter().find(|conversion| !conversion.kind.is_checked);
        let Some(unchecked) = unchecked else { return Ok(Vec::new()) };
        let checked = conversions
            .iter()
            .find(|conversion| conversion.kind == Kind { is_checked: true, ..unchecked.kind });
        let mut file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut pass = |use_it: &mut dyn FnMut(&[u8])| -> io::Result<f64> {
            file.rewind()?;
            let before = processor_time();
            let mut tar = Input::open(&file, |_: &[u8]| {})?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                match tar.read(&mut buffer)? {
                    0 => break,
                    count => use_it(buffer.get(..count).unwrap_or_default()),
                }
            }
            Ok(processor_time() - before)
        };
        let read = pass(&mut |_| {})?;
        let mut hasher = Hasher::new();
        let hashed = pass(&mut |bytes| hasher.update(bytes))?;
        let all = checked.map_or(unchecked.cpu.median, |checked| checked.cpu.median);
        let step = |what, seconds: f64| Step { what, seconds: seconds.max(0.0) };
        Ok(vec![
            step("read and decompress", read),
            step("hash the tar", hashed - read),
            step("cut, hash and compress files, and write", unchecked.cpu.median - hashed),
            step("decode and compare", all - unchecked.cpu.median),
        ])
    }
}

/// Returns the seconds that this process has been on processors.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Bytes of blobs before and after, and of the tars in them.
#[derive(Debug, Default)]
struct Sizes {
    before: u64,
    after: u64,
    tar: u64,
}

impl Sizes {
    /// Takes them from the report of a conversion, of a layer or of an image.
    fn of(report: &Value) -> Self {
        let number =
            |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        if report.get("manifests").is_none() {
            return Self {
                before: 0,
                after: number(report, "/descriptor/size"),
                tar: number(report, "/tar_len"),
            };
        }
        let list = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let layers = list(report, "manifests").into_iter().flat_map(|manifest| list(&manifest, "layers"));
        layers.fold(Self::default(), |sum, layer| Self {
            before: sum.before.saturating_add(number(&layer, "/source/size")),
            after: sum.after.saturating_add(number(&layer, "/result/size")),
            tar: sum.tar.saturating_add(number(&layer, "/tar_len")),
        })
    }
}

impl Conversion {
    fn of(kind: Kind, measured: &[(measure::Measured, Value)]) -> Option<Self> {
        let all =
            |number: fn(&measure::Measured) -> f64| Spread::of(measured.iter().map(|(took, _)| number(took)));
        Some(Self {
            kind,
            wall: all(|took| took.wall.as_secs_f64())?,
            cpu: all(|took| took.cpu.as_secs_f64())?,
            peak_memory: all(|took| took.peak_memory as f64)?,
            blob_len: measured.first().map(|(_, report)| Sizes::of(report).after)?,
        })
    }
}

fn text(report: &Report) -> String {
    let mut text =
        format!("{}: {}, {} of tar\n", report.source, Bytes(report.blob_len), Bytes(report.tar_len));
    let right = Align::Right;
    let mut table = Table::new("  ", [right, right, Align::Left, right, right, right, right, right, right]);
    table.row(
        ["level", "jobs", "", "time", "least to most", "tar", "processor", "memory", "blob"]
            .map(str::to_owned),
    );
    for Conversion { kind, wall, cpu, peak_memory, blob_len } in &report.conversions {
        let rate = per_second(report.tar_len, Duration::from_secs_f64(wall.median));
        table.row([
            kind.level.to_string(),
            kind.jobs.to_string(),
            if kind.is_checked { String::new() } else { "unchecked".to_owned() },
            seconds(wall.median),
            format!("{:.2} to {:.2}", wall.least, wall.most),
            format!("{rate}/s"),
            seconds(cpu.median),
            Bytes(peak_memory.median as u64).to_string(),
            format!("{} ({})", Bytes(*blob_len), Percent { part: *blob_len, whole: report.tar_len }),
        ]);
    }
    text += &table.to_string();
    let all: f64 = report.steps.iter().map(|step| step.seconds).sum();
    for step in &report.steps {
        let share = step.seconds / all.max(1e-9) * 100.0;
        let _ = writeln!(text, "  {:<40} {:>8}  {share:>3.0} %", step.what, seconds(step.seconds));
    }
    let processors = count(report.machine.processors as u64, "processor", "processors");
    text + &format!("on {processors}, {}, Linux {}\n", report.machine.processor, report.machine.kernel)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_those_of_a_layer_or_of_all_layers() {
        let layer = Sizes::of(&json!({ "descriptor": { "size": 3 }, "tar_len": 9 }));
        assert_eq!((layer.before, layer.after, layer.tar), (0, 3, 9));
        let layer = json!({ "source": { "size": 4 }, "result": { "size": 3 }, "tar_len": 9 });
        let image = Sizes::of(&json!({ "manifests": [{ "layers": [layer, layer] }, {}] }));
        assert_eq!((image.before, image.after, image.tar), (8, 6, 18));
    }
}
