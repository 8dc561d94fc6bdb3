//! The table of settings. A line here is all that a setting needs: parsing, the printed configuration and the reference
//! in `docs/configuration.md` follow from it.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use headwater_media::SegmentSettings;
use headwater_media::broadcast::{Policy, RecordedRenditions};
use headwater_media::ladder::Rung;

use super::certificates::{CertificateFiles, CertificateName, PemFile};
use super::network::Network;
use super::reader::{Reader, Setting};
use super::secret::Secret;
use super::storage::{Directory, Encryption, RecordingMode, S3Name, StoreUrl};
use super::types::{
    Advertise, AppName, Bitrate, Capacity, LogFilter, LogFormat, Preset, Size, WorkerSandbox,
};
use super::url::{PublicUrl, RegistryUrl};
use super::value::range_limits;

/// A section of the file as a type. Each setting: `/// doc`, then `name: type = "default" in least..=greatest;`.
macro_rules! section {
    ($(#[doc = $about:literal])+ $vis:vis struct $config:ident = $name:literal {
        $( $(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:literal $(in $limits:expr)?; )+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $config {
            $( $(#[doc = $doc])+ $vis $key: $type, )+
        }

        impl $config {
            /// Reads the whole section, so that no mistake hides another.
            pub(super) fn read(reader: &mut Reader) -> Option<Self> {
                reader.begin_section($name, concat!($($about),+).trim_ascii());
                $( let $key = reader.read_setting::<$type>(Setting {
                    key: stringify!($key),
                    doc: concat!($($doc),+).trim_ascii(),
                    default: $default,
                    limits: None $(.or(Some(range_limits($limits))))?,
                }); )+
                Some(Self { $($key: $key?),+ })
            }
        }
    };
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How long a publisher may be away.
pub(super) const RECONNECT_WINDOWS: RangeInclusive<Duration> = secs(0)..=Policy::MAX_WINDOW;
/// A playlist of a day has 43,200 segments of 2 s; there is no way to seek in more.
pub(super) const DVR_WINDOWS: RangeInclusive<Duration> = secs(0)..=Policy::MAX_WINDOW;
/// A hundred years.
pub(super) const RETENTIONS: RangeInclusive<Duration> = secs(0)..=secs(36_500 * 86_400);

const MAX_SEGMENT: Duration = millis(SegmentSettings::MAX_SEGMENT_MS as u64);
const MIN_PART: Duration = millis(SegmentSettings::MIN_PART_MS as u64);
/// Highest value of `registry.lease`.
pub const MAX_LEASE: Duration = secs(300);
/// Highest value of `proxy.replay_duration`.
pub const MAX_REPLAY_DURATION: Duration = secs(600);
/// Longest live window, in segments of their full length. Viewers go back further in the DVR window, which is not kept in
/// memory.
pub const MAX_LIVE_WINDOW: Duration = secs(600);
/// Highest value of `server.worker_restarts`.
pub const MAX_WORKER_RESTARTS: u32 = 100;
/// Time that a proxy gives a server to accept a publisher. The server may have to stop the worker of the broadcast's last
/// session and to start another one first: the limits of both together are shorter.
pub const ACCEPT_TIMEOUT: Duration = secs(20);
/// More connections than a process can hold open are never a limit.
const MAX_CONNECTIONS: usize = 1_000_000;

section! {
    /// Settings of every process.
    pub(super) struct ProcessConfig = "" {
        /// How long a process that was told to stop (SIGTERM) may take to finish what it does; a proxy, once its publishers
        /// have left (`proxy.drain_timeout`).
        drain_timeout: Duration = "30s" in secs(0)..=secs(3600);
    }
}

section! {
    /// The registry: the index of streams and their owners.
    pub struct RegistryConfig = "registry" {
        /// `memory` is for all services in one process (`headwater up`); services apart from each other need a Redis.
        url: RegistryUrl = "memory";
        /// Prefix of every key in Redis, so that several installations can share one.
        prefix: AppName = "headwater";
        /// How long a claim on a stream holds without being renewed.
        lease: Duration = "10s" in secs(2)..=MAX_LEASE;
    }
}

section! {
    /// The services of one installation among each other. Servers answer proxies, origins and other servers only, where
    /// there is a secret.
    pub struct ClusterConfig = "cluster" {
        /// The secret that proxies, servers and origins show to servers, the same for all. Without it servers answer
        /// whoever reaches `server.grpc_listen`.
        secret: Option<Secret> = "";
        /// Another secret that servers accept, while the secret is replaced.
        previous_secret: Option<Secret> = "";
        /// Certificate of this service, in a PEM file: the services then speak TLS among each other, and each has to show a
        /// certificate (mTLS). Files that change are read again, for new connections.
        tls_certificate: Option<PemFile> = "";
        /// Private key of the certificate, in a PEM file.
        tls_key: Option<PemFile> = "";
        /// Certificates of the authorities that have signed those of the services, in a PEM file that is read at the start.
        tls_authority: Option<PemFile> = "";
        /// Name that the certificates of servers have, whatever the addresses of the servers are.
        tls_name: CertificateName = "headwater-server";
    }
}

section! {
    /// The proxy: where publishers arrive.
    pub struct ProxyConfig = "proxy" {
        /// Address and port for publishers, by RTMP.
        rtmp_listen: SocketAddr = "0.0.0.0:1935";
        /// Address and port for publishers by RTMP over TLS (RTMPS), such as `0.0.0.0:1936`. Without it there is none.
        rtmps_listen: Option<SocketAddr> = "";
        /// Certificates of `proxy.rtmps_listen` with their keys, in PEM files. An encoder is shown the first one that has the
        /// name of the server that it asks for, or else the first of all. Files that change are read again, for new connections.
        tls_certificates: Vec<CertificateFiles> = "";
        /// The applications of RTMP URLs that are served: `live` in `rtmp://host/live/key`.
        apps: Vec<AppName> = "live,stream";
        /// Networks and addresses that encoders may connect from; all where there is none. It is checked before an encoder shows
        /// its stream key. A live input may have its own beside it, which can be checked only when its key was shown.
        allowed_addresses: Vec<Network> = "";
        /// Publishers' connections at the same time; a further one is closed at once.
        max_connections: usize = "1000" in 1..=MAX_CONNECTIONS;
        /// Connections at the same time from one address (IPv4) or one /64 network (IPv6).
        max_connections_per_address: usize = "50" in 1..=MAX_CONNECTIONS;
        /// Networks of the load balancers that tell their clients' addresses by the PROXY protocol, version 1 or 2. Their
        /// connections must begin with its header, and nobody else's may.
        trusted_peers: Vec<Network> = "";
        /// How long a connection may take from its first byte to being a publisher.
        publish_deadline: Duration = "10s" in secs(1)..=secs(300);
        /// How long a publisher may be silent before its connection is closed.
        idle_timeout: Duration = "15s" in secs(1)..=secs(3600);
        /// Memory for what a publisher sent and no server has finished, which another server needs to take over.
        replay_memory: Size = "32MiB" in Size(1 << 20)..=Size(4 << 30);
        /// The same in time: as long as there may be no server at all without anything being lost. `0s` keeps nothing: an
        /// encoder whose server is lost has to connect again.
        replay_duration: Duration = "30s" in secs(0)..=MAX_REPLAY_DURATION;
        /// How long a server may leave media untaken before the publisher's connection is closed.
        stall_timeout: Duration = "10s" in secs(1)..=secs(300);
        /// How long publishers may stay when the proxy was told to stop. Encoders that can (Enhanced RTMP) are asked to connect
        /// again at once, the others are sent away when the time is over. `headwater up` waits for nobody.
        drain_timeout: Duration = "90s" in secs(0)..=secs(86_400);
        /// Address and port of the operations port: `/livez`, `/readyz` and `/metrics`.
        metrics_listen: SocketAddr = "0.0.0.0:9101";
    }
}

section! {
    /// The server: where broadcasts are transcoded.
    pub struct ServerConfig = "server" {
        /// Address and port for proxies and origins, by gRPC.
        grpc_listen: SocketAddr = "0.0.0.0:7000";
        /// Address that proxies and origins reach this server by. Without it: the address of the ECS task, or else that of the
        /// network interface with the default route.
        advertise: Option<Advertise> = "";
        /// How many processor cores' worth of broadcasts are taken on.
        capacity: Capacity = "auto";
        /// Broadcasts at the same time, whatever the capacity.
        max_broadcasts: usize = "64" in 1..=10_000;
        /// How long a worker may take from its start to being ready. Together with `worker_stop_timeout` it is less than the
        /// 20 s that a proxy gives a server to accept a publisher.
        worker_start_timeout: Duration = "10s" in secs(1)..=secs(120);
        /// How long a worker that gets media may give none before it is taken for stuck.
        worker_stall_timeout: Duration = "10s" in secs(1)..=secs(120);
        /// How long a worker that was told to stop may make nothing before it is killed.
        worker_stop_timeout: Duration = "5s" in millis(100)..=secs(120);
        /// How often the worker of one broadcast is restarted before the broadcast is refused.
        worker_restarts: u32 = "3" in 0..=MAX_WORKER_RESTARTS;
        /// Memory that a worker may take; one that needs more is ended. Measured: 300 MiB for 1080p60 and three rungs,
        /// 400 for 4K, 1,500 for 4K and six rungs up to 4K.
        worker_memory: Size = "2GiB" in Size(128 << 20)..=Size(1 << 40);
        /// Whether workers must be shut in, without files, network and other processes: `required` takes no broadcasts
        /// where the kernel can't do it, `preferred` says so and goes on, `off` does without.
        worker_sandbox: WorkerSandbox = "preferred";
        /// How long a publisher may be away before its broadcast ends.
        reconnect_window: Duration = "60s" in RECONNECT_WINDOWS;
        /// How long a publisher must have been silent for a second one with the same key to replace it.
        silent_publisher: Duration = "3s" in millis(500)..=secs(60);
        /// Address and port of the operations port: `/livez`, `/readyz` and `/metrics`.
        metrics_listen: SocketAddr = "0.0.0.0:9102";
    }
}

section! {
    /// The origin: where viewers arrive.
    pub struct OriginConfig = "origin" {
        /// Address and port for viewers, by HTTP.
        http_listen: SocketAddr = "0.0.0.0:8080";
        /// Address and port for viewers by HTTP over TLS (HTTPS), such as `0.0.0.0:8443`. Without it there is none.
        https_listen: Option<SocketAddr> = "";
        /// Certificates of `origin.https_listen` with their keys, in PEM files. A viewer is shown the first one that has the
        /// name of the server that it asks for, or else the first of all. Files that change are read again, for new connections.
        tls_certificates: Vec<CertificateFiles> = "";
        /// Viewers' connections at the same time. A further one takes the place of one that has no request under way, the
        /// longest idle first; where there is none, it is closed at once.
        max_connections: usize = "10000" in 1..=MAX_CONNECTIONS;
        /// The same of one address (IPv4) or one /64 network (IPv6). A load balancer or a CDN in front is one address: let
        /// it have all of them.
        max_connections_per_address: usize = "2500" in 1..=MAX_CONNECTIONS;
        /// How long a connection may be without a request. Load balancers want it to be longer than their own limit, which
        /// is 60 s for most.
        keep_alive_timeout: Duration = "75s" in secs(5)..=secs(3600);
        /// How long a stream that nobody watches stays mirrored.
        mirror_linger: Duration = "30s" in secs(0)..=secs(3600);
        /// URL that viewers reach the origins by, if it is not the address of the request: a CDN, for example.
        public_url: Option<PublicUrl> = "";
        /// Address and port of the operations port: `/livez`, `/readyz` and `/metrics`.
        metrics_listen: SocketAddr = "0.0.0.0:9103";
    }
}

section! {
    /// How a broadcast is cut. It holds for broadcasts that start after a change.
    pub struct HlsConfig = "hls" {
        /// The length of a segment, in whole seconds.
        segment_duration: Duration = "2s" in secs(1)..=MAX_SEGMENT;
        /// The length of a part: latency is about three parts and the time to encode.
        part_duration: Duration = "334ms" in MIN_PART..=secs(2);
        /// How many whole segments the live playlist lists: ten minutes of them at most, as `recording.dvr_window` is for
        /// going back further.
        window_segments: u32 = "10" in 3..=1_000;
    }
}

section! {
    /// The ladder: the renditions that a broadcast is encoded to. A picture is never enlarged, and keeps its aspect.
    pub(super) struct LadderConfig = "ladder" {
        /// The renditions, best first: the box that the picture must fit into, turned for portrait, and the bit rate.
        rungs: Vec<Rung> = "1280x720@2800k,854x480@1400k,640x360@800k";
        /// The speed of x264: a slower preset gives the same quality at a lower bit rate.
        preset: Preset = "veryfast";
        /// The quality that x264 aims at: less is better. A rung's bit rate is the ceiling.
        crf: f64 = "20" in 1.0..=51.0;
        /// Frames a second at most; a faster source is thinned out.
        max_frame_rate: u32 = "60" in 1..=240;
        /// The bit rate of the sound (AAC).
        audio_bitrate: Bitrate = "128k" in Bitrate(16_000)..=Bitrate(512_000);
    }
}

section! {
    /// The object store for recordings. The credentials of an S3 store come from where all of Amazon's tools take them: the
    /// variables `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, the files in `~/.aws`, the role of the ECS task or of the
    /// machine.
    pub struct StoreConfig = "store" {
        /// `s3://bucket/prefix`, or `file:///directory`, which every service must reach under the same path. `none` keeps
        /// nothing, so there are no recordings and no rewinding. `auto` is the directory `headwater-data` below the working
        /// directory for `headwater up`, and `none` for services apart from each other.
        url: StoreUrl = "auto";
        /// The region of the bucket. Without it: `AWS_REGION`, the files in `~/.aws`, or else `us-east-1`.
        region: Option<S3Name> = "";
        /// URL at which a store that is not Amazon's answers.
        endpoint: Option<PublicUrl> = "";
        /// Whether the bucket is named in the path instead of the host name. Without it: where there is an `endpoint`.
        path_style: Option<bool> = "";
        /// How S3 encrypts what it stores: `none` leaves that to the bucket, `AES256`, `aws:kms` or `aws:kms:KEY`.
        encryption: Encryption = "none";
        /// The storage class of media. Without it, that of the bucket.
        storage_class: Option<S3Name> = "";
        /// URL that viewers reach the objects of the store by, if not through the origins: a CDN in front of the bucket.
        public_url: Option<PublicUrl> = "";
        /// How long one request to the store may take.
        timeout: Duration = "15s" in millis(100)..=secs(300);
    }
}

section! {
    /// Recordings: the part of a broadcast that is kept. A stream may have its own (`[streams]`).
    pub struct RecordingConfig = "recording" {
        /// `automatic` records every broadcast where there is a store, `off` none.
        mode: RecordingMode = "automatic";
        /// `top` keeps the best rendition and the sound, `all` keeps all.
        renditions: RecordedRenditions = "all";
        /// How far viewers can go back while a broadcast is live; `0s` not at all.
        dvr_window: Duration = "60m" in DVR_WINDOWS;
        /// How long a recording is kept after its broadcast has ended; `0s` for ever.
        retention: Duration = "0s" in RETENTIONS;
        /// The directory where segments wait while the store is slow or away. Servers of one machine may share it; what one
        /// leaves behind, the next one to start uploads. Without it: `headwater-spool` in the directory for temporary files.
        spool: Option<Directory> = "";
        /// Size of the spool; beyond it the oldest segments are lost. `0` lets nothing wait on the disk.
        spool_size: Size = "2GiB" in Size(0)..=Size(1 << 44);
    }
}

section! {
    /// The directory: live inputs with their stream keys, and access tokens, as documents in an object store. Proxies use it
    /// where `inputs.mode` is `keys`, and the control API wherever there is a secret.
    pub struct DirectoryConfig = "directory" {
        /// `s3://bucket/prefix` or `file:///directory`, with the other settings of the store. `auto` is the folder
        /// `.directory` of the store, and for `headwater up` the directory `headwater-directory` below the working directory;
        /// `none` leaves the inputs of the configuration only.
        url: StoreUrl = "auto";
        /// The secret that stream keys are sealed under, the same for all services. `headwater up` makes one where it has
        /// none and needs it, in a file of its directory.
        secret: Option<Secret> = "";
        /// The secret before that one, while documents are left that were sealed under it.
        previous_secret: Option<Secret> = "";
    }
}

section! {
    /// The control API of the origin: live inputs, access tokens and recordings.
    pub struct ControlConfig = "control" {
        /// Address and port of the control API. Without it there is none.
        listen: Option<SocketAddr> = "";
        /// Certificates of the control API with their keys, in PEM files: it then speaks HTTPS only. Files that change are read
        /// again, for new connections.
        tls_certificates: Vec<CertificateFiles> = "";
        /// The bearer token with every right, beside the access tokens of the directory. Without it the API answers only on
        /// a loopback address.
        token: Option<Secret> = "";
    }
}

section! {
    /// All services in one process: `headwater up`.
    pub struct UpConfig = "up" {
        /// Address and port of the operations port, for all services together: `/livez`, `/readyz` and `/metrics`.
        metrics_listen: SocketAddr = "0.0.0.0:9100";
    }
}

section! {
    /// Log lines on a process's standard error.
    pub struct LogConfig = "log" {
        /// Which events are logged.
        level: LogFilter = "info";
        /// For people or for machines.
        format: LogFormat = "text";
    }
}
