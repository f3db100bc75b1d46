//! `mtsafe_env::var_os` against `std::env::var_os`, and the owned list. `cargo bench --bench rust_face`
//!
//! On 1 and 2 threads, alone and beside a thread that changes another variable without pause. Not interposed, so that
//! std's calls are libc's; the writer uses each one's own `set_var`. Times are per read and thread.
#![allow(missing_docs)] // criterion's macros define a public function

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mtsafe_env::Environ;
use std::ffi::OsString;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Variables beside those of the shell: the read one is the last.
const VARIABLES: usize = 40;

/// Runs `read` `count` times on each of `threads` threads, beside `write` if there is one, and returns how long that took.
fn measure(
    count: u64,
    threads: usize,
    read: impl Fn() -> Option<OsString> + Sync,
    write: Option<&(dyn Fn(usize) + Sync)>,
) -> Duration {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        if let Some(write) = write {
            let stop = &stop;
            scope.spawn(move || (0..).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(write));
        }
        let start = Instant::now();
        let readers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..count {
                        assert_eq!(black_box(read()).map(|value| value.len()), Some(5));
                    }
                })
            })
            .collect();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        let elapsed = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        elapsed
    })
}

fn reads(criterion: &mut Criterion) {
    for i in 0..VARIABLES {
        mtsafe_env::set_var(format!("BENCH_{i}"), "value");
    }
    let name = "BENCH_0"; // new ones come first
    let environ: Environ = mtsafe_env::Environ::from_process();
    // Lengths of the two values differ, so that each change is one.
    let value = |i: usize| if i.is_multiple_of(2) { "even" } else { "odd" };
    let ours = |i| mtsafe_env::set_var("BENCH_WRITTEN", value(i));
    // SAFETY: the readers are std's own, which take its lock, and ours, which do not care for the list libc makes of it as long as no
    // name is new: libc stores one pointer.
    let std = |i| unsafe { std::env::set_var("BENCH_WRITTEN", value(i)) };
    let owned = |i| environ.set("BENCH_WRITTEN", value(i)).unwrap();
    ours(0);

    let mut group = criterion.benchmark_group("var_os");
    for threads in [1, 2] {
        for writer in [false, true] {
            let case = format!("{threads} threads{}", if writer { ", a writer" } else { "" });
            group.bench_function(BenchmarkId::new("mtsafe_env", &case), |bencher| {
                let write: Option<&(dyn Fn(usize) + Sync)> = if writer { Some(&ours) } else { None };
                bencher.iter_custom(|count| measure(count, threads, || mtsafe_env::var_os(name), write));
            });
            group.bench_function(BenchmarkId::new("std", &case), |bencher| {
                let write: Option<&(dyn Fn(usize) + Sync)> = if writer { Some(&std) } else { None };
                bencher.iter_custom(|count| measure(count, threads, || std::env::var_os(name), write));
            });
            group.bench_function(BenchmarkId::new("Environ", &case), |bencher| {
                let write: Option<&(dyn Fn(usize) + Sync)> = if writer { Some(&owned) } else { None };
                bencher.iter_custom(|count| measure(count, threads, || environ.var_os(name), write));
            });
        }
    }
    group.finish();

    let mut group = criterion.benchmark_group("without a copy");
    group.bench_function("mtsafe_env::with_var", |bencher| {
        bencher.iter(|| assert_eq!(mtsafe_env::with_var(black_box(name), |v| v.to_bytes().len()), Some(5)));
    });
    group.bench_function("Environ, pinned", |bencher| {
        let guard = environ.pin();
        bencher.iter(|| assert_eq!(guard.get(black_box(name)).map(|v| v.len()), Some(5)));
    });
    group.finish();
}

criterion_group!(benches, reads);
criterion_main!(benches);
