//! `getenv` on one thread: ours, libc's, libc's under a lock, a hash map. `cargo bench --bench read`
//!
//! Names are like those of real variables, asked for in random order; every value is looked at and compared. The list of each contestant is
//! built by its own functions, just before it is measured.
//!
//! - *inherited*: nobody has changed the list; both walk the array that the kernel made. The benchmark starts itself again with
//!   that environment.
//! - *cold*: before each call a buffer twice as large as all caches together is read, which takes out the list, and the code as
//!   well: nothing but the name is warm. Only the call is timed, between two readings of the clock; "the clock alone" is what two readings take.

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
    use crate::common::{self, Singles, TASK, Variables};
    use criterion::{BenchmarkId, Criterion};
    use std::ffi::{CString, OsStr, c_char};
    use std::hint::black_box;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::{Duration, Instant};
    use std::{fs, io, ptr};

    const SIZES: [usize; 5] = [10, 40, 100, 1_000, 5_000];
    /// Where five sizes tell nothing more than two.
    const SOME_SIZES: [usize; 2] = [40, 1_000];

    pub(crate) fn main() {
        let task = std::env::var(TASK).ok();
        let mut criterion = common::criterion();
        if let Some(size) = task {
            inherited(&mut criterion, size.parse().expect("a size"));
            return;
        }
        start_inherited();
        hot(&mut criterion);
        long(&mut criterion);
        cold(&mut criterion);
        criterion.final_summary();
    }

    /// What is asked for, and the first byte of the answer.
    type Question<'a> = (&'a CString, u8);

    fn hits(variables: &Variables) -> Vec<Question<'_>> {
        variables.names.iter().zip(variables.values.iter().map(|value| value.as_bytes()[0])).collect()
    }

    fn misses(variables: &Variables) -> Vec<Question<'_>> {
        variables.absent.iter().map(|name| (name, 0)).collect()
    }

    /// Measures `whose` on the list as it is, with `questions` in the order given by indices.
    fn bench(
        criterion: &mut Criterion,
        group: &str,
        whose: &Contestant,
        size: usize,
        questions: &[Question<'_>],
        order: &[usize],
    ) {
        let mut group = criterion.benchmark_group(group);
        group.bench_function(BenchmarkId::new(whose.name, size), |bencher| {
            let whose = black_box(*whose);
            let mut order = order.iter().cycle();
            bencher.iter(|| {
                let (name, expected) = questions[*order.next().expect("it never ends")];
                assert_eq!(whose.first_byte(name), expected);
            });
        });
        group.finish();
    }

    fn hot(criterion: &mut Criterion) {
        for size in SIZES {
            let variables = Variables::usual(size);
            let (hits, misses) = (hits(&variables), misses(&variables));
            for whose in contestants::all() {
                whose.own(&variables);
                bench(criterion, "getenv, hit", &whose, size, &hits, &variables.order);
            }
            for whose in contestants::all() {
                whose.own(&variables);
                bench(criterion, "getenv, miss", &whose, size, &misses, &variables.order);
            }
            for whose in contestants::all() {
                whose.own(&variables);
                // Set in the middle of all, so it lies there in every list.
                bench(criterion, "getenv, one name", &whose, size, &hits, &[size / 2]);
            }
            // A hash map has no ends.
            for whose in [OURS, contestants::libc(), LOCKED] {
                whose.own(&variables);
                let (first, last) = contestants::ends();
                for (group, name) in [("getenv, first entry", first), ("getenv, last entry", last)] {
                    let at = variables.names.iter().position(|other| *other == name).expect("one of ours");
                    bench(criterion, group, &whose, size, &hits, &[at]);
                }
            }
        }
    }

    fn long(criterion: &mut Criterion) {
        for size in SOME_SIZES {
            let variables = Variables::long(size);
            for whose in contestants::all() {
                whose.own(&variables);
                let (hits, misses) = (hits(&variables), misses(&variables));
                bench(criterion, "getenv, long common beginning, hit", &whose, size, &hits, &variables.order);
                bench(
                    criterion,
                    "getenv, long common beginning, miss",
                    &whose,
                    size,
                    &misses,
                    &variables.order,
                );
            }
        }
    }

    /// The cases of one size in a process that was started with just these variables, and has changed none.
    fn inherited(criterion: &mut Criterion, size: usize) {
        let variables = Variables::usual(size);
        let (hits, misses) = (hits(&variables), misses(&variables));
        let entries = contestants::entries();
        assert_eq!(entries.len(), size + 1, "all variables, and the one that says what to do");
        for (group, questions) in [("getenv, inherited, hit", hits), ("getenv, inherited, miss", misses)] {
            for whose in [OURS, contestants::libc(), LOCKED] {
                bench(criterion, group, &whose, size, &questions, &variables.order);
            }
        }
        assert!(
            entries.iter().map(|entry| entry.as_ptr()).eq(contestants::entries().iter().map(|e| e.as_ptr()))
        );
    }

    /// Starts this benchmark again, once for each size.
    fn start_inherited() {
        let program = std::env::current_exe().expect("the path of this benchmark");
        for size in SIZES {
            let variables = Variables::usual(size);
            // Last, where the contestants would reach it last: among real names it would be one more to compare.
            let task = format!("{TASK}={size}").into_bytes();
            let pairs = variables.names.iter().zip(&variables.values);
            let entries: Vec<CString> = pairs
                .map(|(name, value)| [name.to_bytes(), b"=", value.to_bytes()].concat())
                .chain([task])
                .map(|entry| CString::new(entry).expect("no NUL"))
                .collect();
            let path = CString::new(program.as_os_str().as_bytes()).expect("no NUL");
            let arguments: Vec<CString> = std::env::args_os()
                .map(|argument: std::ffi::OsString| CString::new(OsStr::as_bytes(&argument)).expect("no NUL"))
                .collect();
            let mut command = Command::new(&program);
            let start = move || {
                let array = |strings: &[CString]| -> Vec<*const c_char> {
                    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
                };
                let (arguments, environment) = (array(&arguments), array(&entries));
                // SAFETY: null-terminated arrays of C strings.
                unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
                Err(io::Error::last_os_error())
            };
            // `Command` would sort the variables by their names.
            // SAFETY: no other thread runs yet, so the child may allocate.
            let status = unsafe { command.pre_exec(start) }.status().expect("a child runs");
            assert!(status.success(), "the child with {size} inherited variables: {status}");
        }
    }

    /// Reads a buffer twice as large as all caches together.
    struct Evictor(Vec<u8>);

    impl Evictor {
        fn new() -> Evictor {
            let kib = |index: usize| -> Option<usize> {
                let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
                fs::read_to_string(path).ok()?.trim().strip_suffix('K')?.parse().ok()
            };
            let all: usize = (0..5).filter_map(kib).sum();
            // Where the kernel does not tell: 32 MiB. Not all zero, or it would be one page over and over.
            Evictor(vec![1; 2 * 1_024 * if all == 0 { 32 * 1_024 } else { all }])
        }

        fn run(&self) {
            const LINE: usize = 64;
            black_box(self.0.iter().step_by(LINE).fold(0, |sum: u8, &byte| sum.wrapping_add(byte)));
        }
    }

    fn cold(criterion: &mut Criterion) {
        let evictor = Evictor::new();
        for size in SOME_SIZES {
            let variables = Variables::usual(size);
            for (group, questions) in
                [("getenv, cold, hit", hits(&variables)), ("getenv, cold, miss", misses(&variables))]
            {
                for whose in [OURS, contestants::libc(), LOCKED, MAP] {
                    whose.own(&variables);
                    single_calls(criterion, &evictor, group, whose.name, size, &variables.order, |at| {
                        let (name, expected) = questions[at];
                        // The caller has just made the name.
                        assert!(!black_box(name.as_bytes()).contains(&0));
                        let start = Instant::now();
                        let found = whose.first_byte(name);
                        let time = start.elapsed();
                        assert_eq!(found, expected);
                        time
                    });
                }
            }
        }
        single_calls(criterion, &evictor, "getenv, cold, hit", "the clock alone", 0, &[0], |_| {
            let start = black_box(Instant::now());
            start.elapsed()
        });
    }

    fn single_calls(
        criterion: &mut Criterion,
        evictor: &Evictor,
        group: &str,
        whose: &str,
        size: usize,
        order: &[usize],
        mut call: impl FnMut(usize) -> Duration,
    ) {
        let mut singles = Singles::default();
        let mut order = order.iter().cycle();
        let mut cases = criterion.benchmark_group(group);
        cases.sample_size(10).measurement_time(Duration::from_millis(1_500));
        cases.bench_function(BenchmarkId::new(whose, size), |bencher| {
            bencher.iter_custom(|count| {
                let mut all = Duration::ZERO;
                for _ in 0..count {
                    evictor.run();
                    // The first reading of the clock after that is slow itself.
                    black_box(Instant::now());
                    let time = call(*order.next().expect("it never ends"));
                    singles.push(time);
                    all += time;
                }
                all
            });
        });
        cases.finish();
        singles.record(group, &size.to_string(), whose, &[]);
    }
}
