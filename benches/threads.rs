//! `getenv` on many threads, alone and beside a writer. `cargo bench --bench threads`
//!
//! 40 variables, of which the readers ask for each in random order and compare what they get. The writer adds, replaces and removes two
//! others without pause, by the same contestant's functions. Criterion's time is that of one read on each thread; throughput is that of all of them.
//!
//! Each thread stays on a core of its own, the writer on the one after the last reader's, as long as there are cores.
//!
//! libc's own functions are measured alone only: beside a writer they crash before glibc 2.41, and miss variables.
//!
//! *Latency*: one reader beside the writer; each call is timed by itself, between two readings of the clock. "the clock alone" is
//! what two readings take, beside the writer of mtsafe-env: a slow one there is the scheduler's or the machine's doing.

#[cfg(target_os = "linux")]
mod common;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use crate::common::contestants::{self, Contestant, LOCKED, MAP, OURS};
    use crate::common::{self, Singles, Variables};
    use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
    use std::ffi::CStr;
    use std::hint::black_box;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    const VARIABLES: usize = 40;
    const ADDED: &CStr = c"MTSAFE_ENV_BENCH_ADDED";
    const REPLACED: &CStr = c"MTSAFE_ENV_BENCH_REPLACED";

    pub(crate) fn main() {
        let mut criterion = common::criterion();
        // std reads RUST_MIN_STACK when it starts its first thread: before anybody writes.
        thread::spawn(|| {}).join().expect("it does nothing");
        throughput(&mut criterion);
        latency(&mut criterion);
        criterion.final_summary();
    }

    /// Numbers of reading threads: 1, 2, then doubled up to twice the cores.
    fn numbers_of_threads() -> Vec<usize> {
        let cores = thread::available_parallelism().expect("the kernel tells").get();
        (0..).map(|power| 1 << power).take_while(|&threads| threads <= 2 * cores.max(2)).collect()
    }

    fn throughput(criterion: &mut Criterion) {
        let variables = Variables::usual(VARIABLES);
        for threads in numbers_of_threads() {
            for (group, writer) in [("threads, alone", false), ("threads, beside a writer", true)] {
                for whose in contestants::all() {
                    if writer && whose.name == contestants::libc().name {
                        continue;
                    }
                    own(&whose, &variables);
                    let mut done = Done::default();
                    let mut cases = criterion.benchmark_group(group);
                    // Long samples, all alike: with more threads than cores the scheduler's turns take milliseconds.
                    cases.sampling_mode(SamplingMode::Flat).sample_size(10);
                    cases.measurement_time(Duration::from_millis(1_500));
                    cases.throughput(Throughput::Elements(threads as u64));
                    cases.bench_function(BenchmarkId::new(whose.name, threads), |bencher| {
                        bencher.iter_custom(|count| {
                            let run = run(&whose, writer, threads, |reader| {
                                // Each reader starts elsewhere in the order.
                                let order = variables.order.iter().cycle().skip(reader * 1_000);
                                let whose = black_box(whose);
                                for &at in order.take(usize::try_from(count).expect("64 bits")) {
                                    let expected = variables.values[at].as_bytes()[0];
                                    assert_eq!(whose.first_byte(&variables.names[at]), expected);
                                }
                            });
                            done += run;
                            run.time
                        });
                    });
                    cases.finish();
                    after(&whose, &variables);
                    // Not after a test of the benchmark.
                    if writer && done.time > Duration::from_millis(100) {
                        common::record(group, &threads.to_string(), whose.name, &[("writes", done.rate())]);
                    }
                }
            }
        }
    }

    fn latency(criterion: &mut Criterion) {
        let variables = Variables::usual(VARIABLES);
        const GROUP: &str = "latency beside a writer";
        for (name, whose) in [OURS, LOCKED, MAP].map(|whose| (whose.name, whose)).into_iter().chain([CLOCK]) {
            own(&whose, &variables);
            let mut singles = Singles::default();
            let mut done = Done::default();
            let mut cases = criterion.benchmark_group(GROUP);
            cases.sampling_mode(SamplingMode::Flat).sample_size(10);
            cases.measurement_time(Duration::from_millis(1_500));
            cases.bench_function(BenchmarkId::new(name, VARIABLES), |bencher| {
                bencher.iter_custom(|count| {
                    let (sender, receiver) = std::sync::mpsc::channel();
                    let run = run(&whose, true, 1, |_| {
                        let mut singles = Singles::default();
                        let order = variables.order.iter().cycle();
                        for &at in order.take(usize::try_from(count).expect("64 bits")) {
                            let expected = variables.values[at].as_bytes()[0];
                            let start = Instant::now();
                            let found = if name == CLOCK.0 {
                                expected
                            } else {
                                whose.first_byte(&variables.names[at])
                            };
                            singles.push(start.elapsed());
                            assert_eq!(found, expected);
                        }
                        sender.send(singles).expect("the receiver waits");
                    });
                    singles.extend(receiver.recv().expect("one reader"));
                    done += run;
                    run.time
                });
            });
            cases.finish();
            after(&whose, &variables);
            singles.record(GROUP, &VARIABLES.to_string(), name, &[("writes", done.rate())]);
        }
    }

    /// A reader that only looks at the clock.
    const CLOCK: (&str, Contestant) = ("the clock alone", OURS);

    fn own(whose: &Contestant, variables: &Variables) {
        whose.own(variables);
        whose.set(REPLACED, c"1");
    }

    /// Checks that the writer left everything as it was.
    fn after(whose: &Contestant, variables: &Variables) {
        assert_eq!(whose.first_byte(ADDED), 0);
        assert_ne!(whose.first_byte(REPLACED), 0);
        whose.unset(REPLACED);
        whose.check(variables, &variables.values);
    }

    /// What a run took, and how many changes the writer made in that time.
    #[derive(Clone, Copy, Default)]
    struct Done {
        time: Duration,
        writes: u64,
    }

    impl std::ops::AddAssign for Done {
        fn add_assign(&mut self, other: Done) {
            self.time += other.time;
            self.writes += other.writes;
        }
    }

    impl Done {
        /// Changes per second.
        fn rate(&self) -> f64 {
            self.writes as f64 / self.time.as_secs_f64()
        }
    }

    /// Runs `read` on each of `readers` threads at once. The time is that from the first one's start to the last one's end.
    fn run(whose: &Contestant, writer: bool, readers: usize, read: impl Fn(usize) + Sync) -> Done {
        let stop = AtomicBool::new(false);
        let start = Barrier::new(readers + usize::from(writer));
        thread::scope(|scope| {
            let writer = writer.then(|| {
                let (stop, start) = (&stop, &start);
                scope.spawn(move || {
                    common::pin(readers);
                    start.wait();
                    let mut rounds = 0;
                    // Relaxed: nothing travels with it.
                    while !stop.load(Ordering::Relaxed) {
                        whose.set(ADDED, c"1");
                        whose.set(REPLACED, if rounds % 2 == 0 { c"2" } else { c"1" });
                        whose.unset(ADDED);
                        rounds += 1;
                    }
                    3 * rounds
                })
            });
            let readers: Vec<_> = (0..readers)
                .map(|reader| {
                    let (start, read) = (&start, &read);
                    scope.spawn(move || {
                        common::pin(reader);
                        start.wait();
                        let begin = Instant::now();
                        read(reader);
                        (begin, Instant::now())
                    })
                })
                .collect();
            let times: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
            // Before a reader's panic is passed on: the writer must end.
            stop.store(true, Ordering::Relaxed);
            let writes = writer.map_or(0, |writer| writer.join().expect("the writer's changes succeed"));
            let times: Vec<_> =
                times.into_iter().map(|time| time.expect("every read found its value")).collect();
            let begin = times.iter().map(|time| time.0).min().expect("a reader");
            let end = times.iter().map(|time| time.1).max().expect("a reader");
            Done { time: end - begin, writes }
        })
    }
}
