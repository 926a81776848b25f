// wait_rust: one thread for each way to wait, named after it, blocked below rust_outer <
// rust_middle < a closure < wait_in_NAME. Prints its pid when all wait, and ends when its standard
// input does.
use std::ffi::c_void;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::raw::{c_int, c_long, c_short};
use std::os::unix::net::UnixStream;
use std::sync::{mpsc, Condvar, Mutex};
use std::time::Duration;

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

extern "C" {
    fn poll(fds: *mut PollFd, count: u64, timeout: c_int) -> c_int;
    fn epoll_create1(flags: c_int) -> c_int;
    fn epoll_wait(fd: c_int, events: *mut c_void, count: c_int, timeout: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
}

static HELD: Mutex<u32> = Mutex::new(0);
const EVER: Duration = Duration::from_secs(1_000_000);

#[inline(never)]
fn wait_in_mutex() {
    *HELD.lock().unwrap() += 1;
}

#[inline(never)]
fn wait_in_condition() {
    let mutex = Mutex::new(0);
    let condition = Condvar::new();
    let guard = mutex.lock().unwrap();
    drop(condition.wait_while(guard, |_| true));
}

#[inline(never)]
fn wait_in_channel() {
    let (sender, receiver) = mpsc::channel::<u32>();
    let _ = receiver.recv();
    drop(sender);
}

#[inline(never)]
fn wait_in_sleep() {
    std::thread::sleep(std::hint::black_box(EVER));
    std::hint::black_box(0);
}

#[inline(never)]
fn wait_in_accept() {
    let _ = TcpListener::bind("127.0.0.1:0").unwrap().accept();
}

#[inline(never)]
fn wait_in_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let _ = stream.read(&mut [0]);
}

#[inline(never)]
fn wait_in_unix() {
    let (mut one, _other) = UnixStream::pair().unwrap();
    let _ = one.read(&mut [0]);
}

#[inline(never)]
fn wait_in_poll() {
    let mut fd = PollFd { fd: -1, events: 0, revents: 0 };
    unsafe { poll(&mut fd, 1, -1) };
}

#[inline(never)]
fn wait_in_epoll() {
    let mut event = [0u8; 16];
    unsafe { epoll_wait(epoll_create1(0), event.as_mut_ptr() as *mut c_void, 1, -1) };
}

// io_uring_setup(8, zeroed params), then io_uring_enter(fd, 0, 1, IORING_ENTER_GETEVENTS)
#[inline(never)]
fn wait_in_io_uring() {
    let mut params = [0u64; 15];
    unsafe {
        let fd = syscall(425, 8 as c_long, params.as_mut_ptr());
        syscall(426, fd, 0 as c_long, 1 as c_long, 1 as c_long, 0 as c_long, 0 as c_long);
    }
}

#[inline(never)]
fn rust_middle(function: &dyn Fn()) -> u64 {
    function();
    std::hint::black_box(1)
}

#[inline(never)]
fn rust_outer(wait: fn()) -> u64 {
    rust_middle(&|| {
        wait();
        std::hint::black_box(0);
    })
    .wrapping_add(std::hint::black_box(1))
}

fn main() {
    let kinds: [(&str, fn()); 10] = [
        ("mutex", wait_in_mutex),
        ("condition", wait_in_condition),
        ("channel", wait_in_channel),
        ("sleep", wait_in_sleep),
        ("accept", wait_in_accept),
        ("tcp", wait_in_tcp),
        ("unix", wait_in_unix),
        ("poll", wait_in_poll),
        ("epoll", wait_in_epoll),
        ("io_uring", wait_in_io_uring),
    ];
    let held = HELD.lock().unwrap();
    for (name, wait) in kinds {
        std::thread::Builder::new().name(name.into()).spawn(move || rust_outer(wait)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    println!("{}", std::process::id());
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(*held as i32);
}
