//! Writes the sample layer with one of everything to standard output: the input of `scripts/fixtures`.

use std::io::{self, Write};

use morsel_testkit::tar::sample;

fn main() -> io::Result<()> {
    io::stdout().write_all(&sample::rich_tar())
}
