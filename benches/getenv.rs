//! `getenv`: ours and libc's own, on the same list in the same process, one after the other for each size.
//!
//! Names are made of words that real variables have, two or three of them, so that many start alike. Every call's result is checked.
#![allow(missing_docs)] // criterion's macros make public functions
#![cfg(target_os = "linux")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::ffi::{CString, c_char};
use std::hint::black_box;

const WORDS: [&str; 20] = [
    "PATH",
    "HOME",
    "APP",
    "SERVICE",
    "DATABASE",
    "KUBERNETES",
    "PORT",
    "HOST",
    "TCP",
    "CONFIG",
    "NODE",
    "JAVA",
    "PYTHON",
    "XDG",
    "GIT",
    "AWS",
    "REDIS",
    "LOG",
    "URL",
    "CACHE",
];

type GetEnv = unsafe extern "C" fn(*const c_char) -> *mut c_char;

unsafe extern "C" fn ours(name: *const c_char) -> *mut c_char {
    // SAFETY: the caller's promise.
    unsafe { mtsafe_env_core::c::getenv(name) }
}

/// A fixed sequence of numbers, so that each run measures the same.
fn numbers(mut state: u32) -> impl FnMut(usize) -> usize {
    move |below| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (state >> 8) as usize % below
    }
}

fn name(next: &mut impl FnMut(usize) -> usize, i: usize, end: &str) -> CString {
    let (a, b) = (WORDS[next(WORDS.len())], WORDS[next(WORDS.len())]);
    CString::new(format!("{a}_{b}_{i}{end}")).expect("no NUL")
}

fn getenv(criterion: &mut Criterion) {
    let libc: GetEnv = libc::getenv;
    for size in [10, 40, 100, 1_000] {
        let mut next = numbers(size as u32);
        mtsafe_env_core::process::clear().expect("memory");
        let present: Vec<_> = (0..size).map(|i| name(&mut next, i, "")).collect();
        let absent: Vec<_> = (0..size).map(|i| name(&mut next, i, "_NOT")).collect();
        for name in &present {
            mtsafe_env_core::process::set(name.to_bytes(), b"some value", true).expect("a good name");
        }
        let order: Vec<usize> = (0..1_024).map(|_| next(size)).collect();
        for (what, names, found) in [("hit", &present, true), ("miss", &absent, false)] {
            let mut group = criterion.benchmark_group(format!("getenv/{what}"));
            for (whose, function) in [("mtsafe-env", ours as GetEnv), ("libc", libc)] {
                group.bench_function(BenchmarkId::new(whose, size), |bencher| {
                    let mut at = 0;
                    bencher.iter(|| {
                        at = (at + 1) % order.len();
                        // SAFETY: a C string; nobody else is there.
                        let value = unsafe { function(black_box(&names[order[at]]).as_ptr()) };
                        assert_eq!(value.is_null(), !found);
                        value
                    });
                });
            }
        }
    }
}

criterion_group!(benches, getenv);
criterion_main!(benches);
