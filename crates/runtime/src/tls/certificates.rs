//! Certificates of a listener, and which of them a client is shown.

use std::sync::{Arc, RwLock};

use headwater_media::lock::RwLockExt as _;
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::{Certificate, CertificateError, Contents};
use crate::config::CertificateFiles;

/// Certificates of a listener. Clones share them.
#[derive(Clone, Debug)]
pub struct Certificates(pub(super) Arc<Vec<Entry>>);

/// Certificate of a listener that may be replaced.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) files: CertificateFiles,
    /// Fingerprint of the files when the listener was started.
    pub(super) fingerprint: u64,
    current: RwLock<Arc<CertifiedKey>>,
}

/// Faults of certificates whose files are named in the configuration; none when all can be used.
pub fn check_files(files: &[CertificateFiles]) -> Vec<CertificateError> {
    files.iter().filter_map(|files| Entry::load(files).err()).collect()
}

impl Certificates {
    /// Reads all files, of which there is one pair at least. Blocks.
    ///
    /// # Errors
    /// When a file is missing or malformed, a key is not that of its certificate, or a certificate has expired.
    pub fn load(files: &[CertificateFiles]) -> Result<Self, CertificateError> {
        let entries: Result<Vec<_>, _> = files.iter().map(Entry::load).collect();
        Ok(Self(Arc::new(entries?)))
    }

    /// Settings of TLS 1.2 and 1.3 with these certificates, with resumption of sessions. `protocols` are those of ALPN
    /// (RFC 7301), best first; clients that name none are accepted too.
    ///
    /// # Errors
    /// When the system has no randomness for the keys of session tickets.
    pub fn server_config(&self, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(Arc::new(self.clone()));
        config.ticketer = ring::Ticketer::new()?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Certificate for a client that asks for this server, if it says so, and of which `suits` is true: the first one that
    /// has the name, or else the first of all.
    pub(super) fn choose(
        &self,
        server: Option<&str>,
        suits: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<Arc<CertifiedKey>> {
        let server = server.and_then(|server| ServerName::try_from(server).ok());
        let has_name = |key: &CertifiedKey| server.as_ref().is_some_and(|server| is_for(key, server));
        let all = || self.0.iter().map(Entry::current).filter(|key| suits(key));
        all().find(|key| has_name(key)).or_else(|| all().next())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        self.choose(hello.server_name(), |key| key.key.choose_scheme(schemes).is_some())
    }
}

/// Whether the certificate is for this server, by its own names (RFC 9525).
fn is_for(key: &CertifiedKey, server: &ServerName<'_>) -> bool {
    let parsed = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|certificate| verify_server_name(&certificate, server).is_ok())
}

impl Entry {
    /// Reads the files. Blocks.
    pub(super) fn load(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let contents = Contents::read(files)?;
        let certificate = Certificate::parse(files, &contents)?;
        certificate.record_expiry(files);
        Ok(Self {
            files: files.clone(),
            fingerprint: contents.fingerprint(),
            current: RwLock::new(certificate.certified),
        })
    }

    /// Certificate that clients are shown now.
    pub(super) fn current(&self) -> Arc<CertifiedKey> {
        self.current.read_ignoring_poison().clone()
    }

    /// Shows clients this certificate from now on.
    pub(super) fn replace(&self, certificate: Certificate) {
        *self.current.write_ignoring_poison() = certificate.certified;
    }
}
