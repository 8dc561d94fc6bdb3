//! Header of the PROXY protocol, versions 1 and 2, by which a load balancer tells the address of its client
//! (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Beginning of a header of version 1.
const V1_SIGNATURE: &[u8] = b"PROXY ";
/// Longest header of version 1, in bytes (§2.1).
const MAX_V1_BYTES: usize = 107;
/// Signature, version, family and length of a header of version 2 (§2.2).
const V2_FIXED_BYTES: usize = 16;
/// Longest header of version 2, in bytes. Addresses take 52 bytes at most; load balancers add some hundred about
/// themselves and about TLS that they have terminated.
const MAX_V2_BYTES: usize = 2048;
/// Bytes that are looked at at once: nearly all headers are shorter.
const BLOCK_BYTES: usize = 256;

/// Origin of a connection by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// Client of the load balancer.
    Address(SocketAddr),
    /// Load balancer itself, which looks whether anybody is there: it closed without a header, or its header says so (`LOCAL`,
    /// `UNKNOWN`).
    HealthCheck,
}

/// Fault of a header.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("no PROXY protocol header came from a peer in trusted_peers: let the load balancer send it")]
    Missing,
    #[error("the PROXY protocol header is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("the PROXY protocol header is malformed: {0}")]
    Malformed(String),
    #[error("the load balancer's connection broke: {0}")]
    Io(#[from] io::Error),
}

/// Reads the header at the beginning of a connection, and not a byte more.
pub(super) async fn read_header(stream: &mut TcpStream) -> Result<Client, HeaderError> {
    let mut header = Vec::with_capacity(BLOCK_BYTES);
    loop {
        let mut block = [0; BLOCK_BYTES];
        let count = match stream.peek(&mut block).await {
            Ok(0) if header.is_empty() => return Ok(Client::HealthCheck),
            Ok(0) => return Err(HeaderError::Malformed("it was cut short".into())),
            Err(error) if header.is_empty() && error.kind() == ErrorKind::ConnectionReset => {
                return Ok(Client::HealthCheck);
            }
            peeked => peeked?,
        };
        let before = header.len();
        header.extend_from_slice(&block[..count]);
        let parsed = parse_header(&header)?;
        let taken = parsed.map_or(count, |(_, length)| length - before);
        stream.read_exact(&mut block[..taken]).await?;
        if let Some((client, _)) = parsed {
            return Ok(client);
        }
    }
}

/// Beginning of a connection whose peer may send no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It was closed without a word.
    Closed,
    Header,
    /// Anything else, which is left unread.
    Other,
}

/// Looks at the first bytes. A header that comes in pieces counts as anything else, which no protocol begins with either:
/// senders must see to it that a header comes in one piece (§2).
pub(super) async fn peek_beginning(stream: &TcpStream) -> io::Result<Beginning> {
    let mut first = [0; v2::PROTOCOL_PREFIX.len()];
    let count = stream.peek(&mut first).await?;
    let first = &first[..count];
    let is_header = first == v2::PROTOCOL_PREFIX || first.starts_with(V1_SIGNATURE);
    Ok(match first.is_empty() {
        true => Beginning::Closed,
        false if is_header => Beginning::Header,
        false => Beginning::Other,
    })
}

/// Client and length of the header that `bytes` begin with; none while more of it has to come.
fn parse_header(bytes: &[u8]) -> Result<Option<(Client, usize)>, HeaderError> {
    if is_beginning(bytes, v2::PROTOCOL_PREFIX) {
        parse_v2(bytes)
    } else if is_beginning(bytes, V1_SIGNATURE) {
        parse_v1(bytes)
    } else {
        Err(HeaderError::Missing)
    }
}

/// Whether `bytes` and the signature agree as far as both go.
fn is_beginning(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(byte, expected)| byte == expected)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(Client, usize)>, HeaderError> {
    let Some(end) = bytes.iter().take(MAX_V1_BYTES).position(|byte| *byte == b'\n') else {
        let is_too_long = bytes.len() >= MAX_V1_BYTES;
        return if is_too_long { Err(HeaderError::TooLong { limit: MAX_V1_BYTES }) } else { Ok(None) };
    };
    let header = v1::Header::try_from(&bytes[..=end]).map_err(malformed)?;
    let client = match header.addresses {
        v1::Addresses::Tcp4(tcp) => Client::Address((tcp.source_address, tcp.source_port).into()),
        v1::Addresses::Tcp6(tcp) => Client::Address((tcp.source_address, tcp.source_port).into()),
        v1::Addresses::Unknown => Client::HealthCheck,
    };
    Ok(Some((client, end + 1)))
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(Client, usize)>, HeaderError> {
    let Some(fixed) = bytes.get(..V2_FIXED_BYTES) else { return Ok(None) };
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MAX_V2_BYTES {
        return Err(HeaderError::TooLong { limit: MAX_V2_BYTES });
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    let header = v2::Header::try_from(header).map_err(malformed)?;
    let client = match (header.command, header.addresses) {
        (v2::Command::Local, _) => Client::HealthCheck,
        (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => {
            Client::Address((ip.source_address, ip.source_port).into())
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => {
            Client::Address((ip.source_address, ip.source_port).into())
        }
        (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => {
            return Err(HeaderError::Malformed("it names no IP address".into()));
        }
    };
    Ok(Some((client, length)))
}

fn malformed(error: impl std::fmt::Display) -> HeaderError {
    HeaderError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    const SOURCE_V6: &str = "[2001:db8::7]:40000";

    fn v2_header(command: u8, source: &str, extra: usize) -> Vec<u8> {
        let source: SocketAddr = source.parse().unwrap();
        let destination: SocketAddr =
            if source.is_ipv4() { "10.0.0.1:1935" } else { "[::1]:1935" }.parse().unwrap();
        let mut builder =
            v2::Builder::with_addresses(0x20 | command, v2::Protocol::Stream, (source, destination));
        if extra > 0 {
            builder = builder.write_tlv(v2::Type::NoOp, &vec![0; extra]).unwrap();
        }
        builder.build().unwrap()
    }

    fn client(bytes: &[u8]) -> Result<Option<(Client, usize)>, String> {
        parse_header(bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn both_versions_tell_the_client_of_both_families() {
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 1935\r\n".to_vec(), "192.0.2.7:40000"),
            (b"PROXY TCP6 2001:db8::7 ::1 40000 1935\r\n".to_vec(), SOURCE_V6),
            (v2_header(1, "192.0.2.7:40000", 0), "192.0.2.7:40000"),
            (v2_header(1, SOURCE_V6, 300), SOURCE_V6),
        ] {
            let expected = Client::Address(expected.parse().unwrap());
            let media = [&header[..], b"\x03media\r\n"].concat();
            assert_eq!(client(&media), Ok(Some((expected, header.len()))));
            for cut in 1..header.len() {
                assert_eq!(client(&header[..cut]), Ok(None), "{cut} bytes of {header:?}");
            }
        }
    }

    #[test]
    fn load_balancers_that_speak_for_themselves_are_health_checks() {
        for header in [v2_header(0, SOURCE_V6, 0), b"PROXY UNKNOWN\r\n".to_vec()] {
            assert_eq!(client(&header), Ok(Some((Client::HealthCheck, header.len()))));
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let mut unix = v2_header(1, "192.0.2.7:40000", 300);
        unix[13] = 0x31;
        let mut command = v2_header(1, "192.0.2.7:40000", 0);
        command[12] = 0x22;
        for (bytes, fault) in [
            (b"\x03\0\0".to_vec(), "no PROXY protocol header"),
            (b"PRO\x03".to_vec(), "no PROXY protocol header"),
            (v2_header(1, "192.0.2.7:40000", 2_040), "longer than 2048"),
            ([b"PROXY TCP4 ", &[b'1'; 96][..]].concat(), "longer than 107"),
            (b"PROXY TCP4 192.0.2.7\r\n".to_vec(), "malformed"),
            (b"PROXY TCP4 2001:db8::7 ::1 40000 1935\r\n".to_vec(), "malformed"),
            (b"PROXY UDP4 192.0.2.7 10.0.0.1 40000 1935\r\n".to_vec(), "malformed"),
            (unix, "no IP address"),
            (command, "malformed"),
        ] {
            let error = client(&bytes).unwrap_err();
            assert!(error.contains(fault), "{error}: {bytes:?}");
        }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        far.set_nodelay(true).unwrap();
        (listener.accept().await.unwrap().0, far)
    }

    #[tokio::test]
    async fn a_header_that_comes_in_pieces_is_read_and_nothing_behind_it() {
        let (mut near, mut far) = pair().await;
        let header = v2_header(1, SOURCE_V6, 900);
        let sending = async {
            for piece in header.chunks(7) {
                far.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            far.write_all(b"\x03media").await.unwrap();
        };
        let (read, ()) = tokio::join!(read_header(&mut near), sending);
        assert_eq!(read.unwrap(), Client::Address(SOURCE_V6.parse().unwrap()));
        let mut rest = [0; 6];
        near.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"\x03media");
    }

    #[tokio::test]
    async fn a_peer_that_connects_and_closes_is_a_health_check() {
        let (mut near, far) = pair().await;
        drop(far);
        assert_eq!(read_header(&mut near).await.unwrap(), Client::HealthCheck);
        let (mut near, far) = pair().await;
        far.set_zero_linger().unwrap();
        drop(far);
        assert_eq!(read_header(&mut near).await.unwrap(), Client::HealthCheck);
    }

    #[tokio::test]
    async fn a_header_that_is_cut_short_is_a_fault_and_a_slow_one_is_waited_for() {
        let (mut near, mut far) = pair().await;
        far.write_all(b"PROXY TCP4 192.0.2.7").await.unwrap();
        let slow = tokio::time::timeout(Duration::from_millis(50), read_header(&mut near)).await;
        assert!(slow.is_err(), "{slow:?}");
        drop(far);
        let (mut near, mut far) = pair().await;
        far.write_all(b"PROXY TCP4 192.0.2.7").await.unwrap();
        drop(far);
        let error = read_header(&mut near).await.unwrap_err().to_string();
        assert!(error.contains("cut short"), "{error}");
    }

    #[tokio::test]
    async fn headers_of_strangers_are_recognised() {
        for (bytes, beginning) in [
            (v2_header(1, SOURCE_V6, 0), Beginning::Header),
            (b"PROXY UNKNOWN\r\n".to_vec(), Beginning::Header),
            (b"POST / HTTP/1.1\r\n".to_vec(), Beginning::Other),
            (b"\x03\0\0".to_vec(), Beginning::Other),
            (Vec::new(), Beginning::Closed),
        ] {
            let (near, mut far) = pair().await;
            far.write_all(&bytes).await.unwrap();
            far.shutdown().await.unwrap();
            assert_eq!(peek_beginning(&near).await.unwrap(), beginning, "{bytes:?}");
        }
    }
}
