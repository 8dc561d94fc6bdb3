//! TLS of listeners: certificates that are chosen by the name of the server that a client asks for, and replaced when their
//! files change.

mod certificate;
mod certificates;
mod reload;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use certificate::CertificateError;
pub use certificates::{Certificates, check_files};
pub use rustls::Error as TlsError;

#[cfg(test)]
mod tests;
