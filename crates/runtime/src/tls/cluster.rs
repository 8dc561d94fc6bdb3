//! TLS between the services: each shows a certificate, and accepts only those of the cluster's authorities (mutual TLS).

use std::path::Path;
use std::slice;
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use tokio_util::sync::CancellationToken;

use super::certificate::{CertificateError, malformed, parse_chain, read_file};
use super::certificates::{Certificates, check_files};
use crate::config::ClusterConfig;

/// HTTP/2 as ALPN names it (RFC 9113 §3.2): gRPC speaks nothing else.
const HTTP2: &[u8] = b"h2";

/// Reason why TLS between the services can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClusterTlsError {
    #[error("TLS between the services (cluster.tls_certificate, cluster.tls_authority): {0}")]
    Certificate(#[from] CertificateError),
    #[error("TLS between the services cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("no certificate can be checked by cluster.tls_authority: {0}")]
    Authority(#[from] VerifierBuilderError),
}

/// Certificate of a service, and the authorities of its peers.
#[derive(Clone, Debug)]
pub struct ClusterTls {
    certificates: Certificates,
    authorities: Arc<RootCertStore>,
    server_name: ServerName<'static>,
}

/// TLS of a caller: its settings, and the name that the certificates of servers have.
pub type CallerTls = (Arc<ClientConfig>, ServerName<'static>);

impl ClusterTls {
    /// TLS with the files that the configuration names; none where it names none. Blocks.
    ///
    /// # Errors
    /// When a file is missing or malformed, or the certificate can't be used.
    pub fn load(config: &ClusterConfig) -> Result<Option<Self>, ClusterTlsError> {
        let (Some(files), Some(authority)) = (config.certificate_files(), &config.tls_authority) else {
            return Ok(None);
        };
        Ok(Some(Self {
            certificates: Certificates::load(slice::from_ref(&files))?,
            authorities: Arc::new(load_authorities(authority.path())?),
            server_name: config.tls_name.server_name(),
        }))
    }

    /// TLS of a server: callers have to show a certificate of an authority.
    ///
    /// # Errors
    /// When the authorities can't check anybody.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, ClusterTlsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.authorities.clone(), provider.clone())
                .build()?;
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
        let mut config = builder
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(self.certificates.clone()));
        config.alpn_protocols = vec![HTTP2.to_vec()];
        // A session that is resumed would outlive the certificate that it began with.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// TLS of a caller, which shows its certificate, and checks those of servers.
    ///
    /// # Errors
    /// When the cryptography lacks TLS 1.3.
    pub fn caller(&self) -> Result<CallerTls, ClusterTlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
        let mut config = builder
            .with_root_certificates(self.authorities.clone())
            .with_client_cert_resolver(Arc::new(self.certificates.clone()));
        config.alpn_protocols = vec![HTTP2.to_vec()];
        config.resumption = Resumption::disabled();
        Ok((Arc::new(config), self.server_name.clone()))
    }
}

/// Replaces the certificate of the services when its files change, for connections that are made from then on, until
/// `stop` is cancelled.
pub async fn keep_current(tls: Option<ClusterTls>, stop: CancellationToken) {
    if let Some(tls) = tls {
        stop.run_until_cancelled(tls.certificates.keep_current()).await;
    }
}

impl ResolvesClientCert for Certificates {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.choose(None, |key| key.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Faults of the files of TLS between the services, each with the setting that names the file.
pub fn check_cluster(config: &ClusterConfig) -> Vec<(&'static str, CertificateError)> {
    let files: Vec<_> = config.certificate_files().into_iter().collect();
    let certificate = check_files(&files).into_iter().map(|error| ("cluster.tls_certificate", error));
    let authority = config.tls_authority.as_ref().and_then(|file| load_authorities(file.path()).err());
    certificate.chain(authority.map(|error| ("cluster.tls_authority", error))).collect()
}

fn load_authorities(file: &Path) -> Result<RootCertStore, CertificateError> {
    let mut authorities = RootCertStore::empty();
    for certificate in parse_chain(file, &read_file(file)?)? {
        authorities.add(certificate).map_err(|error| malformed(file, error))?;
    }
    Ok(authorities)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::config::{Config, File, Service, load};
    use crate::listener::{Limits, Listener};
    use crate::tls::testing::Authority;

    /// Configuration with a certificate that one authority has signed, and that trusts another one.
    fn cluster(signer: &Authority, trusted: &Authority, file: &str, name: &str) -> ClusterConfig {
        let files = signer.write(file, name, 4000);
        let text = format!(
            "[cluster]\ntls_certificate = {:?}\ntls_key = {:?}\ntls_authority = {:?}\n",
            files.certificate.display().to_string(),
            files.key.display().to_string(),
            trusted.file().display().to_string(),
        );
        let loaded = load(Service::AllInOne, Some(File { path: "hw.toml", text: &text }), []).unwrap();
        assert!(check_cluster(&loaded.config.cluster).is_empty());
        loaded.config.cluster
    }

    fn tls(config: &ClusterConfig) -> ClusterTls {
        ClusterTls::load(config).unwrap().unwrap()
    }

    /// Whether a server of one configuration answers a caller.
    async fn is_answered(server: &ClusterConfig, caller: CallerTls) -> bool {
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(listen, "server.grpc_listen", Limits::total(9)).await.unwrap();
        let mut listener = listener.encrypt(tls(server).server_config().unwrap());
        let address = listener.local_addr();
        let serving = tokio::spawn(async move {
            if let Some(mut connection) = listener.accept().await.unwrap().open().await {
                let _ = connection.stream.write_all(b"hello").await;
            }
        });
        let asking = async {
            let (config, name) = caller;
            let tcp = TcpStream::connect(address).await?;
            let mut stream = TlsConnector::from(config).connect(name, tcp).await?;
            let mut said = [0; 5];
            stream.read_exact(&mut said).await.map(|_| said)
        };
        let asked = asking.await;
        serving.await.unwrap();
        asked.is_ok_and(|said| said == *b"hello")
    }

    #[tokio::test]
    async fn services_of_one_authority_know_each_other_and_nobody_else_does() {
        let authority = Authority::new();
        let others = Authority::new();
        let server = cluster(&authority, &authority, "server", "headwater-server");
        let proxy = cluster(&authority, &authority, "proxy", "proxy.test");
        assert!(is_answered(&server, tls(&proxy).caller().unwrap()).await);
        let stranger = cluster(&others, &authority, "stranger", "headwater-server");
        assert!(!is_answered(&server, tls(&stranger).caller().unwrap()).await, "another authority signed it");
        let wary = cluster(&authority, &others, "wary", "headwater-server");
        assert!(!is_answered(&server, tls(&wary).caller().unwrap()).await, "it trusts another authority");
        assert!(!is_answered(&proxy, tls(&server).caller().unwrap()).await, "a proxy is no server");
        let mut anonymous = authority.client(&[&TLS13]);
        anonymous.alpn_protocols = vec![HTTP2.to_vec()];
        let name = tls(&proxy).server_name;
        assert!(!is_answered(&server, (Arc::new(anonymous), name)).await, "it shows no certificate");
    }

    #[test]
    fn each_fault_has_its_setting() {
        let authority = Authority::new();
        let mut config = cluster(&authority, &authority, "server", "headwater-server");
        std::fs::remove_file(config.tls_key.as_ref().unwrap().path()).unwrap();
        std::fs::write(authority.file(), "no certificate").unwrap();
        let faults: Vec<_> = check_cluster(&config).into_iter().map(|(setting, _)| setting).collect();
        assert_eq!(faults, ["cluster.tls_certificate", "cluster.tls_authority"]);
        assert!(ClusterTls::load(&config).is_err());
        config.tls_certificate = None;
        assert!(ClusterTls::load(&config).unwrap().is_none());
        assert!(check_cluster(&Config::defaults().cluster).is_empty());
    }
}
