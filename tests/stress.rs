//! Real threads on the process environment itself, each checking what it may rely on. A program of its own (no test harness:
//! its channel is a race to ThreadSanitizer).
//!
//! ```text
//! cargo test --test stress                                    a second
//! STRESS_SECONDS=60 SEED=7 cargo test --release --test stress
//! .ci/sanitizers                                              the same under ASan and TSan
//! ```

#[cfg(not(loom))]
mod stress {
    use mtsafe_env_core::process;
    use std::ffi::{CStr, c_char};
    use std::ptr;
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::*};
    use std::time::{Duration, Instant};

    unsafe extern "C" {
        static mut environ: *mut AtomicPtr<c_char>;
    }

    /// A variable that nobody touches.
    const BYSTANDER: &[u8] = b"BYSTANDER";
    const CALM: &CStr = c"undisturbed";

    static DONE: AtomicBool = AtomicBool::new(false);
    static READS: AtomicU64 = AtomicU64::new(0);
    static WRITES: AtomicU64 = AtomicU64::new(0);

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % end
        }
    }

    /// Sets `COUNTER` to values that only go up, and says the number twice.
    fn counts() {
        let mut number = 0_u64;
        while !DONE.load(Relaxed) {
            number += 1;
            process::set(b"COUNTER", format!("{number}:{number}").as_bytes(), true).unwrap();
            if number % 5 == 0 {
                process::unset(b"COUNTER").unwrap();
            }
            WRITES.fetch_add(1, Relaxed);
        }
    }

    /// Other variables come and go, and with them the bystander's place and the array.
    fn churns(mut random: Random) {
        while !DONE.load(Relaxed) {
            let name = format!("CHURN{}", random.below(300));
            match random.below(8) {
                0..4 => {
                    process::set(name.as_bytes(), format!("{}", random.below(9)).as_bytes(), true).unwrap()
                }
                4..7 => process::unset(name.as_bytes()).unwrap(),
                _ => {
                    let string = PUT[random.below(3) as usize].as_ptr().cast_mut();
                    // SAFETY: never freed, and edited by nobody.
                    unsafe { process::put(string) }.unwrap();
                }
            }
            WRITES.fetch_add(1, Relaxed);
        }
    }

    const PUT: [&CStr; 3] = [c"CHURN1=put", c"CHURN2=put", c"PUT=put"];

    /// The program assigns lists of its own, all of which have the bystander.
    fn assigns(mut random: Random) {
        while !DONE.load(Relaxed) {
            let count = random.below(20);
            let other = (0..count).map(|i| format!("CHURN{i}=mine\0"));
            let entries = other.chain(["BYSTANDER=undisturbed\0".into()]);
            let entries = entries.map(|entry| AtomicPtr::new(entry.leak().as_mut_ptr().cast::<c_char>()));
            let list: Vec<_> = entries.chain([AtomicPtr::new(ptr::null_mut())]).collect();
            // SAFETY: C's `environ`; the list is a proper one and never freed.
            unsafe { AtomicPtr::from_ptr(&raw mut environ) }.store(list.leak().as_mut_ptr(), Release);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn reads() {
        let mut last = 0;
        while !DONE.load(Relaxed) {
            assert_eq!(process::get(BYSTANDER), Some(CALM));
            if let Some(value) = process::get(b"COUNTER") {
                let (first, second) = value.to_str().unwrap().split_once(':').unwrap();
                assert_eq!(first, second, "half a value");
                let number: u64 = first.parse().unwrap();
                assert!(number >= last, "{number} after {last}");
                last = number;
            }
            READS.fetch_add(1, Relaxed);
        }
    }

    /// Walks `environ` itself, as programs do (who do it with plain loads).
    fn walks() {
        while !DONE.load(Relaxed) {
            let mut bystanders = 0;
            // SAFETY: the list is a proper one at every moment, and nothing in it is freed.
            unsafe {
                let mut at = AtomicPtr::from_ptr(&raw mut environ).load(Acquire);
                loop {
                    let entry = (*at).load(Acquire);
                    if entry.is_null() {
                        break;
                    }
                    let entry = CStr::from_ptr(entry).to_str().unwrap();
                    let (name, value) = entry.split_once('=').unwrap();
                    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{entry:?}");
                    bystanders += usize::from(name == "BYSTANDER" && value == CALM.to_str().unwrap());
                    at = at.add(1);
                }
            }
            assert!(bystanders > 0, "a walk missed the bystander");
            READS.fetch_add(1, Relaxed);
        }
    }

    /// One moment: nothing twice, nothing missed.
    fn snapshots() {
        while !DONE.load(Relaxed) {
            let mut entries = [ptr::null(); 1_000];
            let count = process::snapshot(&mut entries);
            let name = |&at: &*const c_char| {
                // SAFETY: entries live for ever.
                let entry = unsafe { CStr::from_ptr(at) };
                entry.to_str().unwrap().split_once('=').unwrap().0
            };
            let mut names: Vec<_> = entries[..count].iter().map(name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "twice in a snapshot");
            assert!(names.contains(&"BYSTANDER"));
            READS.fetch_add(1, Relaxed);
        }
    }

    static RUNNING: AtomicU64 = AtomicU64::new(0);

    /// Runs `body` in a thread of its own. Nothing is joined: ThreadSanitizer does not understand the fence with which std's
    /// handles are freed (std is not instrumented), and would report it.
    fn spawn(body: impl FnOnce() + Send + 'static) {
        RUNNING.fetch_add(1, Relaxed);
        std::mem::forget(std::thread::spawn(|| {
            body();
            RUNNING.fetch_sub(1, Release);
        }));
    }

    fn sleep_until(mut done: impl FnMut() -> bool) {
        while !done() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn main() {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            default(info);
            std::process::abort();
        }));
        let number = |name: &str, default: u64| {
            process::get(name.as_bytes()).map_or(default, |value| value.to_str().unwrap().parse().unwrap())
        };
        let (seconds, seed) = (number("STRESS_SECONDS", 1), number("SEED", std::process::id().into()));
        println!("SEED={seed}");
        process::clear().unwrap();
        for round in 0..2 {
            process::set(BYSTANDER, CALM.to_bytes(), true).unwrap();
            process::unset(b"COUNTER").unwrap();
            DONE.store(false, Relaxed);
            spawn(counts);
            spawn(move || churns(Random(seed ^ 1)));
            spawn(reads);
            spawn(walks);
            // An assignment loses what other threads set at that moment: no snapshots then.
            if round == 1 {
                spawn(move || assigns(Random(seed ^ 2)));
            } else {
                spawn(reads);
                spawn(snapshots);
            }
            let until = Instant::now() + Duration::from_millis(seconds * 500);
            sleep_until(|| Instant::now() >= until);
            DONE.store(true, Relaxed);
            sleep_until(|| RUNNING.load(Acquire) == 0);
        }
        println!("{READS:?} reads, {WRITES:?} writes, {} bytes kept", process::retained_bytes());
    }
}

fn main() {
    // What `cargo test -- --list` expects of a test program.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    #[cfg(not(loom))]
    stress::main();
}
