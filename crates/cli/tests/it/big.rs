//! Memory is bounded by options, not by the layer: large layers through a pipe.

use std::io::{self, BufWriter, Write};
use std::process::Stdio;

use serde_json::Value;
use testkit::data;
use testkit::tar::{BLOCK, Member};

use crate::sandbox::Sandbox;

const MIB: u64 = 1 << 20;

/// Converts the tar that `write` streams, and returns the report.
fn convert(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send) -> Value {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("morsel convert - - --json");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut tar = BufWriter::with_capacity(1 << 20, stdin);
            write(&mut tar).and_then(|()| tar.write_all(&[0; 2 * BLOCK])).and_then(|()| tar.flush()).unwrap();
        });
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Lines of progress come before the report.
    let start = output.stderr.iter().position(|byte| *byte == b'{').unwrap();
    serde_json::from_slice(&output.stderr[start..]).unwrap()
}

fn assert_peak_below(report: &Value, limit: u64) {
    let peak = report["peak_memory"].as_u64().unwrap();
    println!("the peak was {} MiB", peak / MIB);
    assert!(peak < limit, "the peak was {} MiB, the limit is {} MiB", peak / MIB, limit / MIB);
}

/// Returns two mebibytes, one that does not compress and one that does.
fn block() -> Vec<u8> {
    let noise = data::stream(1, 1 << 20);
    let text: Vec<_> = noise.iter().map(|byte| byte & 15).collect();
    [noise, text].concat()
}

/// Writes a file of `len` bytes, which starts another piece of `block` for every mebibyte.
fn file(out: &mut dyn Write, name: &str, len: u64, block: &[u8]) -> io::Result<()> {
    let header = Member::file(name, "").claimed_len(i64::try_from(len).unwrap()).encode_header();
    out.write_all(&header)?;
    let mut left = usize::try_from(len).unwrap();
    for piece in 0.. {
        let from = (piece * 4099) % (1 << 20);
        let count = left.min(1 << 20);
        out.write_all(&block[from..from + count])?;
        left -= count;
        if left == 0 {
            break;
        }
    }
    let padding = len.next_multiple_of(BLOCK as u64) - len;
    out.write_all(&vec![0; usize::try_from(padding).unwrap()])
}

#[test]
fn big_layer_of_a_gigabyte() {
    let block = block();
    let report = convert(|out| {
        (0..1000).try_for_each(|number| file(out, &format!("file-{number}"), (1 << 20) + number, &block))
    });
    assert_eq!(report["counts"]["files"], 1000);
    assert_peak_below(&report, 200 * MIB);
}

#[test]
fn big_file_of_four_gibibytes() {
    let block = block();
    let report = convert(|out| file(out, "file", 4 << 30, &block));
    assert_eq!(report["format"], "zstd:chunked");
    assert_peak_below(&report, 200 * MIB);
}

#[test]
fn big_layer_of_a_million_entries() {
    let report = convert(|out| {
        (0..1_000_000).try_for_each(|number| {
            let name = format!("folder-{}/file-{number}", number / 1000);
            out.write_all(&Member::file(name, number.to_string()).encode())
        })
    });
    assert_eq!(report["counts"]["entries"], 1_000_000);
    assert_peak_below(&report, 400 * MIB);
}
