//! When bytes came, by the kernel's clock: before the process that reads them was given a processor.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, SystemTime};

/// Has the kernel note when each segment comes (`SO_TIMESTAMPNS`, socket(7)).
pub fn note(socket: BorrowedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an integer that lives during the call, and its size is that of one.
    let set = unsafe {
        let size = size_of_val(&on) as libc::socklen_t;
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads what is there, and says when the last of it came: nothing of what came before the kernel began to note times.
pub fn receive(socket: BorrowedFd, room: &mut [u8]) -> io::Result<(usize, Option<SystemTime>)> {
    // Words, so that it is aligned as a header of control messages must be; one with a time takes 32 bytes.
    let mut control = [0u64; 8];
    let mut slice = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: all zeros are a message without anything.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the message leads to memory of the lengths that it says, which nobody else uses during the call.
    let read = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    Ok((read, time(&message)))
}

fn time(message: &libc::msghdr) -> Option<SystemTime> {
    // SAFETY: the kernel has filled the message's control memory, and its length says how far.
    let time: libc::timespec = unsafe {
        let header = libc::CMSG_FIRSTHDR(message).as_ref()?;
        if (header.cmsg_level, header.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            return None;
        }
        std::ptr::read_unaligned(libc::CMSG_DATA(header).cast())
    };
    Some(SystemTime::UNIX_EPOCH + Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn bytes_have_the_time_at_which_they_came() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        note(near.as_fd()).unwrap();
        let mut room = [0; 16];
        // The kernel begins to keep times a moment after the first socket asks for them.
        let kept = std::iter::repeat_with(|| {
            far.write_all(b"first").unwrap();
            receive(near.as_fd(), &mut room).unwrap().1
        });
        kept.take(100_000).find(Option::is_some).expect("the kernel keeps times");

        let before = SystemTime::now();
        far.write_all(b"bytes").unwrap();
        near.peek(&mut [0; 16]).unwrap();
        let there = SystemTime::now();
        let (read, came) = receive(near.as_fd(), &mut room).unwrap();
        assert_eq!(&room[..read], b"bytes");
        let came = came.expect("it does so from then on");
        assert!(
            before <= came && came <= there,
            "{came:?}, sent after {before:?} and there before {there:?}"
        );
    }
}
