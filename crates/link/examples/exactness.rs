//! Shows how exact links are on this machine: `cargo run --release -p morsel-link --example exactness`.
//!
//! `delay` is the median time of a round trip, of a few bytes each way, on connections that are all open, one after the other.
//! `rate` is that of all bytes of a transfer on all of them at once, from the first to the last. Beside them is how much they
//! differ from what was asked for. The first rows have no link, and nothing in between: what the sockets and threads of
//! this machine take by themselves comes on top of the delay of any link, and is not counted as a difference.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use morsel_link::{Link, Proxy, Upstream};

const LINKS: [&str; 4] = ["none", "1Gbit,1ms", "100Mbit,20ms", "20Mbit,100ms"];
/// How long a transfer takes.
const SECONDS: f64 = 3.0;
/// How long round trips are measured.
const PATIENCE: Duration = Duration::from_secs(3);

#[expect(clippy::print_stdout, reason = "an example prints")]
fn main() -> io::Result<()> {
    println!("link,connections,bytes,delay,delay_off_percent,rate,rate_off_percent");
    let mut own = [Duration::ZERO; 2];
    for text in LINKS {
        let link: Link = text.parse().map_err(io::Error::other)?;
        for (count, own) in [1, 32].into_iter().zip(&mut own) {
            let rate = if link.rate.is_finite() { link.rate } else { 125e6 };
            let len = (rate * SECONDS) as usize / count;
            let server = server(len)?;
            let proxy = Proxy::start(Upstream::Server(server), link)?;
            let address = if link == Link::NONE { server } else { proxy.address() };
            let mut streams = (0..count).map(|_| connect(address)).collect::<io::Result<Vec<_>>>()?;
            let delay = round_trip(&mut streams)?;
            let (first, last) = transfer(streams)?;
            if link == Link::NONE {
                *own = delay;
                println!("\"{text}\",{count},{},{:.6},,,", len * count, delay.as_secs_f64());
                continue;
            }
            // The first slice comes before the first byte is seen.
            let bytes = (len * count - link.slice_len()) as f64;
            let (delay, rate) =
                (delay.saturating_sub(*own).as_secs_f64(), bytes / (last - first).as_secs_f64());
            println!(
                "\"{text}\",{count},{},{delay:.6},{:+.1},{rate:.0},{:+.1}",
                len * count,
                (delay / link.round_trip.as_secs_f64() - 1.0) * 100.0,
                (rate / link.rate - 1.0) * 100.0
            );
        }
    }
    Ok(())
}

/// Answers each request on a connection: a byte to `ping`, `len` bytes to `give`.
fn server(len: usize) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, len));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, len: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 4];
    loop {
        stream.read_exact(&mut request)?;
        if request == *b"give" {
            break;
        }
        stream.write_all(&[7])?;
    }
    let block = [7; 64 << 10];
    let mut left = len;
    while left > 0 {
        left -= stream.write(&block[..left.min(block.len())])?;
    }
    Ok(())
}

/// Opens a connection all the way to the server.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    ping(&mut stream)?;
    Ok(stream)
}

fn ping(stream: &mut TcpStream) -> io::Result<Duration> {
    let start = Instant::now();
    stream.write_all(b"ping")?;
    stream.read_exact(&mut [0])?;
    Ok(start.elapsed())
}

/// Returns the median time of a round trip on one of the connections.
fn round_trip(streams: &mut [TcpStream]) -> io::Result<Duration> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < PATIENCE {
        for stream in &mut *streams {
            times.push(ping(stream)?);
        }
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// Transfers on all connections at once, and returns when the first byte came, and when the last one did.
fn transfer(streams: Vec<TcpStream>) -> io::Result<(Duration, Duration)> {
    let (start, times) = (Instant::now(), Mutex::new(Vec::new()));
    let get = |mut stream: TcpStream| {
        stream.write_all(b"give")?;
        stream.read_exact(&mut [0])?;
        let first = start.elapsed();
        io::copy(&mut stream, &mut io::sink())?;
        times.lock().map_err(|_| io::Error::other("a client panicked"))?.push((first, start.elapsed()));
        io::Result::Ok(())
    };
    thread::scope(|scope| {
        let get = &get;
        let clients: Vec<_> = streams.into_iter().map(|stream| scope.spawn(move || get(stream))).collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().unwrap_or(Err(io::Error::other("a client panicked"))))
    })?;
    let times = times.into_inner().unwrap_or_default();
    let first = times.iter().map(|(first, _)| *first).min().unwrap_or_default();
    let last = times.iter().map(|(_, last)| *last).max().unwrap_or_default();
    Ok((first, last))
}
