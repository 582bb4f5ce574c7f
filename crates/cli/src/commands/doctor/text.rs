//! What was found out, for people.

use std::fmt::Write as _;
use std::time::Duration;

use registry::probe::{Answered, Login, Report, Serves, Throughput, Trial};

use super::Diagnosis;
use crate::ui::harmless;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, count, per_second, short};

/// Lists facts, then the requests that showed them, then what they mean.
pub(super) fn of(diagnosis: &Diagnosis) -> String {
    let report = &diagnosis.report;
    let mut text = format!("{}: blob {}, {}\n", report.image, short(&report.blob), Bytes(report.blob_len));
    text += &facts(report);
    text += &trials(&report.trials);
    for sentence in &diagnosis.meaning {
        let _ = writeln!(text, "=> {sentence}");
    }
    text
}

fn facts(report: &Report) -> String {
    let mut table = Table::new("  ", [Align::Left, Align::Left]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("registry", format!("{}, {}", report.registry, login(report.login)));
    fact("blobs", format!("{}, {}", blobs(report), report.http));
    fact("ranges", ranges(report.ranges));
    fact("round trip", millis(report.round_trip));
    if let Some(per_range) = report.per_range {
        fact("a range", format!("{} for each further one of a request", millis(per_range)));
    }
    fact("stream", throughput(&report.stream));
    if let Some(parallel) = &report.parallel {
        fact("parallel", throughput(parallel));
    }
    table.to_string()
}

fn login(login: Login) -> &'static str {
    match login {
        Login::None => "open to everybody",
        Login::Basic => "with a password",
        Login::Bearer => "with a token",
    }
}

fn blobs(report: &Report) -> String {
    match report.host == report.registry {
        true => "sent by the registry itself".to_owned(),
        false => format!("redirected to {}", harmless(&report.host)),
    }
}

fn ranges(serves: Serves) -> String {
    match serves {
        Serves::Many { served, .. } => format!("many in a request; {served} were served"),
        Serves::One => "one in a request".to_owned(),
        Serves::Whole => "none".to_owned(),
    }
}

fn throughput(throughput: &Throughput) -> String {
    let rate = per_second(throughput.bytes, throughput.elapsed);
    let connections = count(throughput.connections as u64, "connection", "connections");
    format!("{rate}/s over {connections}, {} read", Bytes(throughput.bytes))
}

fn trials(trials: &[Trial]) -> String {
    let mut table = Table::new("  ", [Align::Right, Align::Right, Align::Right, Align::Right, Align::Left]);
    table.row(["ranges", "header", "status", "time", "answer"].map(str::to_owned));
    for trial in trials {
        table.row([
            trial.ranges.to_string(),
            Bytes(trial.header_len as u64).to_string(),
            trial.status.to_string(),
            millis(trial.elapsed),
            answer(trial.answered).to_owned(),
        ]);
    }
    table.to_string()
}

fn answer(answered: Answered) -> &'static str {
    match answered {
        Answered::Range => "the range",
        Answered::Parts => "all ranges",
        Answered::Fewer => "not all ranges",
        Answered::Whole => "the whole blob",
        Answered::Refused => "refused",
    }
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.2} ms") } else { format!("{millis:.0} ms") }
}
