//! The verbs. Each opens what its request names, calls the other crates, and reports.

mod convert;

use std::process::ExitCode;

use crate::request::Request;

/// Does what was asked, and returns how it ended.
pub(crate) fn run(request: Request) -> anyhow::Result<ExitCode> {
    match request {
        Request::ConvertLayer(request) => convert::layer::run(&request),
    }
}
