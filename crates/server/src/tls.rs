//! TLS: the server's certificate.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::error::{Error, at_path};

/// Longest file with certificates or a key, in bytes.
const PEM_LEN_MAX: u64 = 1 << 20;

/// Where the server's certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file with the certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// A PEM file with its key.
    pub key: PathBuf,
}

/// The versions of HTTP that are offered, the better one first.
pub(crate) const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

impl Tls {
    /// Reads the files.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, Error> {
        let no = |path: &Path, expected| Error::Pem { path: path.to_owned(), expected };
        let text = read(&self.certificate)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .ok()
            .filter(|certificates: &Vec<_>| !certificates.is_empty())
            .ok_or_else(|| no(&self.certificate, "certificate"))?;
        let key =
            PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|_| no(&self.key, "private key"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
            .map_err(|source| Error::Certificate {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                source,
            })?;
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(at_path("open", path))?;
    file.take(PEM_LEN_MAX + 1).read_to_end(&mut bytes).map_err(at_path("read", path))?;
    if bytes.len() as u64 > PEM_LEN_MAX {
        let why = format!("it has more than {PEM_LEN_MAX} bytes");
        return Err(at_path("read", path)(io::Error::new(io::ErrorKind::InvalidData, why)));
    }
    Ok(bytes)
}
