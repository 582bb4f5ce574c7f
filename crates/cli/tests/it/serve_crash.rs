//! `morsel serve` under load, killed in the middle of it, and asked to stop.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::http::{Answer, request, try_exchange};
use testkit::process::run;
use testkit::{data, oci};

use crate::harness::morsel;
use crate::served::Served;

const CLIENTS: u64 = 64;
const REPOSITORIES: u64 = 4;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What was acknowledged, and so has to stay: the digests by where they are.
#[derive(Default)]
struct Acknowledged {
    blobs: Mutex<Vec<(String, String)>>,
    /// Repository, tag and manifest.
    tags: Mutex<Vec<(String, String, Vec<u8>)>>,
    count: AtomicUsize,
}

/// One client: pushes, and pulls what others have pushed.
struct Client<'a> {
    address: SocketAddr,
    repository: String,
    seed: u64,
    acknowledged: &'a Acknowledged,
}

/// The server does not answer any more.
struct Gone;

impl Client<'_> {
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, Gone> {
        try_exchange(self.address, &request(method, path, headers, body)).ok_or(Gone)
    }

    /// Does one round of everything.
    fn round(&self) -> Result<(), Gone> {
        let config = self.push_blob(br#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[]}}"#)?;
        let layer = self.push_blob(&data::stream(self.seed, 1000 + (self.seed * 7919 % 150_000) as usize))?;
        self.push_image(&config, &layer)?;
        self.pull_something()
    }

    /// Pushes in one of three ways.
    fn push_blob(&self, bytes: &[u8]) -> Result<serde_json::Value, Gone> {
        let (digest, uploads) = (oci::digest(bytes), format!("/v2/{}/blobs/uploads/", self.repository));
        let answer = match self.seed % 3 {
            0 => self.send("POST", &format!("{uploads}?digest={digest}"), &[], bytes)?,
            way => {
                let begun = self.send("POST", &uploads, &[], b"")?;
                let place = begun.header("location").ok_or(Gone)?.to_owned();
                let cut = if way == 1 { 0 } else { bytes.len() / 2 };
                if cut > 0 {
                    self.send("PATCH", &place, &[], &bytes[..cut])?;
                }
                self.send("PUT", &format!("{place}?digest={digest}"), &[], &bytes[cut..])?
            }
        };
        assert_eq!(answer.status, 201, "{answer:?}");
        self.acknowledged.blobs.lock().unwrap().push((self.repository.clone(), digest.clone()));
        self.acknowledged.count.fetch_add(1, Ordering::Relaxed);
        Ok(
            json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": bytes.len() }),
        )
    }

    fn push_image(&self, config: &serde_json::Value, layer: &serde_json::Value) -> Result<(), Gone> {
        let tag = format!("t{}", self.seed);
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        let bytes = manifest.to_string().into_bytes();
        let path = format!("/v2/{}/manifests/{tag}", self.repository);
        let answer = self.send("PUT", &path, &[("Content-Type", MANIFEST)], &bytes)?;
        assert_eq!(answer.status, 201, "{answer:?}");
        self.acknowledged.tags.lock().unwrap().push((self.repository.clone(), tag, bytes));
        self.acknowledged.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn pull_something(&self) -> Result<(), Gone> {
        let (repository, digest) = {
            let blobs = self.acknowledged.blobs.lock().unwrap();
            blobs[self.seed as usize * 31 % blobs.len()].clone()
        };
        let path = format!("/v2/{repository}/blobs/{digest}");
        let whole = self.send("GET", &path, &[], b"")?;
        assert_eq!((whole.status, oci::digest(&whole.body)), (200, digest));
        let part = self.send("GET", &path, &[("Range", "bytes=3-9")], b"")?;
        assert!(part.status == 206 && part.body == whole.body[3..10]);
        let parts = self.send("GET", &path, &[("Range", "bytes=20-29,-10")], b"")?;
        let has = |bytes: &[u8]| parts.body.windows(10).any(|window| window == bytes);
        assert!(parts.status == 206 && has(&whole.body[20..30]));
        assert!(has(&whole.body[whole.body.len() - 10..]));
        Ok(())
    }
}

/// Lets many clients push and pull until the server has acknowledged so much, and kills it then.
fn load(dir: &Path, acknowledged: &Acknowledged, seeds: &AtomicU64, until: usize) {
    let served = Served::start(dir, &[]);
    let address = served.address();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                loop {
                    let seed = seeds.fetch_add(1, Ordering::Relaxed);
                    let repository = format!("team{}/app", client % REPOSITORIES);
                    let client = Client { address, repository, seed, acknowledged };
                    if client.round().is_err() {
                        break;
                    }
                }
            });
        }
        while acknowledged.count.load(Ordering::Relaxed) < until {
            thread::yield_now();
        }
        drop(served);
    });
}

#[test]
fn a_server_that_is_killed_under_load_has_all_that_it_acknowledged_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("served");
    let (acknowledged, seeds) = (Acknowledged::default(), AtomicU64::new(1));
    for round in 1..=5 {
        load(&dir, &acknowledged, &seeds, round * 150);

        let served = Served::start(&dir, &[]);
        let get = |path: String| try_exchange(served.address(), &request("GET", &path, &[], b"")).unwrap();
        for (repository, digest) in acknowledged.blobs.lock().unwrap().iter() {
            let answer = get(format!("/v2/{repository}/blobs/{digest}"));
            assert_eq!((answer.status, &oci::digest(&answer.body)), (200, digest));
        }
        for (repository, tag, manifest) in acknowledged.tags.lock().unwrap().iter() {
            assert_eq!(&get(format!("/v2/{repository}/manifests/{tag}")).body, manifest);
        }
    }
    // Once names are gone that files had for a moment, every file is what its name says, and no other is there.
    run(morsel().arg("serve").arg(&dir).arg("--gc"));
    let scrub = run(morsel().arg("serve").arg(&dir).args(["--scrub", "--json"]));
    let report: serde_json::Value = serde_json::from_slice(&scrub.stdout).unwrap();
    assert_eq!(report["damaged"], json!([]));
    let files = run(Command::new("find").arg(&dir).args(["-type", "f", "-printf", "%f\n"]));
    let stray: Vec<_> = files
        .text()
        .lines()
        .filter(|name| name.len() != 64 && !["index.json", "oci-layout"].contains(name))
        .collect();
    assert!(stray.is_empty(), "{stray:?}");
}

#[test]
fn a_server_that_runs_out_of_files_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start_limited(40, &dir.path().join("served"));
    let idle: Vec<_> = (0..60).map(|_| TcpStream::connect(served.address()).unwrap()).collect();
    drop(idle);
    let answer = try_exchange(served.address(), &request("GET", "/v2/", &[], b""));
    assert_eq!(answer.unwrap().status, 200);
}

#[test]
fn a_server_that_is_asked_to_stop_lets_requests_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = morsel();
    command.arg("serve").arg(dir.path()).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim().rsplit('/').next().unwrap().parse().unwrap();

    let bytes = data::stream(1, 1_000_000);
    let digest = oci::digest(&bytes);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let push = request("POST", &path, &[("Expect", "100-continue")], &bytes);
    let (head, tail) = push.split_at(push.len() - 100_000);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head).unwrap();
    // The request has begun, and is not just on its way: a server may drop what it has not read.
    let mut begun = *b"HTTP/1.1 100 Continue\r\n\r\n";
    stream.read_exact(&mut begun).unwrap();
    assert!(begun.starts_with(b"HTTP/1.1 100 "), "{}", begun.escape_ascii());
    // Only when it listens no more has it heard the signal.
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    while TcpStream::connect(address).is_ok() {}
    stream.write_all(tail).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();

    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    assert!(fs::exists(dir.path().join("a/blobs/sha256").join(&digest[7..])).unwrap());
}
