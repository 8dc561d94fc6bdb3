//! Certificate with its key, read from their files.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_media::UnixMillis;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};

use crate::clock::{self, rfc3339};
use crate::config::CertificateFiles;

/// Fault of a certificate or its key, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{} cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{} holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----", file.display())]
    NoCertificate { file: PathBuf },
    #[error("{} holds no private key in PEM without a passphrase: {source}", file.display())]
    NoKey { file: PathBuf, source: pem::Error },
    #[error("{} is malformed: {reason}", file.display())]
    Malformed { file: PathBuf, reason: String },
    #[error("{} is not the key of the certificate in {}", key.display(), certificate.display())]
    Mismatched { certificate: PathBuf, key: PathBuf },
    #[error("the certificate in {} has expired on {time}: renew it", file.display())]
    Expired { file: PathBuf, time: String },
    #[error("the certificate in {} is not valid before {time}: check the clock", file.display())]
    NotYetValid { file: PathBuf, time: String },
}

/// Contents of the files of a certificate and of its key.
#[derive(Debug)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Contents {
    /// Reads both files. Blocks.
    pub(super) fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        Ok(Self { certificate: read_file(&files.certificate)?, key: read_file(&files.key)? })
    }

    /// Number by which contents that have changed are told.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &self.key).hash(&mut hasher);
        hasher.finish()
    }
}

pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Unreadable { file: path.into(), source })
}

/// Certificate chain with its key, valid when it was read.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    /// Time at which it expires.
    pub(super) not_after: UnixMillis,
}

impl Certificate {
    /// Certificate in the contents of these files.
    pub(super) fn parse(files: &CertificateFiles, contents: &Contents) -> Result<Self, CertificateError> {
        let chain = parse_chain(&files.certificate, &contents.certificate)?;
        let not_after = check_validity(&files.certificate, &chain[0])?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|source| CertificateError::NoKey { file: files.key.clone(), source })?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        let certified = certified.map_err(|error| key_error(files, &error))?;
        Ok(Self { certified: Arc::new(certified), not_after })
    }

    /// Records the time at which the certificate expires.
    pub(super) fn record_expiry(&self, files: &CertificateFiles) {
        let name = files.certificate.display().to_string();
        let seconds = self.not_after.0 as f64 / 1_000.0;
        metrics::gauge!("headwater_tls_certificate_expiry_seconds", "certificate" => name).set(seconds);
    }
}

/// At least one certificate.
pub(super) fn parse_chain(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| malformed(file, error))?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate { file: file.into() });
    }
    Ok(chain)
}

/// Time at which the certificate expires. One that has expired, or that is not valid yet, is an error.
fn check_validity(file: &Path, der: &CertificateDer<'_>) -> Result<UnixMillis, CertificateError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).map_err(|error| malformed(file, error))?;
    let not_before = unix_millis(parsed.validity().not_before.timestamp());
    let not_after = unix_millis(parsed.validity().not_after.timestamp());
    let now = clock::now();
    let file = || file.to_owned();
    if not_after < now {
        return Err(CertificateError::Expired { file: file(), time: rfc3339(not_after).unwrap_or_default() });
    }
    if not_before > now {
        let time = rfc3339(not_before).unwrap_or_default();
        return Err(CertificateError::NotYetValid { file: file(), time });
    }
    Ok(not_after)
}

/// Times before 1970 are as good as 1970.
fn unix_millis(seconds: i64) -> UnixMillis {
    UnixMillis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
}

pub(super) fn malformed(file: &Path, reason: impl ToString) -> CertificateError {
    CertificateError::Malformed { file: file.into(), reason: reason.to_string() }
}

fn key_error(files: &CertificateFiles, error: &TlsError) -> CertificateError {
    let CertificateFiles { certificate, key } = files.clone();
    match error {
        TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            CertificateError::Mismatched { certificate, key }
        }
        TlsError::InvalidCertificate(_) => malformed(&certificate, error),
        _ => malformed(&key, error),
    }
}
