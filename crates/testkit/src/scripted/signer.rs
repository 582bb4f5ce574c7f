//! Tokens that a `docker-registry` takes: JSON Web Tokens, signed with a certificate's key.

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::authority::Certificate;
use crate::process::{run, run_with};

/// Signs tokens in the name of the issuer `scripted`, good for the service `scripted`.
#[derive(Debug, Clone)]
pub struct Signer {
    key: PathBuf,
    /// The certificate as base64 of DER: what the header `x5c` holds.
    certificate: String,
    /// How long a token is good for, in seconds.
    lifetime: u64,
}

impl Signer {
    /// Makes a signer whose tokens are good for `lifetime` seconds.
    pub fn new(certificate: &Certificate, lifetime: u64) -> Self {
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-outform", "DER", "-in"]).arg(&certificate.certificate);
        let der = run(&mut openssl).stdout;
        Self { key: certificate.key.clone(), certificate: STANDARD.encode(der), lifetime }
    }

    pub(super) fn lifetime(&self) -> u64 {
        self.lifetime
    }

    /// Makes a token for these scopes.
    pub(super) fn token(&self, scopes: &[String], serial: usize) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let claims = json!({
            "iss": "scripted",
            "aud": "scripted",
            "sub": "somebody",
            "nbf": now.saturating_sub(60),
            "iat": now,
            "exp": now + self.lifetime,
            "jti": serial.to_string(),
            "access": scopes.iter().filter_map(|scope| access(scope)).collect::<Vec<_>>(),
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(&signed));
        format!("{signed}.{signature}")
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let mut openssl = Command::new("openssl");
        let der = run_with(openssl.args(["dgst", "-sha256", "-sign"]).arg(&self.key), text.as_bytes()).stdout;
        let (r, s) = der_integers(&der).expect("openssl writes a signature in DER");
        [r, s].concat()
    }
}

/// Reads `repository:NAME:pull,push`.
fn access(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
}

/// Takes the two numbers out of a signature: DER has them in a sequence, a token as 32 bytes each.
fn der_integers(der: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    let (r, rest) = der_integer(der.get(2..)?)?;
    Some((r, der_integer(rest)?.0))
}

fn der_integer(der: &[u8]) -> Option<([u8; 32], &[u8])> {
    let len = usize::from(*der.get(1)?);
    let number = der.get(2..2 + len)?;
    // A zero in front says that the number is positive; a small number is shorter.
    let digits = &number[number.len().saturating_sub(32)..];
    let mut bytes = [0; 32];
    bytes[32 - digits.len()..].copy_from_slice(digits);
    Some((bytes, &der[2 + len..]))
}
