//! Certificates of listeners and of services, as the configuration names their files.

use std::path::{Path, PathBuf};

use rustls::pki_types::ServerName;

use super::source::Raw;
use super::value::{ListMember, Value, expected_kind, quote_toml};

/// Files of a certificate chain and of its key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by those that lead to the authority.
    pub certificate: PathBuf,
    /// The private key, without a passphrase.
    pub key: PathBuf,
}

impl CertificateFiles {
    fn new(certificate: &str, key: &str) -> Option<Self> {
        let is_named = !certificate.is_empty() && !key.is_empty();
        is_named.then(|| Self { certificate: certificate.into(), key: key.into() })
    }

    fn from_fields(fields: &[(String, Raw)]) -> Option<Self> {
        let field = |name: &str| fields.iter().find(|(key, _)| key == name)?.1.as_text();
        Self::new(field("certificate")?, field("key")?).filter(|_| fields.len() == 2)
    }
}

impl Value for CertificateFiles {
    const KIND: &'static str = "the files of a certificate and of its key, such as \
        { certificate = \"tls.pem\", key = \"tls.key\" }";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let files = match raw {
            Raw::Table(fields) => Self::from_fields(fields),
            raw => raw.as_text().and_then(|text| {
                let (certificate, key) = text.split_once(':')?;
                Self::new(certificate, key)
            }),
        };
        files.ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        let certificate = quote_toml(self.certificate.display())?;
        let key = quote_toml(self.key.display())?;
        Some(format!("{{ certificate = {certificate}, key = {key} }}"))
    }
}

impl ListMember for CertificateFiles {
    const LIST_KIND: &'static str = "a list of files, such as [{ certificate = \"tls.pem\", key = \"tls.key\" }]; \
        in a variable \"tls.pem:tls.key\"";
    const MAY_BE_EMPTY: bool = true;
}

/// File in PEM: of certificates, or of a private key without a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile(PathBuf);

impl PemFile {
    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Value for PemFile {
    const KIND: &'static str = "a file, such as \"/etc/headwater/service.pem\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = raw.as_text().filter(|text| !text.is_empty());
        text.map(|text| Self(text.into())).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(self.0.display())
    }
}

/// Name that a certificate is for: a DNS name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateName(ServerName<'static>);

impl CertificateName {
    /// The name as TLS knows it.
    pub fn server_name(&self) -> ServerName<'static> {
        self.0.clone()
    }
}

impl Value for CertificateName {
    const KIND: &'static str = "a name, such as \"headwater-server\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let name = raw.as_text().and_then(|text| ServerName::try_from(text.to_owned()).ok());
        name.map(Self).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(self.0.to_str())
    }
}
