//! Shows how exact links are on this machine: `cargo run --release -p morsel-link --example exactness`.
//!
//! Each row is a transfer over a link. `delay` is from the first connection to the first byte, two round trips and a slice;
//! `rate` is that of all bytes after it. Beside them is how much they differ from what was asked for. The first row has no
//! link: it shows what the sockets of this machine take by themselves.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use morsel_link::{Link, Proxy, Upstream};

const LINKS: [&str; 4] = ["none", "1Gbit,1ms", "100Mbit,20ms", "20Mbit,100ms"];
/// How long a transfer takes.
const SECONDS: f64 = 3.0;

#[expect(clippy::print_stdout, reason = "an example prints")]
fn main() -> io::Result<()> {
    println!("link,connections,bytes,delay,delay_off_percent,rate,rate_off_percent");
    for text in LINKS {
        let link: Link = text.parse().map_err(io::Error::other)?;
        for count in [1, 32] {
            let rate = if link.rate.is_finite() { link.rate } else { 125e6 };
            let len = (rate * SECONDS) as usize / count;
            let server = server(len)?;
            let proxy = Proxy::start(Upstream::Server(server), link)?;
            let (first, last) = transfer(proxy.address(), count)?;
            let bytes = len * count;
            // The first slice is counted with the delay.
            let slice = link.slice_len() as f64;
            let asked = link.round_trip.as_secs_f64() * 2.0 + slice / link.rate;
            let found = (bytes as f64 - slice) / (last - first).as_secs_f64();
            println!(
                "\"{text}\",{count},{bytes},{:.6},{:+.1},{found:.0},{:+.1}",
                first.as_secs_f64(),
                (first.as_secs_f64() / asked - 1.0) * 100.0,
                (found / link.rate - 1.0) * 100.0
            );
        }
    }
    Ok(())
}

/// Answers each connection with `len` bytes.
fn server(len: usize) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                stream.read_exact(&mut [0; 4])?;
                let block = [7; 64 << 10];
                let mut left = len;
                while left > 0 {
                    left -= stream.write(&block[..left.min(block.len())])?;
                }
                io::Result::Ok(())
            });
        }
    });
    Ok(address)
}

/// Returns when the first byte of all connections came, and when the last one did.
fn transfer(address: SocketAddr, count: usize) -> io::Result<(Duration, Duration)> {
    let (start, times) = (Instant::now(), Mutex::new(Vec::new()));
    let get = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"give")?;
        stream.read_exact(&mut [0])?;
        let first = start.elapsed();
        io::copy(&mut stream, &mut io::sink())?;
        times.lock().map_err(|_| io::Error::other("a client panicked"))?.push((first, start.elapsed()));
        io::Result::Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..count).map(|_| scope.spawn(get)).collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap_or(Err(io::Error::other("a client panicked"))))
    })?;
    let times = times.into_inner().unwrap_or_default();
    let first = times.iter().map(|(first, _)| *first).min().unwrap_or_default();
    let last = times.iter().map(|(_, last)| *last).max().unwrap_or_default();
    Ok((first, last))
}
