//! How much memory a conversion holds, whatever the layer. These take minutes: CI runs them with a release build, by
//! `cargo test --release -p morsel-cli --test it -- --ignored memory`.

use std::io::{self, Write};

use testkit::data;
use testkit::process::peak_memory;
use testkit::tar::{BLOCK, Member};

use crate::harness::morsel;

const MIB: u64 = 1 << 20;

/// Writes the headers of a file and `len` bytes, one block of text again and again with its number in front.
fn file(out: &mut impl Write, name: &str, len: u64) -> io::Result<()> {
    out.write_all(&Member::file(name, "").claimed_len(len as i64).encode_header())?;
    let mut block = data::text(1, MIB as usize);
    for number in 0..len / MIB {
        block[..8].copy_from_slice(&number.to_le_bytes());
        out.write_all(&block)?;
    }
    Ok(())
}

/// Converts what `feed` writes, with an end put after it, and checks the peak.
fn stays_below(
    limit: u64,
    feed: impl FnOnce(&mut io::BufWriter<&mut std::process::ChildStdin>) -> io::Result<()> + Send,
) {
    let dir = tempfile::tempdir().unwrap();
    let mut convert = morsel();
    convert.args(["convert", "--quiet", "-"]).arg(dir.path().join("blob"));
    let peak = peak_memory(&mut convert, |stdin| {
        let mut out = io::BufWriter::with_capacity(MIB as usize, stdin);
        feed(&mut out)?;
        out.write_all(&[0; 2 * BLOCK])?;
        out.flush()
    });
    assert!(peak > 0 && peak < limit, "{} MiB, at most {} MiB allowed", peak / MIB, limit / MIB);
}

#[test]
#[ignore = "minutes, see above"]
fn memory_of_a_layer_of_1_gb() {
    stays_below(200 * MIB, |out| (0..1024).try_for_each(|number| file(out, &format!("files/{number}"), MIB)));
}

#[test]
#[ignore = "minutes, see above"]
fn memory_of_a_single_file_of_4_gib() {
    stays_below(200 * MIB, |out| file(out, "file", 4096 * MIB));
}

#[test]
#[ignore = "minutes, see above"]
fn memory_of_a_million_entries() {
    stays_below(400 * MIB, |out| {
        let dirs = (0..1000).map(|dir| Member::dir(format!("usr/share/things/{dir}/")).encode());
        let files = (0..1_000_000)
            .map(|n| Member::file(format!("usr/share/things/{}/{n}", n % 1000), n.to_string()).encode());
        dirs.chain(files).try_for_each(|member| out.write_all(&member))
    });
}
