//! The socket: who is let in, how many at once, and how it ends.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::access_log::Log;
use crate::app::{Access, App, Peer, Serves};
use crate::bodies::Sending;
use crate::error::Error;
use crate::patience::Patient;
use crate::policy::IndexPolicy;
use crate::repositories::{Purpose, Repositories};
use crate::tls::{self, Tls};
use crate::users::Users;

/// Most connections at once; further ones wait. Each may have a file open, and 1024 is a common limit for a process.
const CONNECTIONS_MAX: usize = 448;
/// How long a client may take to make TLS work, or to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest head of a request in bytes. podman asks for 1024 ranges in one, of up to 22 bytes each.
const HEAD_LEN_MAX: usize = 256 << 10;
/// Most requests at once on a connection of HTTP/2. An answer may wait for its client with a buffer full.
const STREAMS_MAX: u32 = 32;
/// Such a buffer.
const SEND_LEN_MAX: usize = 512 << 10;
/// How long requests may take to end once the server was told to.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);
/// How long to wait when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served, how, and to whom.
#[derive(Clone)]
pub struct Options {
    /// The directory of the layouts; it is made if it is missing.
    pub directory: PathBuf,
    /// Where to listen; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Which children an index may lack.
    pub index_policy: IndexPolicy,
    /// What clients may do.
    pub access: Access,
    /// Speaks TLS if it is given.
    pub tls: Option<Tls>,
    /// A file of `htpasswd -B` with those who may come in; without it, everybody may.
    pub users: Option<PathBuf>,
    /// Takes a line for each request.
    pub log: Option<Log>,
    /// What it makes of requests for ranges: less than it could, to be like another registry.
    pub serves: Serves,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("directory", &self.directory)
            .field("listen", &self.listen)
            .field("index_policy", &self.index_policy)
            .field("access", &self.access)
            .field("tls", &self.tls)
            .field("users", &self.users)
            .field("serves", &self.serves)
            .finish_non_exhaustive()
    }
}

/// A registry that listens, and answers once it runs.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    tls: Option<TlsAcceptor>,
    stop: Stop,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Ends a server from another thread.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Notify>);

impl Stop {
    /// Takes no more connections, and lets requests end that have begun.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

impl Server {
    /// Opens the directory and the socket.
    ///
    /// # Errors
    /// Those of [`Repositories::open`], of the files that `options` names, and [`Error::Listen`].
    pub fn bind(options: Options) -> Result<Self, Error> {
        let tls = options.tls.as_ref().map(Tls::acceptor).transpose()?;
        let users = options.users.as_deref().map(Users::read).transpose()?;
        let app = App {
            policy: options.index_policy,
            access: options.access,
            users: users.map(Arc::new),
            log: options.log,
            serves: options.serves,
            ..App::new(Repositories::open(&options.directory, Purpose::Serve)?)
        };
        let failed = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, app: Arc::new(app), tls, stop: Stop::default() })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what ends it.
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Answers requests until it is told to stop.
    ///
    /// # Errors
    /// [`Error::Start`] when there are no threads to do so.
    pub fn run(self) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Start { source })?;
        let done = runtime.block_on(self.accept());
        // A thread that waits for a disk must not keep the process.
        runtime.shutdown_timeout(Duration::from_secs(1));
        done
    }

    async fn accept(self) -> Result<(), Error> {
        let listener =
            tokio::net::TcpListener::from_std(self.listener).map_err(|source| Error::Start { source })?;
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (router, graceful) = (self.app.router(), GracefulShutdown::new());
        let stopped = self.stop.0.notified();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                (permit, stream, peer) = next(&listener, &connections) => {
                    let connection = Connection { peer, router: router.clone(), tls: self.tls.clone() };
                    let watcher = graceful.watcher();
                    tokio::spawn(async move {
                        connection.serve(stream, watcher).await;
                        drop(permit);
                    });
                }
            }
        }
        drop(listener);
        // Who is still there after that is cut off; what was not acknowledged leaves nothing.
        let _ = timeout(SHUTDOWN_MAX, graceful.shutdown()).await;
        Ok(())
    }
}

/// Waits for a client, while there are not too many.
async fn next(
    listener: &tokio::net::TcpListener,
    connections: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, TcpStream, SocketAddr) {
    // It fails only where the semaphore is closed, which nobody does.
    let permit = Arc::clone(connections).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (permit, stream, peer),
            // There are too many files open, or the client is gone already.
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// A client.
struct Connection {
    peer: SocketAddr,
    router: Router,
    tls: Option<TlsAcceptor>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, watcher: Watcher) {
        // It only costs speed.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = &self.tls else {
            return self.speak(stream, Protocol::Http1, watcher).await;
        };
        // A client that does not get that far has nobody to be told.
        let Ok(Ok(stream)) = timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await else { return };
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(tls::HTTP_2) => Protocol::Http2,
            _ => Protocol::Http1,
        };
        self.speak(stream, protocol, watcher).await;
    }

    async fn speak<S>(&self, stream: S, protocol: Protocol, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new(TokioExecutor::new());
        let http1 = &mut builder.http1();
        http1.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LEN_MAX);
        let http2 = &mut builder.http2();
        http2.timer(TokioTimer::new()).keep_alive_interval(HEAD_TIMEOUT).max_concurrent_streams(STREAMS_MAX);
        http2.max_header_list_size(HEAD_LEN_MAX as u32).max_send_buf_size(SEND_LEN_MAX);
        http2.initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
        // Without this, a client that sends nothing would be waited for to see what it speaks.
        let builder = match protocol {
            Protocol::Http1 => builder.http1_only(),
            Protocol::Http2 => builder.http2_only(),
        };
        let sending = Sending::default();
        let service = self.router.clone().layer(Extension(Peer(self.peer.ip())));
        let service = service.layer(Extension(sending.clone()));
        let io = TokioIo::new(Patient::new(stream));
        let connection = builder.serve_connection(io, TowerToHyperService::new(service)).into_owned();
        let stalled = async {
            match protocol {
                // There, what is not taken keeps the connection from being written to.
                Protocol::Http1 => std::future::pending().await,
                Protocol::Http2 => sending.stalled().await,
            }
        };
        tokio::select! {
            // Clients that break off are no failure of ours.
            _ = watcher.watch(connection) => {}
            () = stalled => {}
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::body::Body;
    use chunked::BlobRange;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::body::{FileBody, Piece};

    /// Asks for something by HTTP/2, takes none of it, and answers whatever keeps the connection.
    async fn take_nothing(mut stream: DuplexStream) {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        // SETTINGS: the window of each stream has no room. Then HEADERS: GET / of x, and its end.
        stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await.unwrap();
        stream.write_all(&[0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 1, 1, b'x']).await.unwrap();
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            stream.read_exact(&mut payload).await.unwrap();
            let (is_settings, is_ping) = (head[3] == 4, head[3] == 6);
            if (is_settings || is_ping) && head[4] == 0 {
                head[4] = 1;
                let echoed = if is_ping { &payload[..] } else { &[] };
                head[2] = echoed.len() as u8;
                if stream.write_all(&[&head, echoed].concat()).await.is_err() {
                    return;
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_of_a_stream_does_not_keep_it() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        let places = Arc::new(Semaphore::new(1));
        let (path, taken) = (file.path().to_owned(), Arc::clone(&places));
        let answer = move |Extension(sending): Extension<Sending>| async move {
            let file = std::fs::File::open(path).unwrap();
            let body = FileBody::new(file, [Piece::Stretch(BlobRange::saturating(0, 100_000))]);
            Body::new(body.with(sending.begin(&taken).await.unwrap()))
        };
        let peer = ([127, 0, 0, 1], 1).into();
        let connection = Connection { peer, router: Router::new().fallback(answer), tls: None };
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let client = tokio::spawn(take_nothing(theirs));

        let (watcher, start) = (GracefulShutdown::new().watcher(), tokio::time::Instant::now());
        let ended = timeout(Duration::from_secs(600), connection.speak(ours, Protocol::Http2, watcher)).await;
        assert!(ended.is_ok(), "it is still there");
        assert!(start.elapsed() > Duration::from_secs(120), "it was not given any time");
        client.await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(places.available_permits(), 1);
    }
}
