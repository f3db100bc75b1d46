//! What the benchmarks share: names, lists, the contestants, and figures that criterion does not take.

#![allow(dead_code)] // each benchmark uses its part

pub(crate) mod contestants;

use criterion::Criterion;
use std::collections::HashSet;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Criterion as all benchmarks here use it: many cases, a second for each. The command line has the last word.
///
/// Call it before the environment is touched.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .output_directory(&results())
        .without_plots()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .sample_size(20)
        .nresamples(5_000)
        .configure_from_args()
}

/// Where the results go: `target/criterion`. Not asked of the environment, which the benchmarks change.
pub(crate) fn results() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's target directory").join("criterion")
}

/// A fixed sequence of numbers, so that each run measures the same.
#[derive(Debug)]
pub(crate) struct Numbers(u32);

impl Numbers {
    pub(crate) fn new(seed: usize) -> Numbers {
        Numbers(u32::try_from(seed).expect("a small number"))
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (self.0 >> 8) as usize % end
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.below(i + 1));
        }
    }
}

/// Names that most environments have.
const USUAL: [&str; 6] = ["PATH", "HOME", "LANG", "TERM", "USER", "SHELL"];
/// Names that libc and shells ask for, mostly in vain.
const IN_VAIN: [&str; 6] = ["TZ", "LC_ALL", "LC_CTYPE", "LANGUAGE", "TMPDIR", "MAIL"];
/// Words of which the names of real variables are made.
const WORDS: [&str; 60] = [
    "ACCESS", "ADDR", "API", "APP", "AUTH", "AWS", "BACKEND", "BUILD", "CACHE", "CARGO", "CI", "CLIENT",
    "CLUSTER", "CONFIG", "DATA", "DATABASE", "DEBUG", "DEFAULT", "DIR", "DISPLAY", "DOCKER", "ENV", "FILE",
    "GIT", "GITHUB", "GO", "GRAFANA", "HOST", "HTTP", "ID", "INGRESS", "JAVA", "KAFKA", "KEY", "LEVEL",
    "LOG", "MASTER", "MODE", "MONGO", "NAME", "NODE", "NPM", "OPTS", "PASSWORD", "POSTGRES", "PROXY",
    "PYTHON", "QUEUE", "REDIS", "REGION", "ROOT", "RUST", "SECRET", "SESSION", "SSH", "TOKEN", "URL",
    "VERSION", "WORKER", "XDG",
];

/// A name as programs and orchestrators make them: some words, services with a number, links to containers.
fn name(numbers: &mut Numbers) -> String {
    let [a, b, c] = [(); 3].map(|()| numbers.one_of(&WORDS));
    match numbers.below(10) {
        0 => format!("KUBERNETES_SERVICE_{}_PORT", numbers.below(20_000)),
        1 => format!("{a}_{b}_SERVICE_HOST"),
        2 => format!("{a}_{b}_PORT_{}_TCP_ADDR", numbers.one_of(&["80", "443", "5432", "6379", "8080"])),
        3 => format!("{a}_{}", numbers.below(1_000)),
        4..7 => format!("{a}_{b}"),
        _ => format!("{a}_{b}_{c}"),
    }
}

/// The variables of one case.
#[derive(Debug)]
pub(crate) struct Variables {
    pub(crate) names: Vec<CString>,
    /// None is empty, and neighbours begin differently.
    pub(crate) values: Vec<CString>,
    /// As many names of the same kind that are not there.
    pub(crate) absent: Vec<CString>,
    /// Indices in random order: too many for a branch predictor to learn what comes next.
    pub(crate) order: Vec<usize>,
}

impl Variables {
    /// `count` variables with names like real ones, in random order.
    pub(crate) fn usual(count: usize) -> Variables {
        Variables::new(count, &USUAL, &IN_VAIN, "")
    }

    /// `count` variables whose names have a long beginning in common.
    pub(crate) fn long(count: usize) -> Variables {
        Variables::new(count, &[], &[], "EXAMPLE_COMPANY_PLATFORM_PRODUCTION_EU_1_")
    }

    fn new(count: usize, present: &[&str], absent: &[&str], beginning: &str) -> Variables {
        let mut numbers = Numbers::new(count);
        let mut seen: HashSet<String> = present.iter().chain(absent).map(|&name| name.into()).collect();
        let mut fill = |from: &[&str]| {
            let mut list: Vec<String> = from.iter().map(|&name| name.into()).collect();
            while list.len() < count {
                let name = format!("{beginning}{}", name(&mut numbers));
                if seen.insert(name.clone()) {
                    list.push(name);
                }
            }
            numbers.shuffle(&mut list);
            list.into_iter().map(|name| CString::new(name).expect("no NUL")).collect()
        };
        let (names, absent) = (fill(present), fill(absent));
        let order = (0..8_192).map(|_| numbers.below(count)).collect();
        Variables { names, values: (0..count).map(|i| value(i, b'a')).collect(), absent, order }
    }

    /// Other values, of the same length, that begin differently.
    pub(crate) fn others(&self) -> Vec<CString> {
        (0..self.names.len()).map(|i| value(i, b'A')).collect()
    }
}

fn value(i: usize, first: u8) -> CString {
    let letter = char::from(first + u8::try_from(i % 26).expect("below 26"));
    CString::new(format!("{letter}:/usr/share/{i}")).expect("no NUL")
}

/// Figures beside criterion's estimates, as a file of numbers that `report.py` reads: one for a case and contestant.
pub(crate) fn record(group: &str, case: &str, contestant: &str, figures: &[(&str, f64)]) {
    let folder = results().join("figures");
    let figures: Vec<String> = figures.iter().map(|(name, figure)| format!("\"{name}\": {figure}")).collect();
    let text = format!(
        "{{\"group\": \"{group}\", \"case\": \"{case}\", \"contestant\": \"{contestant}\", {}}}\n",
        figures.join(", ")
    );
    eprint!("    {text}");
    let file = folder.join(format!("{group}, {case}, {contestant}.json"));
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, text)).expect("target is writable");
}

/// The times of single calls in nanoseconds. Criterion's means hide the rare slow one.
#[derive(Debug, Default)]
pub(crate) struct Singles(Vec<u32>);

impl Singles {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
    }

    pub(crate) fn extend(&mut self, others: Singles) {
        self.0.extend(others.0);
    }

    /// Records quantiles, unless there are so few calls that this was but a test of the benchmark.
    pub(crate) fn record(mut self, group: &str, case: &str, contestant: &str, more: &[(&str, f64)]) {
        if self.0.len() < 10 {
            return;
        }
        self.0.sort_unstable();
        let last = self.0.len() - 1;
        let quantile = |permille: usize| f64::from(self.0[last * permille / 1_000]);
        let mut figures = vec![
            ("calls", self.0.len() as f64),
            ("p50", quantile(500)),
            ("p90", quantile(900)),
            ("p99", quantile(990)),
            ("p999", quantile(999)),
            ("max", quantile(1_000)),
        ];
        figures.extend(more);
        record(group, case, contestant, &figures);
    }
}

/// Keeps this thread on one core: the `index`-th of those that the process may use, counted round. Without it the scheduler puts a
/// reader and a writer on one core in one run and on two in the next, and the figures of a lock differ a thousandfold.
pub(crate) fn pin(index: usize) {
    // SAFETY: all zero is the empty set.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours to write, and of that size.
    let found = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed) };
    assert_eq!(found, 0, "{}", std::io::Error::last_os_error());
    let cores = 0..usize::try_from(libc::CPU_SETSIZE).expect("a small number");
    // SAFETY: below the size of the set.
    let cores: Vec<usize> = cores.filter(|&core| unsafe { libc::CPU_ISSET(core, &allowed) }).collect();
    // SAFETY: all zero is the empty set.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: below the size of the set.
    unsafe { libc::CPU_SET(cores[index % cores.len()], &mut one) };
    // SAFETY: a set of that size.
    let moved = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &one) };
    assert_eq!(moved, 0, "{}", std::io::Error::last_os_error());
}

/// The variable that tells a child of a benchmark what to do.
pub(crate) const TASK: &str = "MTSAFE_ENV_BENCH_TASK";

/// Runs this benchmark again as a child with no variable but [`TASK`], and returns the time that it measured and printed.
pub(crate) fn child(task: &str) -> Duration {
    let mut command = Command::new(std::env::current_exe().expect("the path of this benchmark"));
    let output = command.env_clear().env(TASK, task).stderr(Stdio::inherit()).output().expect("a child runs");
    assert!(output.status.success(), "{task}: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("a number");
    Duration::from_nanos(text.trim().parse().expect("nanoseconds"))
}
