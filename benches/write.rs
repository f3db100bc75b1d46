//! Changes on one thread: ours, libc's, libc's under a lock, a hash map; and the Rust functions. `cargo bench --bench write`
//!
//! Each contestant changes a list that its own functions built, and the list is checked afterwards: its length and every value.
//!
//! - *same value*, *other value*: `setenv` of random names; the other value is one of two that each variable has in turn.
//! - *new value*: 10,000 values that nobody had before, in a child for each sample: ours and libc keep every one of them.
//! - *add and remove*: both changes, as one.
//! - *putenv*: of random names; each variable has one of two strings of the benchmark in turn.
//! - *build*: 8,192 variables from nothing, in a child for each sample.
//! - *snapshot*: all variables, copied.

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
    use crate::common::contestants::{self, Contestant, OURS};
    use crate::common::{self, TASK, Variables};
    use criterion::{BenchmarkId, Criterion, Throughput};
    use std::ffi::{CStr, CString, OsStr, OsString};
    use std::hint::black_box;
    use std::os::unix::ffi::OsStrExt;
    use std::time::{Duration, Instant};

    const SIZES: [usize; 3] = [40, 1_000, 5_000];
    const NEW_VALUES: usize = 10_000;
    const BUILT: usize = 8_192;
    const ADDED: &CStr = c"MTSAFE_ENV_BENCH_ADDED";

    pub(crate) fn main() {
        if let Ok(task) = std::env::var(TASK) {
            println!("{}", in_child(&task).as_nanos());
            return;
        }
        let mut criterion = common::criterion();
        for size in SIZES {
            let variables = Variables::usual(size);
            let others = variables.others();
            for whose in contestants::all() {
                same(&mut criterion, &whose, &variables);
                other(&mut criterion, &whose, &variables, &others);
                add_and_remove(&mut criterion, &whose, &variables);
                put(&mut criterion, &whose, &variables, &others);
            }
            for whose in RUST {
                rust(&mut criterion, &whose, &variables, &others);
            }
            for whose in RUST {
                snapshot(&mut criterion, &whose, &variables);
            }
        }
        for whose in contestants::all() {
            let name = whose.name;
            for size in [40, 1_000] {
                children(
                    &mut criterion,
                    "setenv, new value",
                    name,
                    size,
                    &format!("new {size} {name}"),
                    NEW_VALUES,
                );
            }
            children(&mut criterion, "build", name, BUILT, &format!("build {BUILT} {name}"), BUILT);
        }
        criterion.final_summary();
    }

    fn id(name: &str, variables: &Variables) -> BenchmarkId {
        BenchmarkId::new(name, variables.names.len())
    }

    fn same(criterion: &mut Criterion, whose: &Contestant, variables: &Variables) {
        whose.own(variables);
        let mut order = variables.order.iter().cycle();
        criterion.benchmark_group("setenv, same value").bench_function(
            id(whose.name, variables),
            |bencher| {
                let whose = black_box(*whose);
                bencher.iter(|| {
                    let at = *order.next().expect("it never ends");
                    whose.set(&variables.names[at], &variables.values[at]);
                });
            },
        );
        whose.check(variables, &variables.values);
    }

    /// Which of two values each variable has.
    struct Turns<'a> {
        values: [&'a [CString]; 2],
        second: Vec<bool>,
    }

    impl<'a> Turns<'a> {
        fn new(first: &'a [CString], second: &'a [CString]) -> Turns<'a> {
            Turns { values: [first, second], second: vec![false; first.len()] }
        }

        /// The value that variable `at` does not have; from now on it has.
        #[inline(always)]
        fn next(&mut self, at: usize) -> &'a CStr {
            self.second[at] = !self.second[at];
            &self.values[usize::from(self.second[at])][at]
        }

        fn now(&self) -> Vec<CString> {
            let second = self.second.iter().enumerate();
            second.map(|(at, &second)| self.values[usize::from(second)][at].clone()).collect()
        }
    }

    fn other(criterion: &mut Criterion, whose: &Contestant, variables: &Variables, others: &[CString]) {
        whose.own(variables);
        let mut turns = Turns::new(&variables.values, others);
        let mut order = variables.order.iter().cycle();
        criterion.benchmark_group("setenv, other value").bench_function(
            id(whose.name, variables),
            |bencher| {
                let whose = black_box(*whose);
                bencher.iter(|| {
                    let at = *order.next().expect("it never ends");
                    whose.set(&variables.names[at], turns.next(at));
                });
            },
        );
        whose.check(variables, &turns.now());
    }

    fn add_and_remove(criterion: &mut Criterion, whose: &Contestant, variables: &Variables) {
        whose.own(variables);
        criterion.benchmark_group("add and remove").bench_function(id(whose.name, variables), |bencher| {
            let whose = black_box(*whose);
            bencher.iter(|| {
                whose.set(black_box(ADDED), c"1");
                whose.unset(black_box(ADDED));
            });
        });
        whose.check(variables, &variables.values);
    }

    fn put(criterion: &mut Criterion, whose: &Contestant, variables: &Variables, others: &[CString]) {
        let Some(putenv) = whose.putenv else { return };
        let strings = |values: &[CString]| -> Vec<CString> {
            let pairs = variables.names.iter().zip(values);
            pairs
                .map(|(name, value)| [name.to_bytes(), b"=", value.to_bytes()].concat())
                .map(|entry| CString::new(entry).expect("no NUL"))
                .collect()
        };
        let (first, second) = (strings(&variables.values), strings(others));
        whose.own(variables);
        let mut turns = Turns::new(&first, &second);
        let mut order = variables.order.iter().cycle();
        criterion.benchmark_group("putenv").bench_function(id(whose.name, variables), |bencher| {
            let putenv = black_box(putenv);
            bencher.iter(|| {
                let at = *order.next().expect("it never ends");
                // SAFETY: a C string, which is there until the list is cleared; nobody writes to it.
                assert_eq!(unsafe { putenv(turns.next(at).as_ptr().cast_mut()) }, 0);
            });
        });
        let values = Turns { values: [&variables.values, others], second: turns.second };
        whose.check(variables, &values.now());
        // The strings go now.
        whose.clear();
    }

    /// The Rust functions over a list of C's: ours for both, as this program has the macro.
    struct Rust {
        name: &'static str,
        list: fn() -> Contestant,
        set: fn(&OsStr, &OsStr),
        remove: fn(&OsStr),
        /// All variables; returns how many, and the bytes of their names and values.
        snapshot: fn() -> (usize, usize),
    }

    const RUST: [Rust; 2] = [
        Rust {
            name: "mtsafe_env",
            list: || OURS,
            set: |name, value| mtsafe_env::set_var(name, value),
            remove: |name| mtsafe_env::remove_var(name),
            snapshot: || measure(mtsafe_env::vars_os()),
        },
        Rust {
            name: "std::env",
            list: || OURS,
            // SAFETY: no other thread is there.
            set: |name, value| unsafe { std::env::set_var(name, value) },
            // SAFETY: as above.
            remove: |name| unsafe { std::env::remove_var(name) },
            snapshot: || measure(std::env::vars_os()),
        },
    ];

    fn measure(variables: impl Iterator<Item = (OsString, OsString)>) -> (usize, usize) {
        variables.fold((0, 0), |(count, bytes), variable| {
            let (name, value) = black_box(variable); // or the compiler drops a copy of which only the length is used
            (count + 1, bytes + name.len() + value.len())
        })
    }

    fn os(string: &CStr) -> &OsStr {
        OsStr::from_bytes(string.to_bytes())
    }

    fn rust(criterion: &mut Criterion, whose: &Rust, variables: &Variables, others: &[CString]) {
        let list = (whose.list)();
        list.own(variables);
        let mut turns = Turns::new(&variables.values, others);
        let mut order = variables.order.iter().cycle();
        criterion.benchmark_group("set_var, other value").bench_function(
            id(whose.name, variables),
            |bencher| {
                bencher.iter(|| {
                    let at = *order.next().expect("it never ends");
                    (whose.set)(os(&variables.names[at]), os(turns.next(at)));
                });
            },
        );
        list.check(variables, &turns.now());

        list.own(variables);
        let name = "set_var and remove_var";
        criterion.benchmark_group(name).bench_function(id(whose.name, variables), |bencher| {
            bencher.iter(|| {
                (whose.set)(os(black_box(ADDED)), OsStr::new("1"));
                (whose.remove)(os(black_box(ADDED)));
            });
        });
        list.check(variables, &variables.values);
    }

    fn snapshot(criterion: &mut Criterion, whose: &Rust, variables: &Variables) {
        (whose.list)().own(variables);
        let strings = variables.names.iter().chain(&variables.values);
        let expected = (variables.names.len(), strings.map(|string| string.as_bytes().len()).sum());
        criterion.benchmark_group("snapshot (vars_os)").bench_function(
            id(whose.name, variables),
            |bencher| {
                bencher.iter(|| assert_eq!((whose.snapshot)(), expected));
            },
        );
    }

    /// Measures what a child does for `task`, `count` changes.
    fn children(criterion: &mut Criterion, group: &str, name: &str, size: usize, task: &str, count: usize) {
        let mut group = criterion.benchmark_group(group);
        group.sample_size(10).throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new(name, size), |bencher| {
            bencher.iter_custom(|count| (0..count).map(|_| common::child(task)).sum());
        });
        group.finish();
    }

    /// What a child does: `new SIZE NAME` or `build SIZE NAME`.
    fn in_child(task: &str) -> Duration {
        let mut words = task.splitn(3, ' ');
        let mut word = || words.next().expect("three words");
        let (what, size, name) = (word(), word().parse().expect("a size"), word());
        let whose = contestants::all().into_iter().find(|whose| whose.name == name).expect("a contestant");
        let variables = Variables::usual(size);
        if what == "build" {
            whose.clear();
            let start = Instant::now();
            for (name, value) in variables.names.iter().zip(&variables.values) {
                whose.set(name, value);
            }
            let time = start.elapsed();
            whose.check(&variables, &variables.values);
            return time;
        }
        assert_eq!(what, "new");
        whose.own(&variables);
        let mut values = variables.values.clone();
        let at = |i: usize| variables.order[i % variables.order.len()];
        let fresh = (0..NEW_VALUES).map(|i| CString::new(format!("/run/user/1000/{i}")).expect("no NUL"));
        let fresh: Vec<CString> = fresh.collect();
        let start = Instant::now();
        for (i, value) in fresh.iter().enumerate() {
            whose.set(&variables.names[at(i)], value);
        }
        let time = start.elapsed();
        for (i, value) in fresh.into_iter().enumerate() {
            values[at(i)] = value;
        }
        whose.check(&variables, &values);
        time
    }
}
