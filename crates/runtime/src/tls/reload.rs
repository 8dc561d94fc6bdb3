//! Reload of certificates whose files have changed, by their contents: volumes of orchestrators change what a path leads to
//! without changing its time.

use std::time::Duration;

use metrics::counter;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::certificate::{Certificate, CertificateError, Contents};
use super::certificates::{Certificates, Entry};
use crate::clock::rfc3339;

/// Time between two looks at the files. Two small files are read in some 20 µs.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);

impl Certificates {
    /// Replaces certificates whose files change, for connections that are made from then on. Never ends.
    pub async fn keep_current(self) {
        let mut watches: Vec<_> = self.0.iter().map(Watch::new).collect();
        let mut look = interval(RELOAD_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            for watch in &mut watches {
                let files = watch.entry.files.clone();
                if let Ok(contents) = spawn_blocking(move || Contents::read(&files)).await {
                    watch.handle_contents(contents);
                }
            }
        }
    }
}

/// Watch over the files of one certificate.
#[derive(Debug)]
struct Watch<'a> {
    entry: &'a Entry,
    /// Fingerprint of the files that the certificate in use was made of.
    used: u64,
    failure: Failure,
}

/// Fault of the files that are there now, by its text.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    None,
    /// Seen once. Certificate and key are replaced one after the other, so the next look decides.
    Seen(String),
    Reported(String),
}

impl<'a> Watch<'a> {
    fn new(entry: &'a Entry) -> Self {
        Self { entry, used: entry.fingerprint, failure: Failure::None }
    }

    fn handle_contents(&mut self, contents: Result<Contents, CertificateError>) {
        let replaced = contents.and_then(|contents| self.replace(&contents));
        match replaced {
            Ok(()) => self.failure = Failure::None,
            Err(error) => self.handle_failure(error.to_string()),
        }
    }

    /// Uses the certificate in these files, if it is another one.
    fn replace(&mut self, contents: &Contents) -> Result<(), CertificateError> {
        let fingerprint = contents.fingerprint();
        if fingerprint == self.used {
            return Ok(());
        }
        let files = &self.entry.files;
        let certificate = Certificate::parse(files, contents)?;
        let expires = rfc3339(certificate.not_after);
        info!(certificate = %files.certificate.display(), expires, "the certificate was replaced");
        counter!("headwater_tls_reloads_total", "result" => "replaced").increment(1);
        certificate.record_expiry(files);
        self.entry.replace(certificate);
        self.used = fingerprint;
        Ok(())
    }

    fn handle_failure(&mut self, text: String) {
        self.failure = match std::mem::replace(&mut self.failure, Failure::None) {
            Failure::Reported(before) if before == text => Failure::Reported(text),
            Failure::Seen(before) if before == text => {
                error!("a new certificate cannot be used, and the one before is kept: {text}");
                counter!("headwater_tls_reloads_total", "result" => "failed").increment(1);
                Failure::Reported(text)
            }
            _ => Failure::Seen(text),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CertificateFiles;

    /// A watch over a certificate of the test, and its files.
    fn entry(directory: &std::path::Path) -> (Entry, CertificateFiles) {
        let files = CertificateFiles { certificate: directory.join("a.pem"), key: directory.join("a.key") };
        write(&files);
        (Entry::load(&files).unwrap(), files)
    }

    fn write(files: &CertificateFiles) {
        let made = rcgen::generate_simple_self_signed(["live.test".to_owned()]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_fault_that_stays_is_reported_once_and_the_certificate_before_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (entry, files) = entry(directory.path());
        let mut watch = Watch::new(&entry);
        let before = entry.current();
        let key = std::fs::read(&files.key).unwrap();
        write(&files);
        std::fs::write(&files.key, key).unwrap();
        watch.handle_contents(Contents::read(&files));
        let Failure::Seen(text) = &watch.failure else { panic!("{watch:?}") };
        assert!(text.contains("is not the key of"), "{text}");
        let reported = Failure::Reported(text.clone());
        for _ in 0..2 {
            watch.handle_contents(Contents::read(&files));
            assert_eq!(watch.failure, reported);
        }
        assert!(std::sync::Arc::ptr_eq(&before, &entry.current()));

        write(&files);
        watch.handle_contents(Contents::read(&files));
        assert_eq!(watch.failure, Failure::None);
        assert!(!std::sync::Arc::ptr_eq(&before, &entry.current()));
        let now = entry.current();
        watch.handle_contents(Contents::read(&files));
        assert!(
            std::sync::Arc::ptr_eq(&now, &entry.current()),
            "files that stay the same are not parsed again"
        );
    }
}
