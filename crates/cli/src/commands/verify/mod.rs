//! `morsel verify`.

pub(super) mod image;
pub(super) mod layer;
mod text;

use std::process::ExitCode;

use chunked::verify::Verdict;

use crate::exit;

fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Proven => ExitCode::SUCCESS,
        Verdict::Consistent => exit::code::UNPROVEN.into(),
        Verdict::Damaged => exit::code::CORRUPT.into(),
    }
}
