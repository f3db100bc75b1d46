//! Recorded concurrent histories, checked for linearizability: each must have an order of its operations that agrees with their
//! real-time order and in which one thread, doing them on a plain table, gets the same answers.
//!
//! With real threads, some hundreds of histories in `cargo test` and any number in a campaign:
//!
//! ```text
//! HISTORIES=100000 cargo test --release --test histories -- --ignored --nocapture campaign
//! ```
//!
//! Under shuttle, a randomising scheduler that switches threads at each atomic operation, the same core with the small arrays
//! that loom gets (interleavings only: shuttle knows no weak memory; loom is for that):
//!
//! ```text
//! RUSTFLAGS="--cfg loom --cfg shuttle" cargo test --profile loom --test histories --target-dir target/shuttle
//! ```
//!
//! `SEED=n` repeats the plan of a failed run (and under shuttle its schedule); the history itself is printed.
//!
//! The search is Wing and Gong's with Lowe's memory of what was tried, 40 lines. `todc-utils` has one, without releases since
//! 2023; `stateright`'s remembers nothing and so is exponential in overlapping operations.
#![cfg(any(not(loom), shuttle))]

use mtsafe_env_core::{Head, Slot, Store};
use std::collections::HashSet;
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const NAMES: [&str; 3] = ["A", "B", "C"];
/// Values are numbers, different ones in each operation; 0 is "not set".
const VALUES: usize = 2_000;
type Table = [u16; NAMES.len()];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// With what was read.
    Get(usize, u16),
    Set(usize, u16),
    /// Only if there is no value.
    SetNew(usize, u16),
    Put(usize, u16),
    Unset(usize),
    Clear,
    /// `environ = list`, by the program, without the lock: a list of its own, in which the first name is the only one.
    Assign(u16),
    /// With what was read.
    Snapshot(Table),
}

impl Op {
    /// Does it on a plain table: the table after it, or `None` if it cannot have answered what it did.
    fn on(self, mut table: Table) -> Option<Table> {
        match self {
            Op::Get(name, value) => return (table[name] == value).then_some(table),
            Op::Snapshot(read) => return (table == read).then_some(table),
            Op::SetNew(name, value) if table[name] == 0 => table[name] = value,
            Op::SetNew(..) => {}
            Op::Set(name, value) | Op::Put(name, value) => table[name] = value,
            Op::Unset(name) => table[name] = 0,
            Op::Clear => table = Table::default(),
            Op::Assign(value) => {
                table = Table::default();
                table[0] = value;
            }
        }
        Some(table)
    }

    /// True for a change that is made again if the program assigned `environ` meanwhile: once in the list that went, and once in the new one.
    fn is_repeated(self) -> bool {
        !matches!(self, Op::Get(..) | Op::Snapshot(_) | Op::Assign(_))
    }
}

/// One operation: who, what, and between which ticks of the clock.
#[derive(Clone, Copy)]
struct Event {
    thread: usize,
    op: Op,
    called: u64,
    returned: u64,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}..{}] thread {} {:?}", self.called, self.returned, self.thread, self.op)
    }
}

/// True if some order of `events` explains them, from `start` on.
fn linearizable(events: &[Event], start: Table) -> bool {
    let (must, mut all) = (events.len(), events.to_vec());
    for (i, event) in events.iter().enumerate().filter(|(_, event)| event.op.is_repeated()) {
        let beside = |other: &&Event| {
            matches!(other.op, Op::Assign(_))
                && other.called < event.returned
                && event.called < other.returned
        };
        all.extend(events.iter().filter(beside).map(|_| events[i]));
    }
    explained(&all, must, start)
}

/// True if some order of the first `must` events, and of none, some or all of the others, explains them.
fn explained(events: &[Event], must: usize, start: Table) -> bool {
    assert!(events.len() <= 64, "the set of operations done is one word");
    let all = u64::MAX.checked_shr(64 - must as u32).unwrap_or(0);
    let mut tried = HashSet::new();
    let mut open = vec![(0_u64, start)];
    while let Some((done, table)) = open.pop() {
        if done & all == all {
            return true;
        }
        let left = || (0..events.len()).filter(|i| done & 1 << i == 0);
        // What is called after another one returned does not come before it.
        let first_return = left().filter(|&i| i < must).map(|i| events[i].returned).min().unwrap();
        for i in left().filter(|&i| events[i].called < first_return) {
            if let Some(table) = events[i].op.on(table) {
                let next = (done | 1 << i, table);
                if tried.insert(next) {
                    open.push(next);
                }
            }
        }
    }
    false
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    /// What a thread is going to do; `value` is its own. Half of it reads.
    ///
    /// Of `environ` itself there is one assignment in thirty changes: where there are more, little is left to say of the changes beside them.
    fn op(&mut self, value: u16) -> Op {
        let name = self.below(NAMES.len());
        match self.below(64) {
            0..30 => Op::Get(name, value), // (which says how)
            30..42 => Op::Set(name, value),
            42..46 => Op::SetNew(name, value),
            46..50 => Op::Put(name, value),
            50..58 => Op::Unset(name),
            58 => Op::Clear,
            59 => Op::Assign(value),
            _ => Op::Snapshot(Table::default()),
        }
    }
}

#[derive(Default)]
struct Env {
    head: Head,
    store: Store,
}

/// A number for each invocation and response, in their order.
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// The strings that are put: `A=p17`. They live for ever, and nobody edits them.
fn puttable(name: usize, value: u16) -> *mut c_char {
    static STRINGS: OnceLock<Vec<CString>> = OnceLock::new();
    let strings = STRINGS.get_or_init(|| {
        let all = (0..VALUES).flat_map(|value| NAMES.map(|name| format!("{name}=p{value}")));
        all.map(|string| CString::new(string).unwrap()).collect()
    });
    strings[usize::from(value) * NAMES.len() + name].as_ptr().cast_mut()
}

/// A list of the program's own, which lives for ever.
fn own_list(entry: *mut c_char) -> *const Slot {
    #[cfg(shuttle)]
    return Box::leak(Box::new([entry, std::ptr::null_mut()].map(|entry| Slot::holding(entry)))).as_ptr();
    #[cfg(not(shuttle))]
    Box::leak(Box::new([entry, std::ptr::null_mut()])).as_ptr().cast()
}

impl Env {
    fn set(&self, name: &str, value: &str, overwrite: bool) {
        // SAFETY: nobody but this store and its own lists.
        unsafe { self.store.set(&self.head, name.as_bytes(), value.as_bytes(), overwrite) }.unwrap();
    }

    /// Does `op` and fills in what it reads.
    fn perform(&self, op: Op) -> Op {
        // SAFETY: as for `set`; put strings live for ever; values read are strings of this store or put ones.
        unsafe {
            match op {
                Op::Get(name, value) => {
                    let wanted = NAMES[name].as_bytes();
                    // By a plain scan and with hints, in turn.
                    let found = match value % 2 {
                        0 => self.head.get(wanted),
                        _ => self.store.value(&self.head, wanted),
                    };
                    return Op::Get(name, found.map_or(0, |at| number(at)));
                }
                Op::Snapshot(_) => return Op::Snapshot(self.snapshot()),
                Op::Set(name, value) => self.set(NAMES[name], &format!("v{value}"), true),
                Op::SetNew(name, value) => self.set(NAMES[name], &format!("v{value}"), false),
                Op::Put(name, value) => self.store.put(&self.head, puttable(name, value)).unwrap(),
                Op::Unset(name) => self.store.unset(&self.head, NAMES[name].as_bytes()).unwrap(),
                Op::Clear => self.store.clear(&self.head).unwrap(),
                Op::Assign(value) => self.head.assign(own_list(puttable(0, value))),
            }
        }
        op
    }

    fn record(&self, thread: usize, op: Op) -> Event {
        let called = CLOCK.fetch_add(1, SeqCst);
        let op = self.perform(op);
        Event { thread, op, called, returned: CLOCK.fetch_add(1, SeqCst) }
    }

    /// The variables, at one moment.
    fn snapshot(&self) -> Table {
        let mut entries = [std::ptr::null(); 512];
        // SAFETY: as for `set`.
        let count = unsafe { self.store.snapshot(&self.head, &mut entries) };
        let mut table = Table::default();
        for &entry in &entries[..count] {
            // SAFETY: an entry; its value follows its one-letter name and `=`.
            let (entry, value) = unsafe { (CStr::from_ptr(entry).to_str().unwrap(), entry.add(2)) };
            if let Some(name) = NAMES.iter().position(|name| entry.starts_with(&format!("{name}="))) {
                assert_eq!(table[name], 0, "{entry} comes twice in a snapshot");
                // SAFETY: as above.
                table[name] = unsafe { number(value) };
            }
        }
        table
    }
}

/// The number in `v17` or `p17`.
///
/// # Safety
/// - `value` is terminated.
unsafe fn number(value: *const c_char) -> u16 {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(value) }.to_str().unwrap()[1..].parse().unwrap()
}

fn check(events: &[Event], start: Table, seed: u64) {
    if !linearizable(events, start) {
        let mut events = events.to_vec();
        events.sort_by_key(|event| event.called);
        let lines: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
        panic!("no order explains this history (SEED={seed}), from {start:?} on:\n{}", lines.join("\n"));
    }
}

fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect(name))
}

#[cfg(not(shuttle))]
mod threads {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    const THREADS: usize = 3;
    const OPS: usize = 6;
    /// Histories on one store, one after the other.
    const BATCH: usize = if cfg!(miri) { 2 } else { 100 };
    const _: () = assert!(BATCH * THREADS * OPS < VALUES);

    /// Waits until all threads are in step `step`.
    fn meet(steps: &AtomicUsize, step: usize) {
        steps.fetch_add(1, SeqCst);
        let mut spins = 0;
        while steps.load(SeqCst) < step * THREADS {
            spins += 1;
            if spins % 64 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    /// Other variables before, between and after ours: scans take longer, and the array grows now and then.
    fn fill(env: &Env, random: &mut Random) {
        for _ in 0..random.below(160) {
            env.set(&format!("F{}", random.below(150)), "", true);
        }
    }

    fn batch(seed: u64) {
        let env = Env::default();
        let steps = AtomicUsize::new(0);
        let (sender, histories) = mpsc::channel::<(usize, Option<Table>, Vec<Event>)>();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (env, steps, sender) = (&env, &steps, sender.clone());
                scope.spawn(move || {
                    let mut random = Random(seed ^ (thread as u64 + 1) << 56);
                    for history in 0..BATCH {
                        let mut start = None;
                        if thread == 0 {
                            if random.below(4) == 0 {
                                fill(env, &mut random);
                            }
                            start = Some(env.snapshot());
                        }
                        meet(steps, 2 * history + 1);
                        let events = (0..OPS).map(|i| {
                            let value = 1 + ((history * THREADS + thread) * OPS + i) as u16;
                            let op = random.op(value);
                            for _ in 0..random.below(60) {
                                std::hint::spin_loop();
                            }
                            env.record(thread, op)
                        });
                        let events = events.collect();
                        meet(steps, 2 * history + 2);
                        sender.send((history, start, events)).unwrap();
                    }
                });
            }
        });
        drop(sender);
        let mut all = vec![(Table::default(), Vec::new()); BATCH];
        for (history, start, events) in histories {
            all[history].0 = start.unwrap_or(all[history].0);
            all[history].1.extend(events);
        }
        for (start, events) in all {
            check(&events, start, seed);
        }
    }

    fn run(histories: usize) {
        let first = env_number("SEED").unwrap_or_else(|| std::process::id().into());
        println!("SEED={first}");
        for i in 0..histories.div_ceil(BATCH) {
            // The seed of a failed batch is the first of the run that repeats it.
            batch(first + i as u64);
        }
    }

    #[test]
    fn histories_are_linearizable() {
        run(if cfg!(miri) { 2 } else { 500 });
    }

    #[test]
    #[ignore = "a campaign: minutes"]
    fn campaign() {
        let histories = env_number("HISTORIES").unwrap_or(100_000) as usize;
        let started = std::time::Instant::now();
        run(histories);
        println!("{histories} histories in {:?}", started.elapsed());
    }
}

#[cfg(shuttle)]
mod shuttled {
    use super::*;
    use shuttle::rand::RngCore;
    use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
    use std::sync::{Arc, Mutex};

    const THREADS: usize = 3;
    const OPS: usize = 5;

    fn run(scheduler: impl Scheduler + 'static, seed: u64) {
        let mut config = shuttle::Config::new();
        config.stack_size = 0x20_000;
        shuttle::Runner::new(scheduler, config).run(move || {
            mtsafe_env_core::reset();
            let env = Arc::new(Env::default());
            for name in 0..shuttle::rand::thread_rng().next_u32() as usize % 4 {
                env.set(["A", "F", "G", "B"][name], "v1000", true);
            }
            // Loom's arrays have four slots: growth is never far.
            let start = env.snapshot();
            let events = Arc::new(Mutex::new(Vec::new()));
            // Half of the scenes have one writer of one variable and two who read it: more of them are interesting.
            let roles = shuttle::rand::thread_rng().next_u32() % 2 == 0;
            let threads = (0..THREADS).map(|thread| {
                let (env, events) = (env.clone(), events.clone());
                shuttle::thread::spawn(move || {
                    let mut random = Random(shuttle::rand::thread_rng().next_u64());
                    for i in 0..OPS {
                        let op = match (random.op((1 + thread * OPS + i) as u16), roles, thread) {
                            (op, false, _) => op,
                            (_, true, 0) if random.below(2) == 0 => Op::Unset(random.below(2)),
                            (_, true, 0) => Op::Set(0, (1 + i) as u16),
                            (_, true, _) => Op::Get(0, i as u16),
                        };
                        let event = env.record(thread, op);
                        events.lock().unwrap().push(event);
                    }
                })
            });
            threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
            check(&events.lock().unwrap(), start, seed);
        });
    }

    fn histories() -> usize {
        env_number("HISTORIES").unwrap_or(20_000) as usize
    }

    #[test]
    fn histories_are_linearizable_under_random_schedules() {
        let seed = env_number("SEED").unwrap_or_else(|| std::process::id().into());
        run(RandomScheduler::new_from_seed(seed, histories()), seed);
    }

    #[test]
    fn histories_are_linearizable_under_few_switches() {
        let seed = env_number("SEED").unwrap_or_else(|| std::process::id().into());
        run(PctScheduler::new_from_seed(seed, 4, histories()), seed);
    }
}

// The checker.

fn event(thread: usize, called: u64, returned: u64, op: Op) -> Event {
    Event { thread, op, called, returned }
}

#[test]
fn the_checker_accepts_what_can_be_explained() {
    use Op::{Assign, Clear, Get, Put, Set, SetNew, Snapshot, Unset};
    for events in [
        vec![],
        vec![event(0, 0, 1, Set(0, 1)), event(0, 2, 3, Get(0, 1))],
        // While a set runs, either value is right, first the old one.
        vec![event(0, 0, 9, Set(0, 1)), event(1, 1, 2, Get(0, 0)), event(1, 3, 4, Get(0, 1))],
        // Overlapping reads may disagree.
        vec![event(0, 0, 9, Set(0, 1)), event(1, 1, 4, Get(0, 1)), event(2, 2, 3, Get(0, 0))],
        vec![
            event(0, 0, 1, Put(0, 1)),
            event(0, 2, 5, Unset(0)),
            event(1, 3, 4, SetNew(0, 2)),
            event(1, 6, 7, Get(0, 2)),
        ],
        vec![event(0, 0, 1, Set(0, 1)), event(0, 2, 3, SetNew(0, 2)), event(0, 4, 5, Snapshot([1, 0, 0]))],
        vec![event(0, 0, 1, Set(2, 1)), event(0, 2, 3, Clear), event(0, 4, 5, Get(2, 0))],
        // A change that was seen in the list that went, and made again in the new one.
        vec![
            event(0, 0, 9, Set(0, 1)),
            event(1, 1, 2, Get(0, 1)),
            event(2, 3, 4, Assign(5)),
            event(1, 5, 6, Get(0, 5)),
            event(1, 7, 8, Get(0, 1)),
        ],
    ] {
        assert!(linearizable(&events, [0; 3]), "{events:?}");
    }
}

#[test]
fn the_checker_rejects_what_cannot() {
    use Op::{Assign, Clear, Get, Set, SetNew, Snapshot, Unset};
    for events in [
        // A value that nobody gave.
        vec![event(0, 0, 1, Get(0, 7))],
        // A lost variable, a stale one.
        vec![event(0, 0, 1, Set(0, 1)), event(1, 2, 3, Get(0, 0))],
        vec![event(0, 0, 1, Set(0, 1)), event(0, 2, 3, Set(0, 2)), event(1, 4, 5, Get(0, 1))],
        // One that comes back.
        vec![
            event(0, 0, 1, Set(0, 1)),
            event(0, 2, 9, Unset(0)),
            event(1, 3, 4, Get(0, 0)),
            event(1, 5, 6, Get(0, 1)),
        ],
        vec![event(0, 0, 1, Set(0, 1)), event(0, 2, 3, Clear), event(1, 4, 5, Get(0, 1))],
        // Found by one reader, then missed by the next: what Solaris's order of stores allows.
        vec![event(0, 0, 9, Set(0, 1)), event(1, 1, 3, Get(0, 1)), event(2, 4, 5, Get(0, 0))],
        // A set that overwrote though it must not.
        vec![event(0, 0, 1, Set(0, 1)), event(0, 2, 3, SetNew(0, 2)), event(0, 4, 5, Get(0, 2))],
        // A change that was lost to an assignment beside it, or made twice though that was over before.
        vec![
            event(0, 0, 3, Set(0, 1)),
            event(1, 1, 2, Assign(5)),
            event(0, 4, 5, Unset(0)),
            event(0, 6, 7, Get(0, 5)),
        ],
        vec![
            event(2, 0, 1, Assign(5)),
            event(0, 2, 11, Set(0, 1)),
            event(1, 3, 4, Get(0, 1)),
            event(2, 5, 6, Unset(0)),
            event(1, 7, 8, Get(0, 0)),
            event(1, 9, 10, Get(0, 1)),
        ],
        // A snapshot of two moments.
        vec![event(0, 0, 1, Set(0, 1)), event(0, 2, 3, Set(1, 2)), event(1, 0, 9, Snapshot([0, 2, 0]))],
        // Two readers that disagree about the order of two writers.
        vec![
            event(0, 0, 9, Set(0, 1)),
            event(1, 0, 9, Set(0, 2)),
            event(2, 1, 2, Get(0, 1)),
            event(2, 3, 4, Get(0, 2)),
            event(3, 5, 6, Get(0, 1)),
        ],
    ] {
        assert!(!linearizable(&events, [0; 3]), "{events:?}");
    }
}

/// Small random histories, right and wrong ones, against every order of their operations.
#[test]
fn the_checker_agrees_with_trying_every_order() {
    /// True if some order of the events not in `done` goes on from `table`.
    fn any_order(events: &[Event], done: &mut Vec<usize>, table: Table) -> bool {
        done.len() == events.len()
            || (0..events.len()).any(|i| {
                let late = |j: &usize| events[i].returned < events[*j].called;
                if done.contains(&i) || done.iter().any(late) {
                    return false;
                }
                events[i].op.on(table).is_some_and(|table| {
                    done.push(i);
                    let found = any_order(events, done, table);
                    done.pop();
                    found
                })
            })
    }
    let mut random = Random(1);
    let mut accepted = 0;
    for _ in 0..3_000 {
        let events: Vec<Event> = (0..5)
            .map(|i| {
                let called = random.below(10) as u64 * 2;
                let op = match random.op(i as u16 + 1) {
                    Op::Get(name, _) => Op::Get(name % 2, random.below(6) as u16),
                    Op::Snapshot(_) => Op::Snapshot([random.below(3) as u16, 0, 0]),
                    Op::Assign(_) => Op::Clear, // explained below
                    other => other,
                };
                event(i, called, called + 1 + random.below(8) as u64 * 2, op)
            })
            .collect();
        let found = linearizable(&events, [0; 3]);
        assert_eq!(found, any_order(&events, &mut Vec::new(), [0; 3]), "{events:?}");
        accepted += usize::from(found);
    }
    assert!((100..2_900).contains(&accepted), "{accepted} of 3000 accepted: one-sided");
}
