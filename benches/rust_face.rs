//! `mtsafe_env::var_os` against `std::env::var_os`, and the owned list. `cargo bench --bench rust_face`
//!
//! On 1 and 2 threads, alone and beside a thread that changes another variable without pause, and reads that copy nothing.
//! Interposed, as this crate's functions demand: std's are the same C functions under std's lock. (libc's own are compared in
//! `benches/compare`.) Each has the environment to itself, built by its own `set_var`, and that is the writer's. Each thread stays on one
//! core. Times are per read and thread.

#[cfg(target_os = "linux")]
mod common;

mtsafe_env::interpose!();

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use crate::common;
    use crate::common::contestants::OURS;
    use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
    use mtsafe_env::{Environ, Pinned};
    use std::hint::black_box;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    /// Variables beside the one that is read and the one that is written.
    const OTHERS: u32 = 38;
    /// The first that is set: the last in a list to which new ones come first.
    const READ: &str = "READ_BENCH";
    const WRITTEN: &str = "WRITTEN_BENCH";
    const VALUE: &str = "value";

    /// Names that are alike in nothing but their end: a multiplication mixes the bits.
    fn names() -> impl Iterator<Item = String> {
        let others = (0..OTHERS).map(|i| format!("{:X}_BENCH", (i + 1).wrapping_mul(0x9E37_79B1)));
        [READ.into()].into_iter().chain(others).chain([WRITTEN.into()])
    }

    pub(crate) fn main() {
        let mut criterion = common::criterion();
        // std reads RUST_MIN_STACK when it starts its first thread: before anybody writes.
        thread::spawn(|| {}).join().expect("it does nothing");
        copying(&mut criterion);
        borrowing(&mut criterion);
        criterion.final_summary();
    }

    /// A value that is another one at each call, of another length.
    fn changing(i: usize) -> &'static str {
        if i % 2 == 0 { "even" } else { "odd" }
    }

    fn own_ours() {
        OURS.clear();
        names().for_each(|name| mtsafe_env::set_var(name, VALUE));
    }

    fn own_std() {
        OURS.clear();
        // SAFETY: no other thread reads the environment.
        names().for_each(|name| unsafe { std::env::set_var(name, VALUE) });
    }

    fn environ() -> Environ {
        let environ = Environ::new();
        names().for_each(|name| environ.set(name, VALUE).expect("good names"));
        environ
    }

    fn copying(criterion: &mut Criterion) {
        for threads in [1, 2] {
            for writes in [false, true] {
                let mut bench = Bench { criterion, group: group("var_os", writes), threads };
                own_ours();
                let write = |i| mtsafe_env::set_var(WRITTEN, changing(i));
                bench.reads("mtsafe_env::var_os", writes.then_some(&write), || {
                    assert_eq!(mtsafe_env::var_os(black_box(READ)).as_deref(), Some(VALUE.as_ref()));
                });
                own_std();
                // SAFETY: all other threads read through std, which takes its lock.
                let write = |i| unsafe { std::env::set_var(WRITTEN, changing(i)) };
                bench.reads("std::env::var_os", writes.then_some(&write), || {
                    assert_eq!(std::env::var_os(black_box(READ)).as_deref(), Some(VALUE.as_ref()));
                });
                let environ = environ();
                let write = |i| environ.set(WRITTEN, changing(i)).expect("a good name");
                bench.reads("Environ::var_os", writes.then_some(&write), || {
                    assert_eq!(environ.var_os(black_box(READ)).as_deref(), Some(VALUE.as_ref()));
                });
            }
        }
    }

    /// The value is compared where it lies. std has no such function: it copies first.
    fn borrowing(criterion: &mut Criterion) {
        for threads in [1, 2] {
            for writes in [false, true] {
                let mut bench = Bench { criterion, group: group("a borrowed value", writes), threads };
                own_ours();
                let write = |i| mtsafe_env::set_var(WRITTEN, changing(i));
                bench.reads("mtsafe_env::with_var", writes.then_some(&write), || {
                    let same =
                        mtsafe_env::with_var(black_box(READ), |value| value.to_bytes() == VALUE.as_bytes());
                    assert_eq!(same, Some(true));
                });
                own_std();
                // SAFETY: all other threads read through std, which takes its lock.
                let write = |i| unsafe { std::env::set_var(WRITTEN, changing(i)) };
                bench.reads("std::env::var_os", writes.then_some(&write), || {
                    assert_eq!(std::env::var_os(black_box(READ)).map(|value| value == VALUE), Some(true));
                });
                let environ = environ();
                let write = |i| environ.set(WRITTEN, changing(i)).expect("a good name");
                bench.reads("Environ::pin, get", writes.then_some(&write), || {
                    let pinned: Pinned<'_> = environ.pin();
                    assert_eq!(pinned.get(black_box(READ)).map(|value| value == VALUE), Some(true));
                });
            }
        }
    }

    fn group(what: &str, writes: bool) -> String {
        format!("{what}, {}", if writes { "beside a writer" } else { "alone" })
    }

    type Write<'a> = &'a (dyn Fn(usize) + Sync);

    struct Bench<'a> {
        criterion: &'a mut Criterion,
        group: String,
        threads: usize,
    }

    impl Bench<'_> {
        /// Measures `read`, which panics if it does not find its value, on all threads, beside `write` if there is one.
        fn reads(&mut self, name: &str, write: Option<Write<'_>>, read: impl Fn() + Sync) {
            let mut group = self.criterion.benchmark_group(&self.group);
            group.sampling_mode(SamplingMode::Flat).sample_size(10);
            group.throughput(Throughput::Elements(self.threads as u64));
            group.bench_function(BenchmarkId::new(name, self.threads), |bencher| {
                bencher.iter_custom(|count| run(count, self.threads, write, &read));
            });
            group.finish();
        }
    }

    /// Runs `read` `count` times on each thread. The time is that from the first one's start to the last one's end.
    fn run(count: u64, threads: usize, write: Option<Write<'_>>, read: &(impl Fn() + Sync)) -> Duration {
        let stop = AtomicBool::new(false);
        let start = Barrier::new(threads + usize::from(write.is_some()));
        thread::scope(|scope| {
            let (stop, start) = (&stop, &start);
            if let Some(write) = write {
                scope.spawn(move || {
                    common::pin(threads);
                    start.wait();
                    // Relaxed: nothing travels with it.
                    (0..).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(write);
                });
            }
            let reader = |index| {
                common::pin(index);
                start.wait();
                let begin = Instant::now();
                (0..count).for_each(|_| read());
                (begin, Instant::now())
            };
            let readers: Vec<_> = (0..threads).map(|index| scope.spawn(move || reader(index))).collect();
            let times: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
            // Before a reader's panic is passed on: the writer must end.
            stop.store(true, Ordering::Relaxed);
            let times: Vec<_> =
                times.into_iter().map(|time| time.expect("every read found its value")).collect();
            let begin = times.iter().map(|time| time.0).min().expect("a reader");
            times.iter().map(|time| time.1).max().expect("a reader") - begin
        })
    }
}
