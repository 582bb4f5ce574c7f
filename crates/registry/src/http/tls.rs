//! Which servers to trust, and who to be to them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Longest file of certificates or of a key, in bytes; those of whole distributions have a quarter of that.
const PEM_LEN_MAX: u64 = 1 << 20;

/// How TLS is spoken with a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tls {
    /// Whether the server has to prove who it is.
    pub verification: Verification,
    /// Files with certificates of authorities that are trusted beside those of the machine.
    pub authorities: Vec<PathBuf>,
    /// Who this client is.
    pub identity: Option<Identity>,
}

/// Whether a server has to prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Verification {
    /// By a certificate of an authority that is trusted.
    #[default]
    On,
    /// Anyone is believed.
    Off,
}

/// A certificate of this client and its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The file with the certificate, and those that lead from it to an authority.
    pub certificates: PathBuf,
    /// The file with the private key.
    pub key: PathBuf,
}

impl Tls {
    /// Loads what the files hold.
    pub(super) fn to_config(&self) -> io::Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match self.verification {
            Verification::On => builder.with_root_certificates(self.roots()?),
            Verification::Off => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            }
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificates, key }) => builder
                .with_client_auth_cert(read_certificates(certificates)?, read_key(key)?)
                .map_err(|error| invalid(key, error))?,
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn roots(&self) -> io::Result<RootCertStore> {
        let mut roots = machine_roots().clone();
        for path in &self.authorities {
            for certificate in read_certificates(path)? {
                roots.add(certificate).map_err(|error| invalid(path, error))?;
            }
        }
        Ok(roots)
    }
}

/// Returns the authorities that this machine trusts. One that has none can still speak HTTP, and HTTPS with those named
/// for a host; certificates that cannot be read are those of nobody.
fn machine_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
}

fn read_certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = read_pem(path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match certificates.map_err(|error| invalid(path, error))? {
        none if none.is_empty() => Err(invalid(path, "it has no certificate")),
        some => Ok(some),
    }
}

fn read_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&read_pem(path)?).map_err(|error| invalid(path, error))
}

fn read_pem(path: &Path) -> io::Result<Vec<u8>> {
    let failed =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot read `{}`: {error}", path.display()));
    if fs::metadata(path).map_err(failed)?.len() > PEM_LEN_MAX {
        return Err(invalid(path, "it is too long"));
    }
    fs::read(path).map_err(failed)
}

fn invalid(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot use `{}`: {error}", path.display()))
}

/// Believes any server; only that it holds the key of the certificate it shows is checked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
