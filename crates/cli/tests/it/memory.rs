//! How much memory a conversion, a pull or a daemon holds, whatever the layer. These take minutes: CI runs them with a release build, by
//! `cargo test --release -p morsel-cli --test it -- --ignored memory`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

use serde_json::Value;
use testkit::data;
use testkit::oci::Layout;
use testkit::process::{high_water_mark, peak_memory, run};
use testkit::scripted::{Script, Scripted};
use testkit::tar::{BLOCK, Member};

use crate::harness::{digest, morsel};
use crate::scene::Scene;

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
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn memory_of_a_layer_of_1_gb() {
    stays_below(200 * MIB, |out| (0..1024).try_for_each(|number| file(out, &format!("files/{number}"), MIB)));
}

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn memory_of_a_single_file_of_4_gib() {
    stays_below(200 * MIB, |out| file(out, "file", 4096 * MIB));
}

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn memory_of_a_million_entries() {
    stays_below(400 * MIB, |out| {
        let dirs = (0..1000).map(|dir| Member::dir(format!("usr/share/things/{dir}/")).encode());
        let files = (0..1_000_000)
            .map(|n| Member::file(format!("usr/share/things/{}/{n}", n % 1000), n.to_string()).encode());
        dirs.chain(files).try_for_each(|member| out.write_all(&member))
    });
}

/// Converts what `feed` writes into a layer of `layout`; returns its descriptor and its diff ID.
fn layer(
    layout: &Layout,
    feed: impl FnOnce(&mut io::BufWriter<&mut std::process::ChildStdin>) -> io::Result<()> + Send,
) -> (Value, String) {
    let [blob, descriptor] = ["blob", "descriptor"].map(|name| layout.dir().join(name));
    let mut convert = morsel();
    convert.args(["convert", "--quiet", "-"]).arg(&blob).arg("--descriptor").arg(&descriptor);
    peak_memory(&mut convert, |stdin| {
        let mut out = io::BufWriter::with_capacity(MIB as usize, stdin);
        feed(&mut out)?;
        out.write_all(&[0; 2 * BLOCK])?;
        out.flush()
    });
    let mut result: Value = serde_json::from_slice(&fs::read(descriptor).unwrap()).unwrap();
    let descriptor = result["descriptor"].take();
    fs::rename(blob, layout.blob_path(digest(&descriptor))).unwrap();
    (descriptor, result["diff_id"].as_str().unwrap().to_owned())
}

/// Pulls an image of these layers from a registry, as it is and again with all content here, and checks the peaks.
fn pulls_within(limit: u64, dir: &Path, layout: &Layout, layers: &[(Value, String)]) {
    let (layers, diff_ids): (Vec<_>, Vec<_>) = layers.iter().cloned().unzip();
    layout.add_manifest("latest", &layers, &diff_ids);
    let registry = Scripted::start(Script::default());
    registry.add_layout("image", layout);
    for what in ["cold", "with all content here"] {
        let mut pull = morsel();
        pull.args(["pull", "--json"]).arg(format!("docker://{}/image", registry.host()));
        pull.arg("--root").arg(dir.join("store")).env("HOME", dir);
        let receipt: Value = serde_json::from_slice(&run(&mut pull).stdout).unwrap();
        let peak = receipt["peak_memory"].as_u64().unwrap();
        assert!(peak < limit, "{what}: {} MiB, at most {} MiB allowed", peak / MIB, limit / MIB);
        fs::remove_dir_all(dir.join("store/layers")).unwrap();
    }
}

/// Writes a file, of which every other one does not compress.
fn mixed(
    out: &mut impl Write,
    name: &str,
    len: usize,
    noise: &[u8],
    text: &[u8],
    seed: u64,
) -> io::Result<()> {
    let mut content = if seed.is_multiple_of(2) { noise } else { text }[..len].to_vec();
    for block in content.chunks_mut(16 << 10) {
        let mark = seed.to_le_bytes();
        let len = block.len().min(mark.len());
        block[..len].copy_from_slice(&mark[..len]);
    }
    out.write_all(&Member::file(name, content).encode())
}

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn memory_of_a_pull_of_2_gb() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("image"));
    let (noise, text) = (data::stream(1, 8 << 20), data::text(1, 8 << 20));
    let layers: Vec<_> = (0..4_u64)
        .map(|layer_number| {
            layer(&layout, |out| {
                (0..128).map(|number| 128 * layer_number + number).try_for_each(|number| {
                    let len = if number.is_multiple_of(16) {
                        8 << 20
                    } else {
                        (7 << 19) + 9000 * number as usize % 50_000
                    };
                    mixed(out, &format!("files/{number}"), len, &noise, &text, number / 2 * 3)
                })
            })
        })
        .collect();
    pulls_within(150 * MIB, dir.path(), &layout, &layers);
}

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn memory_of_a_pull_of_200_000_files() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("image"));
    let (noise, text) = (data::stream(1, 4000), data::text(1, 4000));
    let layer = layer(&layout, |out| {
        (0..200_000_u64).try_for_each(|number| {
            let name = format!("usr/share/things/{}/{number}", number % 1000);
            mixed(out, &name, 100 + 37 * number as usize % 3900, &noise, &text, number)
        })
    });
    pulls_within(150 * MIB, dir.path(), &layout, &[layer]);
}

/// Images that a daemon serves at once, and the files in each.
const IMAGES: u64 = 10;
const FILES: u64 = 100_000;

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn root_memory_of_a_daemon_with_ten_images_of_100_000_files() {
    let Some(scene) = Scene::new(Script::default()) else { return };
    for image in 0..IMAGES {
        let layout = Layout::create(scene.path(&format!("image-{image}")));
        let (layer, diff_id) = layer(&layout, |out| (0..FILES).try_for_each(|file| small(out, image, file)));
        layout.add_manifest("latest", &[layer], &[diff_id]);
        let name = scene.publish(&image.to_string(), &layout);
        scene.run(&["mount", &name, &format!("mnt-{image}"), "--no-fill", "-q"]);
    }
    let daemon = scene.daemon();
    thread::scope(|scope| {
        for reader in 0..16 {
            let scene = &scene;
            scope.spawn(move || (0..IMAGES).for_each(|image| read_some(scene, image, reader)));
        }
    });
    assert_eq!(scene.daemon(), daemon, "the daemon died");
    let peak = high_water_mark(daemon.as_raw_nonzero().get().unsigned_abs()).unwrap();
    assert!(peak < 100 * MIB, "{} MiB, at most 100 MiB allowed", peak / MIB);
}

/// Reads every two-thousandth file of an image.
fn read_some(scene: &Scene, image: u64, first: u64) {
    for file in (first..FILES).step_by(2000) {
        let path = scene.path(&format!("mnt-{image}/{}", path_of(file)));
        assert_eq!(fs::read_to_string(path).unwrap(), content_of(image, file));
    }
}

fn small(out: &mut impl Write, image: u64, file: u64) -> io::Result<()> {
    out.write_all(&Member::file(path_of(file), content_of(image, file)).encode())
}

fn path_of(file: u64) -> String {
    format!("usr/share/things/{}/{file}", file % 1000)
}

fn content_of(image: u64, file: u64) -> String {
    format!("file {file} of image {image}\n")
}

/// The length of a file that many read at once: 1 GB, in blocks that each differ from the others.
const LARGE_BLOCKS: u64 = 1000;
const READERS: u64 = 64;

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn root_many_readers_of_a_file_of_1_gb_fetch_each_chunk_once() {
    let Some(scene) = Scene::new(Script::default()) else { return };
    let layout = Layout::create(scene.path("image"));
    let noise = data::stream(1, MIB as usize);
    let (layer, diff_id) = layer(&layout, |out| {
        out.write_all(&Member::file("large", "").claimed_len((LARGE_BLOCKS * MIB) as i64).encode_header())?;
        (0..LARGE_BLOCKS).try_for_each(|number| out.write_all(&block(&noise, number)))
    });
    let blob_len = layer["size"].as_u64().unwrap();
    layout.add_manifest("latest", &[layer], &[diff_id]);
    let name = scene.publish("image", &layout);
    scene.run(&["mount", &name, "m", "--no-fill", "-q"]);
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (path, noise) = (scene.path("m/large"), &noise);
            scope.spawn(move || {
                let (file, mut piece) = (File::open(path).unwrap(), vec![0; MIB as usize]);
                for number in (0..LARGE_BLOCKS).map(|step| (step + reader * 3) % LARGE_BLOCKS) {
                    file.read_exact_at(&mut piece, number * MIB).unwrap();
                    assert!(piece == block(noise, number), "block {number}");
                }
            });
        }
    });
    let status = scene.status();
    let counts = ["fault_blob_len", "prefetch_blob_len", "fill_blob_len"]
        .map(|name| status["counts"][name].as_u64().unwrap());
    let fetched: u64 = counts.iter().sum();
    // The rest of the blob is the tar's own, the TOC and the tar-split.
    assert!(fetched <= blob_len && fetched > LARGE_BLOCKS * MIB, "{fetched} of {blob_len}");
    assert!(scene.registry.counters().sent < blob_len + 4 * MIB, "{:?}", scene.registry.counters());
}

/// Returns a block of noise with its number in front of every piece of 16 KiB.
fn block(noise: &[u8], number: u64) -> Vec<u8> {
    let mut block = noise.to_vec();
    block.chunks_mut(16 << 10).for_each(|piece| piece[..8].copy_from_slice(&number.to_le_bytes()));
    block
}
