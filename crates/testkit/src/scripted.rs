//! A registry that misbehaves as told: HTTP/1.1 on the loopback interface, in threads of the test.
//!
//! What it does is a [`Script`]; what it saw can be asked afterwards, request by request and byte by byte.
//!
//! ```
//! use morsel_testkit::scripted::{Ranges, Script, Scripted};
//!
//! let registry = Scripted::start(Script { ranges: Ranges::IgnoresMany, ..Script::default() });
//! let digest = registry.add_blob("image", b"content");
//! assert!(digest.starts_with("sha256:"));
//! assert_eq!(registry.counters().requests, 0);
//! ```

mod auth;
mod content;
mod fault;
mod fill;
mod log;
mod message;
mod ranges;
mod route;
mod script;
mod server;
mod service;
mod signer;
mod upload;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

pub use fault::{Fault, Misdeed, Target};
pub use log::{Counters, Host, Request};
pub use script::{Auth, Blobs, Headers, Indexes, Login, Multipart, Ranges, Script, Start};
pub use signer::Signer;

use server::Server;
use service::Service;

/// A running registry. Dropping it ends its connections.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    blob_host: SocketAddr,
    server: Arc<Server>,
}

impl Scripted {
    /// Starts a registry, and the blob host beside it, on free ports of the loopback interface.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub fn start(script: Script) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let (front, blobs) = (bind(), bind());
        let address = |listener: &TcpListener| listener.local_addr().expect("a listener has an address");
        let (address, blob_host) = (address(&front), address(&blobs));
        let service = Service::new(script, address.to_string(), blob_host.to_string());
        let server = Arc::new(Server::new(service));
        for (listener, host) in [(front, Host::Front), (blobs, Host::Blobs)] {
            let server = Arc::clone(&server);
            thread::spawn(move || server.listen(&listener, host));
        }
        Self { address, blob_host, server }
    }

    /// Returns `address:port`, the first part of an image's name.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns `address:port` of the blob host.
    pub fn blob_host(&self) -> String {
        self.blob_host.to_string()
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.server.service.log.requests()
    }

    /// Returns the sums of the requests so far.
    pub fn counters(&self) -> Counters {
        self.server.service.log.counters()
    }

    /// Forgets the requests so far, while none is being answered. Connections stay counted.
    pub fn forget_requests(&self) {
        self.server.service.log.clear();
    }

    /// Lets all signed addresses of the blob host given out so far expire.
    pub fn expire_addresses(&self) {
        self.server.service.expire_addresses();
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.stop();
        for address in [self.address, self.blob_host] {
            // Wakes the thread that waits for connections; it may have gone already.
            let _ = TcpStream::connect(address);
        }
    }
}
