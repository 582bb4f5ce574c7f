//! The configuration of a `docker-registry`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::authority::{Authority, Certificate};
use crate::process::run;
use crate::scripted::Login;
use crate::tools::{self, Tier};

/// Makes an entry of a password file: libc's bcrypt at its least cost, in which perl is the nearest door to libc.
const BCRYPT: &str = r#"print "$ARGV[0]:", crypt($ARGV[1], '$2y$04$' . 'kit' x 7 . 'u')"#;

/// What makes a registry less open than most tests need it.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The certificate to speak TLS with; without it HTTP is spoken.
    pub tls: Option<Certificate>,
    /// The authority whose clients are let in, and no others.
    pub client_ca: Option<PathBuf>,
    /// Who may come in.
    pub auth: Auth,
}

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Everybody.
    #[default]
    None,
    /// Who has the password.
    Basic(Login),
    /// Who has a token of the server at `realm`, signed as [`Signer`](crate::scripted::Signer) does.
    Token {
        /// The address of the token server.
        realm: String,
        /// The authority of the signing certificate.
        ca: PathBuf,
    },
}

impl Setup {
    /// Makes a registry that speaks TLS with a certificate of `authority`.
    pub fn tls(authority: &Authority) -> Self {
        Self { tls: Some(authority.issue("registry")), ..Self::default() }
    }

    /// Writes the configuration; port 0 lets the kernel choose, so that tests beside each other never collide.
    pub(super) fn configuration(&self, tier: Tier, dir: &Path) -> Option<String> {
        let storage = dir.join("registry");
        let mut text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: '127.0.0.1:0'\n",
            storage.display()
        );
        if let Some(Certificate { certificate, key }) = &self.tls {
            text +=
                &format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
            if let Some(ca) = &self.client_ca {
                text += &format!("    clientcas: [{}]\n", ca.display());
            }
        }
        text += &self.auth.configuration(tier, dir)?;
        Some(text)
    }
}

impl Auth {
    fn configuration(&self, tier: Tier, dir: &Path) -> Option<String> {
        Some(match self {
            Self::None => String::new(),
            Self::Basic(login) => {
                let (mut perl, file) = (tools::host(tier, "perl")?, dir.join("htpasswd"));
                let entry = run(perl.args(["-e", BCRYPT, &login.user, &login.password])).stdout;
                fs::write(&file, entry).expect("the password file can be written");
                format!("auth: {{htpasswd: {{realm: kit, path: {}}}}}\n", file.display())
            }
            Self::Token { realm, ca } => format!(
                "auth:\n  token:\n    realm: '{realm}'\n    service: scripted\n    issuer: scripted\n    \
                 rootcertbundle: {}\n",
                ca.display()
            ),
        })
    }
}
