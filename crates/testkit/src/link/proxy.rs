//! A TCP proxy that makes the way to a server longer and narrower.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Link, Pacer};

/// Slices on their way in one direction of one connection: more than any link here holds between its ends.
const IN_FLIGHT: usize = 1024;

/// A running proxy. Dropping it refuses new connections; those that are open end with their ends.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    link: Link,
    up: Pacer,
    down: Pacer,
    stopped: AtomicBool,
    connections: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Proxy {
    pub(super) fn start(upstream: &str, link: Link) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            link,
            up: Pacer::new(Some(link)),
            down: Pacer::new(Some(link)),
            stopped: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &own));
        Self { address, shared }
    }

    /// Returns `address:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns how many connections came.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Returns how many bytes went to the server, heads of requests included.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Returns how many bytes came from the server, heads of answers included.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections; it may have gone already.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let (Ok(client), shared) = (client, Arc::clone(shared)) else { continue };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        // A connection that breaks is told to both ends by closing it.
        thread::spawn(move || drop(forward(&client, &shared)));
    }
}

/// Carries both directions until both have ended.
fn forward(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    shared.up.round_trip();
    let server = TcpStream::connect(&shared.upstream)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let half = shared.link.round_trip / 2;
    thread::scope(|scope| {
        let up = Direction { from: client, to: &server, pacer: &shared.up, half, passed: &shared.sent };
        let down =
            Direction { from: &server, to: client, pacer: &shared.down, half, passed: &shared.received };
        scope.spawn(move || up.carry());
        scope.spawn(move || down.carry());
    });
    Ok(())
}

/// One direction of a connection: the narrow place first, then the distance.
struct Direction<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    pacer: &'a Pacer,
    half: Duration,
    passed: &'a AtomicU64,
}

impl Direction<'_> {
    fn carry(&self) {
        let (slices, arriving) = sync_channel(IN_FLIGHT);
        thread::scope(|scope| {
            scope.spawn(move || self.deliver(&arriving));
            self.take(&slices);
            drop(slices);
        });
    }

    fn take(&self, slices: &SyncSender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; self.pacer.slice()];
        let mut from = self.from;
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            self.pacer.pass(len);
            self.passed.fetch_add(len as u64, Ordering::Relaxed);
            if slices.send((Instant::now() + self.half, buffer[..len].to_vec())).is_err() {
                return;
            }
        }
    }

    fn deliver(&self, arriving: &Receiver<(Instant, Vec<u8>)>) {
        let mut to = self.to;
        for (due, slice) in arriving {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&slice).is_err() {
                // The other end will not read any more: whoever sends shall learn it.
                drop(self.from.shutdown(Shutdown::Read));
                return;
            }
        }
        drop(self.to.shutdown(Shutdown::Write));
    }
}
