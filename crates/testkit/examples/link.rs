//! Shows how exact the links of the kit are: `cargo run -p morsel-testkit --example link`.
//!
//! Each row is a transfer over a link, and how its time differs from what length, speed and round trip promise.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use morsel_testkit::data;
use morsel_testkit::link::{Link, proxy};
use morsel_testkit::scripted::{Script, Scripted};

/// Megabits a second, milliseconds, connections, bytes for each of them.
const TABLE: [(u64, u64, usize, usize); 6] = [
    (100, 20, 1, 10_000_000),
    (100, 20, 8, 1_250_000),
    (100, 20, 1, 1_000),
    (1_000, 1, 1, 100_000_000),
    (1_000, 1, 8, 12_500_000),
    (10, 100, 2, 500_000),
];

#[expect(clippy::print_stdout, reason = "an example prints")]
fn main() {
    println!("megabits  round trip  connections       bytes  promised  registry     proxy");
    for (megabits, milliseconds, connections, len) in TABLE {
        let link = Link::new(megabits, milliseconds);
        let direct = Scripted::start(Script { link: Some(link), ..Script::default() });
        let path = format!("/v2/image/blobs/{}", direct.add_blob("image", &data::text(1, len)));
        let registry = transfer(&direct.host(), &path, connections);

        let plain = Scripted::start(Script::default());
        plain.add_blob("image", &data::text(1, len));
        let through = proxy(&plain.host(), link);
        let proxied = transfer(&through.host(), &path, connections);

        // One round trip to connect, one to ask, and then the bytes of all connections.
        let bytes = (len * connections) as f64 * 8.0 / (megabits as f64 * 1e6);
        let promised = link.round_trip.as_secs_f64() * 2.0 + bytes;
        let percent = |time: Duration| (time.as_secs_f64() / promised - 1.0) * 100.0;
        println!(
            "{megabits:>8}  {milliseconds:>7} ms  {connections:>11}  {len:>10}  {promised:>6.3} s  {:>+6.1} %  {:>+6.1} %",
            percent(registry),
            percent(proxied)
        );
    }
}

/// Gets a blob over several new connections at once.
fn transfer(host: &str, path: &str, connections: usize) -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| get(host, path).expect("the blob can be had"));
        }
    });
    started.elapsed()
}

fn get(host: &str, path: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    std::io::copy(&mut stream.take(u64::MAX), &mut std::io::sink()).map(drop)
}
