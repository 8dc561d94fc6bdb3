//! The other side of the sandbox's test: shut in as the worker is, and trying to get out.

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

use headwater_transcode::sandbox::{self, MEMORY_VARIABLE};
use headwater_transcode::{preload, still, worker};

/// Set where this process is the probe, to what it shall do.
pub const MARK: &str = "PROBE";
pub const ESCAPE: &str = "escape";
pub const ALLOCATE: &str = "allocate";
pub const WORKER: &str = "worker";
pub const STILL: &str = "still";
/// Variable with a port on the loopback that the parent listens on.
pub const PORT: &str = "PROBE_PORT";
pub const PARENT: &str = "PROBE_PARENT";

/// Bytes taken at a time.
const STEP: usize = 8 << 20;

type Attempt = fn(&Target) -> io::Result<()>;

pub struct Target {
    port: u16,
    parent: libc::pid_t,
}

pub const ATTEMPTS: [(&str, Attempt); 20] = [
    ("read a file", |_| fs::read("/etc/passwd").map(drop)),
    ("read its own memory", |_| fs::File::open("/proc/self/mem").map(drop)),
    ("look for a file", |_| fs::metadata("/etc/passwd").map(drop)),
    ("list a directory", |_| fs::read_dir("/").map(drop)),
    ("make a file", |_| fs::write("/tmp/headwater-probe", "x")),
    ("make a directory", |_| fs::create_dir("/tmp/headwater-probe")),
    ("remove a file", |_| fs::remove_file("/tmp/headwater-probe")),
    ("listen", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("connect", |target| TcpStream::connect(("127.0.0.1", target.port)).map(drop)),
    ("send a datagram", |_| UdpSocket::bind("127.0.0.1:0").map(drop)),
    ("open a Unix socket", |_| UnixDatagram::unbound().map(drop)),
    ("connect to a Unix socket", |_| UnixStream::connect("/run/dbus/system_bus_socket").map(drop)),
    ("start a program", |_| Command::new("/bin/true").spawn().map(drop)),
    // SAFETY: a child, if there is one, ends at once; the other calls only pass numbers and null pointers.
    ("fork", |_| match unsafe { libc::fork() } {
        0 => unsafe { libc::_exit(0) },
        pid => outcome(pid.into()),
    }),
    ("signal its parent", |target| outcome(unsafe { libc::kill(target.parent, 0) }.into())),
    ("signal a thread of its parent", |target| {
        outcome(unsafe { libc::syscall(libc::SYS_tgkill, target.parent, target.parent, 0) })
    }),
    ("trace its parent", |target| {
        let null = std::ptr::null_mut::<libc::c_void>();
        outcome(unsafe { libc::ptrace(libc::PTRACE_ATTACH, target.parent, null, null) })
    }),
    ("leave the sandbox's namespaces", |_| outcome(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into())),
    ("become more important", |_| outcome(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) }.into())),
    ("make memory that does not count", |_| outcome(unsafe { libc::memfd_create(c"x".as_ptr(), 0) }.into())),
];

pub fn run(what: &str) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match what {
        WORKER => std::process::exit((worker::main() != std::process::ExitCode::SUCCESS).into()),
        // It ends the process itself where it fails.
        STILL => drop(still::main()),
        ALLOCATE => {
            confine(number(MEMORY_VARIABLE).unwrap());
            say(&format!("{}\n", allocate()));
        }
        _ => {
            let target =
                Target { port: number(PORT).unwrap() as u16, parent: number(PARENT).unwrap() as i32 };
            confine(number(MEMORY_VARIABLE).unwrap());
            for (what, attempt) in ATTEMPTS {
                say(&format!("{what}: {}\n", name(attempt(&target))));
            }
            worker::run(io::stdin(), io::stdout()).unwrap();
        }
    }
}

fn confine(memory: u64) {
    preload().unwrap();
    let gaps = sandbox::confine(memory);
    assert!(gaps.is_empty(), "{gaps:?}");
}

/// How much there is, when every page of it is written to.
fn allocate() -> usize {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut more = Vec::new();
        if more.try_reserve_exact(STEP).is_err() {
            return taken.len() * STEP;
        }
        more.resize(STEP, 1);
        taken.push(more);
    }
}

fn outcome(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn name(outcome: io::Result<()>) -> String {
    match outcome.map_err(|error| error.raw_os_error()) {
        Ok(()) => "done".into(),
        Err(Some(libc::EPERM)) => "EPERM".into(),
        Err(Some(libc::EACCES)) => "EACCES".into(),
        Err(error) => format!("{error:?}"),
    }
}

fn say(text: &str) {
    io::stderr().write_all(text.as_bytes()).unwrap();
}
