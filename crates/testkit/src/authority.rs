//! A private certificate authority, made with `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{run, run_with};
use crate::tools::{self, Tier};

/// An authority that nobody trusts yet, and what it issued, below a directory of the test.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key: elliptic, P-256.
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority; without `openssl` the test is skipped.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn create(tier: Tier, dir: &Path) -> Option<Self> {
        let mut openssl = tools::host(tier, "openssl")?;
        let dir = dir.join("authority");
        fs::create_dir_all(&dir).expect("a directory can be made");
        let authority = Self { dir };
        let own = authority.files("ca");
        request(&mut openssl, &own, "kit authority");
        run(openssl.args(["-x509", "-days", "2", "-out"]).arg(&own.certificate));
        Some(authority)
    }

    /// Returns the authority's own certificate: the file that makes others trust it.
    pub fn ca_file(&self) -> PathBuf {
        self.files("ca").certificate
    }

    /// Issues a certificate for `127.0.0.1` and `localhost`, for servers and clients alike.
    pub fn issue(&self, name: &str) -> Certificate {
        let (issued, ca) = (self.files(name), self.files("ca"));
        let extensions = self.dir.join(format!("{name}.ext"));
        fs::write(&extensions, "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
            .expect("the extensions can be written");
        let mut openssl = Command::new("openssl");
        request(&mut openssl, &issued, name);
        let request = run(&mut openssl).stdout;
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-req", "-days", "2", "-CA"]).arg(&ca.certificate).arg("-CAkey").arg(&ca.key);
        openssl.args(["-CAcreateserial", "-extfile"]).arg(&extensions).arg("-out").arg(&issued.certificate);
        run_with(&mut openssl, &request);
        issued
    }

    fn files(&self, name: &str) -> Certificate {
        Certificate {
            certificate: self.dir.join(format!("{name}.crt")),
            key: self.dir.join(format!("{name}.key")),
        }
    }
}

/// Starts the command line that makes a key and a request for its certificate.
fn request(openssl: &mut Command, files: &Certificate, name: &str) {
    openssl.args(["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.arg("-keyout").arg(&files.key).args(["-subj", &format!("/CN={name}")]);
}
