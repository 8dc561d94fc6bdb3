//! TLS of listeners: certificates that are chosen by the name of the server that a client asks for, and replaced when their
//! files change. TLS between the services, which show a certificate to each other.

mod certificate;
mod certificates;
mod cluster;
mod reload;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use certificate::CertificateError;
pub use certificates::{Certificates, check_files};
pub use cluster::{CallerTls, ClusterTls, ClusterTlsError, check_cluster, keep_current};
pub use rustls::Error as TlsError;

#[cfg(test)]
mod tests;
