//! nginx as a host of blobs: a directory over HTTP, as it comes out of the box.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::access_log::{self, Access};
use crate::authority::Certificate;
use crate::process::Daemon;
use crate::tools::{self, Tier};

/// nginx on a free port of the loopback interface, gone when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    _daemon: Daemon,
    host: String,
    log: PathBuf,
}

impl Nginx {
    /// Serves `root`, with TLS and HTTP/2 if there is a certificate; its own files go below `dir`. Without nginx the
    /// test is skipped.
    ///
    /// # Panics
    ///
    /// When it does not listen within half a minute.
    pub fn start(tier: Tier, dir: &Path, root: &Path, tls: Option<&Certificate>) -> Option<Self> {
        let mut command = tools::host(tier, "nginx")?;
        let dir = dir.join("nginx");
        fs::create_dir_all(&dir).expect("a directory can be made");
        let (config, host) = (dir.join("nginx.conf"), free_address());
        fs::write(&config, configuration(&dir, root, &host, tls)).expect("the configuration can be written");
        let errors = File::create(dir.join("stderr.log")).expect("the log can be created");
        command.arg("-p").arg(&dir).arg("-c").arg(&config).stdout(Stdio::null()).stderr(errors);
        let mut daemon = Daemon::start(&mut command);
        daemon.wait_for("connection", || TcpStream::connect(&host).ok());
        Some(Self { _daemon: daemon, host, log: dir.join("access.log") })
    }

    /// Returns `address:port`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the requests so far. One that has just been answered may be missing.
    pub fn requests(&self) -> Vec<Access> {
        access_log::read(&self.log)
    }
}

/// Finds a port that is free now: nginx cannot say which one the kernel chose for it.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("a listener has an address").to_string()
}

/// Writes the configuration: one process without privileges of its own, everything it writes below `dir`.
fn configuration(dir: &Path, root: &Path, host: &str, tls: Option<&Certificate>) -> String {
    let (dir, root) = (dir.display(), root.display());
    let tls = tls.map_or_else(
        || format!("listen {host};"),
        |Certificate { certificate, key }| {
            let (certificate, key) = (certificate.display(), key.display());
            format!("listen {host} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key};")
        },
    );
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/error.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n  access_log {dir}/access.log;\n  sendfile on;\n  default_type application/octet-stream;\n  \
         client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  fastcgi_temp_path {dir}/fastcgi;\n  \
         uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n  \
         server {{ {tls} root {root}; }}\n}}\n"
    )
}
