//! Authority for tests: certificates in files, and clients that trust it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::config::CertificateFiles;

/// Name of the file of the authority's own certificate.
const FILE: &str = "authority.pem";

/// Authority of a test, and a directory for the certificates that it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// New authority, which nobody trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate of its issuer's name for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().expect("ring makes a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority signs itself");
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        std::fs::write(directory.path().join(FILE), issuer.pem()).expect("the directory takes files");
        Self { issuer, directory }
    }

    /// File of the authority's own certificate, for clients that are to trust it.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join(FILE)
    }

    /// Directory of the certificates, which is deleted with the authority.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a certificate for this server, which expires at the beginning of the year `expires`, and its key.
    pub fn write(&self, file: &str, server: &str, expires: i32) -> CertificateFiles {
        let mut params = CertificateParams::new([server.to_owned()]).expect("the name of a server");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(expires, 1, 1);
        let key = KeyPair::generate().expect("ring makes a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs");
        let path = |extension| self.directory.path().join(format!("{file}.{extension}"));
        let files = CertificateFiles { certificate: path("pem"), key: path("key") };
        std::fs::write(&files.certificate, certificate.pem()).expect("the directory takes files");
        std::fs::write(&files.key, key.serialize_pem()).expect("the directory takes files");
        files
    }

    /// Client that trusts this authority only, and speaks these versions.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("the authority has a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let builder = builder.expect("ring has these versions");
        builder.with_root_certificates(roots).with_no_client_auth()
    }
}
