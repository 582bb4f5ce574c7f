//! A TCP proxy that makes the way to a server longer and narrower.

use std::io::{self, ErrorKind, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Link;
use crate::connect::{HEAD_LEN_MAX, Target};
use crate::line::{End, Lines};
use crate::poll::Poller;

/// How long a client may take to say where it wants to go, and a server to be reached.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// To one server.
    Server(SocketAddr),
    /// Wherever the client wants: it speaks to an HTTP proxy, and asks it to connect.
    Anywhere,
}

/// A running proxy on the loopback interface. Dropping it breaks its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    waker: PipeWriter,
    thread: Option<thread::JoinHandle<()>>,
}

/// What went through a proxy, heads of requests and answers included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that came.
    pub connections: u64,
    /// Bytes that arrived at servers.
    pub up: u64,
    /// Bytes that arrived at clients.
    pub down: u64,
}

impl Counts {
    /// Returns what was added to an earlier count.
    pub fn since(self, before: Self) -> Self {
        Self {
            connections: self.connections.saturating_sub(before.connections),
            up: self.up.saturating_sub(before.up),
            down: self.down.saturating_sub(before.down),
        }
    }

    /// Returns the sum of what went through two proxies.
    pub fn plus(self, other: Self) -> Self {
        Self {
            connections: self.connections.saturating_add(other.connections),
            up: self.up.saturating_add(other.up),
            down: self.down.saturating_add(other.down),
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    connections: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

impl Proxy {
    /// Starts a proxy on a free port, to `upstream` over `link`.
    ///
    /// # Errors
    /// Those of the operating system, when there is no free port or no thread.
    pub fn start(upstream: Upstream, link: Link) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (woken, waker) = io::pipe()?;
        let shared = Arc::<Shared>::default();
        let (opened, openings) = channel();
        let opener = Opener { upstream, opened, waker: waker.try_clone()? };
        let carrier = Carrier {
            lines: Lines::new(link),
            limit: link.connections.map_or(usize::MAX, Into::into),
            opening: 0,
            poller: Poller::new(listener, woken)?,
            openings,
            opener,
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new().name("link".into()).spawn(move || carrier.run())?;
        Ok(Self { address, shared, waker, thread: Some(thread) })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what went through it so far.
    pub fn counts(&self) -> Counts {
        let Shared { connections, up, down, .. } = &*self.shared;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { connections: load(connections), up: load(up), down: load(down) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        wake(&self.waker);
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did, its connections are gone as well.
            let _ = thread.join();
        }
    }
}

/// Wakes the thread of a proxy. A pipe that is full wakes it as well, and one that is closed has nobody to wake.
fn wake(mut waker: &PipeWriter) {
    let _ = waker.write(&[0]);
}

/// A connection that both ends know of; without the server's end, one that came to nothing.
type Opened = Option<(TcpStream, TcpStream, Instant)>;

/// The thread that carries everything.
struct Carrier {
    lines: Lines<TcpStream>,
    /// Most connections at once.
    limit: usize,
    /// Connections that are being opened.
    opening: usize,
    poller: Poller,
    openings: Receiver<Opened>,
    opener: Opener,
    shared: Arc<Shared>,
}

impl Carrier {
    /// Carries connections until the proxy is dropped.
    fn run(mut self) {
        // Waking a twentieth of a millisecond late, as threads usually may, would be a tenth of a short round trip.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut pause = None;
        while !self.shared.stopped.load(Ordering::Relaxed) {
            let moved = self.lines.turn(Instant::now());
            self.shared.up.fetch_add(moved.up, Ordering::Relaxed);
            self.shared.down.fetch_add(moved.down, Ordering::Relaxed);
            let has_room = self.lines.count().saturating_add(self.opening) < self.limit;
            let wake = moved.wake.into_iter().chain(pause).min();
            let ready = self.poller.wait(&mut self.lines, has_room && pause.is_none(), wake);
            let Ok(ready) = ready else { return };
            pause = pause.filter(|until| *until > Instant::now());
            if ready.accept && !self.accept() {
                pause = Some(Instant::now() + ACCEPT_PAUSE);
            }
            self.open();
        }
    }

    /// Lets one client in. Fails when that cannot be done now.
    fn accept(&mut self) -> bool {
        match self.poller.listener().accept() {
            Ok((client, _)) => {
                self.shared.connections.fetch_add(1, Ordering::Relaxed);
                let opening = self.opener.start(client);
                self.opening = self.opening.saturating_add(usize::from(opening));
                opening
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted),
        }
    }

    fn open(&mut self) {
        while let Ok(opened) = self.openings.try_recv() {
            self.opening = self.opening.saturating_sub(1);
            let Some((client, server, since)) = opened else { continue };
            // What cannot be waited for breaks.
            if self.poller.add(self.lines.next_number(), &client, &server).is_ok() {
                self.lines.add(client, server, since);
            }
        }
    }
}

/// Opens connections to servers, each in a thread of its own: that may take a while.
#[derive(Debug)]
struct Opener {
    upstream: Upstream,
    opened: Sender<Opened>,
    waker: PipeWriter,
}

impl Opener {
    fn start(&self, client: TcpStream) -> bool {
        let (upstream, opened, since) = (self.upstream.clone(), self.opened.clone(), Instant::now());
        let Ok(waker) = self.waker.try_clone() else { return false };
        let open = move || {
            let line = connect(&upstream, &client).ok().map(|server| (client, server, since));
            if opened.send(line).is_ok() {
                wake(&waker);
            }
        };
        thread::Builder::new().spawn(open).is_ok()
    }
}

/// Connects to where a client wants to go.
fn connect(upstream: &Upstream, client: &TcpStream) -> io::Result<TcpStream> {
    client.set_nonblocking(false)?;
    let server = match upstream {
        Upstream::Server(address) => TcpStream::connect_timeout(address, PATIENCE)?,
        Upstream::Anywhere => anywhere(client)?,
    };
    for end in [client, &server] {
        end.set_nodelay(true)?;
        end.set_nonblocking(true)?;
    }
    Ok(server)
}

/// Reads where a client wants to go, goes there, and says so.
fn anywhere(mut client: &TcpStream) -> io::Result<TcpStream> {
    client.set_read_timeout(Some(PATIENCE))?;
    let target = Target::parse(&head(client)?).map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
    let server = target.and_then(|target| reach(&target));
    let answer = match &server {
        Ok(_) => "HTTP/1.1 200 OK\r\n\r\n",
        Err(_) => "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    };
    client.write_all(answer.as_bytes())?;
    server
}

/// Connects to a server at the first of its addresses that answers.
fn reach(target: &Target) -> io::Result<TcpStream> {
    let (mut failure, end) = (io::Error::from(ErrorKind::NotFound), Instant::now() + PATIENCE);
    for address in (target.host.as_str(), target.port).to_socket_addrs()? {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(server) => return Ok(server),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Reads the head of a request, and nothing beyond it.
fn head(mut client: &TcpStream) -> io::Result<Vec<u8>> {
    let (mut head, end) = (Vec::new(), Instant::now() + PATIENCE);
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_LEN_MAX {
        if Instant::now() > end {
            return Err(ErrorKind::TimedOut.into());
        }
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(head)
}

impl End for TcpStream {
    fn finish(&mut self) {
        // Fails only where the peer is gone.
        let _ = self.shutdown(Shutdown::Write);
    }
}
