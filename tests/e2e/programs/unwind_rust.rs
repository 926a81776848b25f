// unwind_rust SECONDS: main < rust_outer < rust_middle < a closure < rust_burn, and the same in a
// thread below rust_thread.
use std::time::{Duration, Instant};

#[inline(never)]
fn rust_burn(count: u64) -> u64 {
    let mut sum = 0u64;
    for i in 0..count {
        sum = std::hint::black_box(sum.wrapping_add(i));
    }
    sum
}

#[inline(never)]
fn rust_middle(function: &dyn Fn(u64) -> u64) -> u64 {
    function(2_000_000).wrapping_add(1)
}

#[inline(never)]
fn rust_outer(add: u64) -> u64 {
    rust_middle(&|count| rust_burn(count) ^ add).wrapping_add(add)
}

#[inline(never)]
fn rust_thread(end: Instant) -> u64 {
    let mut sum = 0u64;
    while Instant::now() < end {
        sum = sum.wrapping_add(rust_outer(sum));
    }
    sum
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let thread = std::thread::spawn(move || rust_thread(end));
    let mut sum = 0u64;
    while Instant::now() < end {
        sum = sum.wrapping_add(rust_outer(3));
    }
    std::process::exit((std::hint::black_box(sum ^ thread.join().unwrap()) & 0) as i32);
}
