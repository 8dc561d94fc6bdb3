//! An S3-compatible store over a directory (s3s-fs), for tests and for development. It checks signatures, but it is not
//! made for recordings that matter.

mod traffic;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use traffic::Counted;
pub use traffic::Traffic;

/// The only ones that a [`TestStore`] lets in.
pub const ACCESS_KEY: &str = "test-access-key";
pub const SECRET_KEY: &str = "test-secret-key";
/// The bucket that a [`TestStore`] has.
pub const BUCKET: &str = "recordings";

/// After a failed accept, such as one without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whom the store lets in.
#[derive(Clone)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

/// Makes the buckets in `root`, each a directory, and gives what answers for them.
pub fn service(root: &Path, buckets: &[String], credentials: Credentials) -> anyhow::Result<S3Service> {
    for bucket in buckets {
        std::fs::create_dir_all(root.join(bucket))?;
    }
    let files = FileSystem::new(root).map_err(|error| anyhow::anyhow!("{}: {error:?}", root.display()))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(credentials.access_key, credentials.secret_key));
    Ok(service.build())
}

/// Answers until it is told to stop; then it closes every connection.
pub async fn serve(listener: TcpListener, service: S3Service, stop: CancellationToken) {
    serve_counted(listener, service, Counted::default(), stop).await;
}

async fn serve_counted(listener: TcpListener, service: S3Service, counted: Counted, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = service.clone();
        let counted = counted.clone();
        let counting = service_fn(move |request: Request<Incoming>| {
            counted.count(&request);
            Service::call(&service, request)
        });
        connections.spawn(async move {
            // A connection that breaks is its client's business.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), counting).await;
        });
    }
}

/// A store of one's own in a temporary directory, with one bucket. Gone when dropped.
pub struct TestStore {
    address: SocketAddr,
    directory: TempDir,
    counted: Counted,
    running: Option<DropGuard>,
}

impl TestStore {
    /// Starts one on a free port of this machine.
    ///
    /// # Panics
    /// When there is no temporary directory, or no port.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut store = Self { address, directory, counted: Counted::default(), running: None };
        store.restart().await.expect("a port is free");
        store
    }

    /// URL that it answers at.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Path of an object of the bucket.
    pub fn path(&self, key: &str) -> PathBuf {
        self.directory.path().join(BUCKET).join(key)
    }

    /// Requests that it has had so far.
    pub fn traffic(&self) -> Traffic {
        self.counted.now()
    }

    /// Stops answering and closes all connections; what it stores stays.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Answers again on the same port, with what was stored before.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.stop();
        let listener = TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        let credentials = Credentials { access_key: ACCESS_KEY.into(), secret_key: SECRET_KEY.into() };
        let service =
            service(self.directory.path(), &[BUCKET.into()], credentials).map_err(io::Error::other)?;
        let stop = CancellationToken::new();
        tokio::spawn(serve_counted(listener, service, self.counted.clone(), stop.clone()));
        self.running = Some(stop.drop_guard());
        Ok(())
    }
}
