//! Every interleaving and every weak-memory outcome of small scenes, by loom. The code explored is the code that ships.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --profile loom --test loom --target-dir target/loom
//! ```
//!
//! Each model prints how many executions it explored; one that explored a single one fails. Models marked `bounded` have millions
//! of executions: of these, the ones with at most `LOOM_MAX_PREEMPTIONS` (default 2) involuntary thread switches are explored.
//! The others are explored whole. The run takes half a minute.
//!
//! # Adding a model
//! A model is a property that must hold in every execution, so its name is a sentence. Call `env.writer()` if the main thread
//! is the only one that stores (then its loads do not blunt loom's search: see `sync`), spawn the *readers*, and let the main
//! thread write. A model must forbid something: see it fail on a mutant (`tests/mutants.py`) before it counts.
//!
//! Arrays have four slots here (three entries and the terminator) until they grow.
#![cfg(all(loom, not(shuttle)))]

use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::thread::{self, JoinHandle};
use mtsafe_env_core::{Head, Slot, Store, sole_writer, wrote};
use std::ffi::{CStr, c_char};
use std::io::Write;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize as Count, Ordering::Relaxed};

/// A head and its store; clones are the same one.
#[derive(Clone)]
struct Env(Arc<(Head, Store)>);

impl Env {
    fn head(&self) -> &Head {
        &self.0.0
    }

    fn store(&self) -> &Store {
        &self.0.1
    }

    /// The calling thread is the only one that stores from now on.
    fn writer(&self) {
        sole_writer();
    }

    /// Makes the list of `entries`, in this order.
    fn fill(&self, entries: &[&str]) {
        for entry in entries.iter().rev() {
            let (name, value) = entry.split_once('=').unwrap();
            self.set(name, value);
        }
    }

    fn set(&self, name: &str, value: &str) {
        // SAFETY: lists of ours, and `Foreign` ones, are proper.
        unsafe { self.store().set(self.head(), name.as_bytes(), value.as_bytes(), true) }.unwrap();
    }

    fn put(&self, entry: &'static CStr) {
        self.put_string(entry.as_ptr());
    }

    fn put_string(&self, entry: *const c_char) {
        // SAFETY: as above; the strings of the models live as long as they are used.
        unsafe { self.store().put(self.head(), entry.cast_mut()) }.unwrap();
    }

    fn unset(&self, name: &str) {
        // SAFETY: as above.
        unsafe { self.store().unset(self.head(), name.as_bytes()) }.unwrap();
    }

    fn clear(&self) {
        // SAFETY: as above.
        unsafe { self.store().clear(self.head()) }.unwrap();
    }

    /// Where the value of `name` lies.
    fn at(&self, name: &str) -> Option<*const c_char> {
        // SAFETY: as above.
        unsafe { self.head().get(name.as_bytes()) }
    }

    fn get(&self, name: &str) -> Option<&'static str> {
        // SAFETY: entries live as long as the execution, and all of them are ASCII here.
        self.at(name).map(|value| unsafe { text(value) })
    }

    /// The same with hints.
    fn value(&self, name: &str) -> Option<&'static str> {
        // SAFETY: as for `set` and `get`.
        unsafe { self.store().value(self.head(), name.as_bytes()).map(|value| text(value)) }
    }

    /// All entries as of one moment, sorted.
    fn snapshot(&self) -> Vec<&'static str> {
        let mut entries = [std::ptr::null(); 8];
        // SAFETY: as for `set`.
        let count = unsafe { self.store().snapshot(self.head(), &mut entries) };
        // SAFETY: as for `get`.
        let mut entries: Vec<_> = entries[..count].iter().map(|&entry| unsafe { text(entry) }).collect();
        entries.sort_unstable();
        entries
    }

    /// `environ = list`, by the program.
    fn assign(&self, list: &Foreign) {
        // SAFETY: a proper list, kept alive by the model.
        unsafe { self.head().assign(list.as_ptr()) };
    }

    /// The same beside a thread that changes the list.
    fn assign_beside(&self, list: &Foreign) {
        self.head().assign_beside_exchange(list.as_ptr());
    }

    /// `environ[i] = entry`, by the program; the list has an `i`th entry or ends there.
    fn store_at(&self, i: usize, entry: Option<&'static CStr>) {
        // SAFETY: the models pass places inside the list.
        let slot = unsafe { &*self.head().slot(i) };
        slot.assign(entry.map_or(std::ptr::null(), CStr::as_ptr));
    }

    fn spawn(&self, body: impl FnOnce(Env) + 'static) -> JoinHandle<()> {
        let env = self.clone();
        thread::spawn(move || body(env))
    }
}

/// # Safety
/// - `string` is ASCII, terminated, and stays.
unsafe fn text(string: *const c_char) -> &'static str {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_str().unwrap()
}

/// An array of the program's own, or the kernel's: from the given slot on.
struct Foreign(Vec<Slot>, usize);

impl Deref for Foreign {
    type Target = [Slot];
    fn deref(&self) -> &[Slot] {
        &self.0[self.1..]
    }
}

/// A list of the kernel's: its strings lie one behind the other.
fn initial(entries: &[&str]) -> Arc<Foreign> {
    // With what `wide` may read past a name, and more.
    let text = Box::leak((entries.join("\0") + &"\0".repeat(101)).into_boxed_str());
    let (start, len) = (text.as_mut_ptr(), text.len());
    mtsafe_env_core::set_initial_strings(start.addr() - 1..start.addr() + len);
    let each = entries.iter().scan(start, |at, entry| {
        let behind = at.wrapping_add(entry.len() + 1);
        Some(std::mem::replace(at, behind).cast::<c_char>().cast_const())
    });
    // Room around it, as around the kernel's: a group is read whole.
    let none = || [std::ptr::null(); 2].into_iter();
    Arc::new(Foreign(none().chain(each).chain(none()).chain(none()).map(Slot::holding).collect(), 2))
}

fn foreign(entries: &[&'static CStr]) -> Arc<Foreign> {
    let ends = [std::ptr::null()];
    Arc::new(Foreign(entries.iter().map(|e| e.as_ptr()).chain(ends).map(Slot::holding).collect(), 0))
}

/// Explores `scene`, prints the number of executions, and refuses a model that explores nothing.
fn explore(name: &str, bounded: bool, scene: impl Fn(Env) + Send + Sync + 'static) {
    explore_with(Store::new, name, bounded.then_some(usize::MAX), scene);
}

/// The same with this kind of store, and at most so many switches where it is bounded.
fn explore_with(
    store: fn() -> Store,
    name: &str,
    most: Option<usize>,
    scene: impl Fn(Env) + Send + Sync + 'static,
) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = most.map(|most| builder.preemption_bound.unwrap_or(2).min(most));
    builder.max_branches = 10_000;
    let started = std::time::Instant::now();
    let executions = std::sync::Arc::new(Count::new(0));
    let count = executions.clone();
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        mtsafe_env_core::reset();
        scene(Env(Arc::new((Head::new(), store()))));
    });
    let executions = executions.load(Relaxed);
    // Past libtest's capture, so that the counts are always seen.
    let seconds = started.elapsed().as_secs_f32();
    let note = if most.is_some() { " (bounded)" } else { "" };
    writeln!(std::io::stderr(), "{executions:>9} executions {seconds:>6.2} s {name}{note}").unwrap();
    assert!(executions > 1, "{name} explores a single execution, so it shows nothing");
}

macro_rules! models {
    (@ bounded) => { true };
    (@) => { false };
    ($($(#[$meta:meta])* $name:ident $($bounded:ident)? |$env:ident| $scene:block)*) => {
        $(
            $(#[$meta])*
            #[test]
            fn $name() {
                explore(stringify!($name), models!(@ $($bounded)?), |$env| $scene);
            }
        )*
    };
}

/// The history of one variable: reads of it, each one after the one before, may stay or go on, never back.
struct History(&'static [Option<&'static str>]);

impl History {
    fn place(&self, value: Option<&str>) -> usize {
        self.0.iter().position(|&v| v == value).unwrap_or_else(|| panic!("{value:?} was never the value"))
    }

    /// Reads `name` `times` times.
    fn check(&self, env: &Env, name: &str, times: usize) {
        let mut at = 0;
        for _ in 0..times {
            let value = env.get(name);
            let now = self.place(value);
            assert!(now >= at, "{:?}, then {value:?}", self.0[at]);
            at = now;
        }
    }
}

fn finds_x(env: Env) {
    assert_eq!(env.get("X"), Some("9"));
}

// A variable that nobody touches is always found.
models! {
    /// The remove moves X up; the add reuses its old slot.
    a_bystander_survives_a_reused_slot |env| {
        env.fill(&["X=9", "Y=1"]);
        env.writer();
        let reader = env.spawn(finds_x);
        env.unset("Y");
        env.set("P", "1");
        reader.join().unwrap();
    }

    two_readers_find_a_bystander bounded |env| {
        env.fill(&["X=9", "Y=1"]);
        env.writer();
        let readers = [env.spawn(finds_x), env.spawn(finds_x)];
        env.unset("Y");
        env.set("P", "1");
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    }

    a_bystander_survives_two_removes_and_two_adds |env| {
        env.fill(&["X=9", "Y=1", "Z=1"]);
        env.writer();
        let reader = env.spawn(finds_x);
        env.unset("Y");
        env.unset("Z");
        env.set("P", "1");
        env.set("Q", "1");
        reader.join().unwrap();
    }

    a_bystander_survives_a_remove |env| {
        env.fill(&["Y=1", "X=9", "Z=1"]);
        env.writer();
        let reader = env.spawn(finds_x);
        env.unset("Z"); // Y moves behind X
        env.unset("Y");
        reader.join().unwrap();
    }

    a_bystander_survives_an_add |env| {
        env.fill(&["X=9"]);
        env.writer();
        let reader = env.spawn(finds_x);
        env.set("A", "1");
        reader.join().unwrap();
    }

    a_bystander_survives_a_replace |env| {
        env.fill(&["A=1", "X=9", "B=1"]);
        env.writer();
        let reader = env.spawn(finds_x);
        env.set("A", "2");
        env.set("B", "2");
        reader.join().unwrap();
    }

    /// X moves up and is then given another value: the sweep overwrites what it left, and the value is ahead of the reader.
    a_variable_survives_the_sweep |env| {
        env.fill(&["X=9", "Y=1", "W=1"]);
        env.writer();
        let reader = env.spawn(|env| History(&[Some("9"), Some("8")]).check(&env, "X", 2));
        env.unset("Y");
        env.set("X", "8");
        reader.join().unwrap();
    }

    a_bystander_survives_growth |env| {
        env.fill(&["A=1", "X=9", "B=1"]);
        env.writer();
        let reader = env.spawn(finds_x);
        env.set("C", "1");
        env.unset("A");
        reader.join().unwrap();
    }

    /// The program ends the list early; the next add closes the gap.
    a_bystander_survives_compaction |env| {
        env.fill(&["A=1", "X=9", "B=1"]);
        env.writer();
        env.store_at(2, None);
        let reader = env.spawn(finds_x);
        env.set("C", "1");
        reader.join().unwrap();
    }

    /// The program ends the list early; the gap is closed, and then X gets another value: below the head, its slot is swept.
    a_bystander_survives_a_sweep_after_a_cut |env| {
        env.fill(&["X=9", "A=1", "B=1", "C=1", "D=1", "E=1", "F=1"]);
        env.writer();
        env.store_at(1, None);
        let reader = env.spawn(|env| assert!(matches!(env.get("X"), Some("9" | "8"))));
        env.set("G", "1");
        env.set("X", "8");
        reader.join().unwrap();
    }

    /// A reader in a list that the program made, while it is copied into ours and changed there.
    adoption_hides_nothing |env| {
        let list = foreign(&[c"A=1", c"X=9"]);
        env.assign(&list);
        env.writer();
        let reader = env.spawn(finds_x);
        env.set("B", "1");
        reader.join().unwrap();
    }

    /// The same where the program left a gap in our array.
    readoption_closes_a_gap |env| {
        env.fill(&["X=9", "A=1", "B=1"]);
        env.writer();
        let list = foreign(&[c"Z=1", c"X=9"]);
        let reader = env.spawn(finds_x);
        env.store_at(1, None);
        env.assign(&list);
        env.set("Z", "2");
        assert_eq!(env.snapshot(), ["X=9", "Z=2"]);
        reader.join().unwrap();
    }

    /// A reader in our array, while the program assigns a list that also has X, and that list is edited into our array.
    a_stale_reader_survives_readoption |env| {
        env.fill(&["Y=1", "X=9"]);
        env.writer();
        let list = foreign(&[c"X=9", c"Z=1"]);
        let reader = env.spawn(finds_x);
        env.assign(&list);
        env.set("P", "1");
        reader.join().unwrap();
    }
}

/// Readers that load `environ` once and then do not go upwards slot by slot, as ours and libc's do: by plain loads, which nothing orders.
#[derive(Clone, Copy)]
enum Kind {
    /// Counts up to the null, then copies up to the null (GLib, Java): not more than it counted.
    CountsAndCopies,
    /// Counts, then goes downwards (the kernel, which copies the list for a child).
    Downwards,
    /// Counts, then loads in some order that is neither (a walk where loads are reordered).
    AnyOrder,
    /// Loads each slot twice: the name by one load, the value by the next (musl's `getenv`).
    LoadsTwice,
}

impl Kind {
    /// Reads, and asserts what this kind relies on: X=9, which nobody touches, is there.
    fn read(self, env: &Env) {
        let first = env.head().first();
        // SAFETY: slots of the list, up to its terminator, or what follows in its array.
        let load = |i: usize| unsafe { &*first.add(i) }.peek();
        let count = (0..).take_while(|&i| !load(i).is_null()).count();
        // SAFETY: entries of the models' lists.
        let is_x = |entry: *const c_char| !entry.is_null() && unsafe { text(entry) } == "X=9";
        match self {
            Kind::CountsAndCopies => {
                let copied = (0..).take_while(|&i| !load(i).is_null()).count();
                assert!(copied <= count, "counted {count}, copied {copied}");
            }
            Kind::Downwards => assert!((0..count).rev().any(|i| is_x(load(i))), "X is lost downwards"),
            Kind::AnyOrder => {
                // All are loaded, the odd ones first.
                let loaded: Vec<_> = (1..count).step_by(2).chain((0..count).step_by(2)).map(load).collect();
                assert!(loaded.into_iter().any(is_x), "X is lost in some order");
            }
            Kind::LoadsTwice => {
                for i in 0..count {
                    let name = load(i);
                    let value = load(i);
                    assert!(name.is_null() || !value.is_null(), "null where an entry was");
                    assert!(!is_x(name) || is_x(value), "X has another's value");
                }
            }
        }
    }
}

/// One model for each move and kind of reader.
macro_rules! readers {
    ($($move:ident [$($entry:literal),*] |$env:ident| $change:block)*) => {
        $(
            mod $move {
                use super::*;

                fn beside(kind: Kind, name: &str) {
                    explore(name, true, move |$env| {
                        $env.fill(&[$($entry),*]);
                        $env.writer();
                        let reader = $env.spawn(move |env| kind.read(&env));
                        $change
                        reader.join().unwrap();
                    });
                }

                #[test]
                fn who_counts_and_copies_gets_no_more() {
                    beside(Kind::CountsAndCopies, concat!(stringify!($move), "::who_counts_and_copies_gets_no_more"));
                }

                #[test]
                fn who_goes_downwards_misses_nothing() {
                    beside(Kind::Downwards, concat!(stringify!($move), "::who_goes_downwards_misses_nothing"));
                }

                #[test]
                fn who_keeps_no_order_misses_nothing() {
                    beside(Kind::AnyOrder, concat!(stringify!($move), "::who_keeps_no_order_misses_nothing"));
                }

                #[test]
                fn who_loads_twice_gets_one_value() {
                    beside(Kind::LoadsTwice, concat!(stringify!($move), "::who_loads_twice_gets_one_value"));
                }
            }
        )*
    };
}

readers! {
    adding ["A=1", "X=9"] |env| {
        env.set("B", "1");
    }
    // X is first, and fills the gap; the slot that it leaves is next to the head.
    removing_and_adding ["X=9", "A=1"] |env| {
        env.unset("A");
        env.set("B", "1");
    }
    removing_the_first_and_adding ["A=1", "X=9"] |env| {
        env.unset("A");
        env.set("B", "1");
    }
    toggling_an_old_one ["X=9", "B=1", "A=1"] |env| {
        env.unset("A");
        env.set("A", "2");
    }
    removing_and_replacing ["X=9", "B=1", "A=1"] |env| {
        env.unset("A");
        env.set("B", "2");
    }
    removing_one_in_between ["X=9", "B=1", "A=1"] |env| {
        env.unset("B");
    }
    removing_two ["X=9", "B=1", "A=1"] |env| {
        env.unset("A");
        env.unset("B");
    }
    growing ["X=9", "B=1", "A=1"] |env| {
        env.set("C", "1");
        env.set("D", "1");
    }
}

// What a reader finds is whole.
models! {
    an_entry_is_whole |env| {
        env.fill(&["X=1"]);
        env.writer();
        let reader = env.spawn(|env| assert!(matches!(env.get("X"), Some("1" | "2"))));
        env.set("X", "2");
        reader.join().unwrap();
    }

    /// Seen in a slot that the list had left, so without the new head.
    an_added_entry_is_whole |env| {
        env.fill(&["X=1", "Z=1"]);
        env.writer();
        let reader = env.spawn(|env| assert!(matches!(env.get("Y"), None | Some("2"))));
        env.unset("Z");
        env.set("Y", "2");
        reader.join().unwrap();
    }

    /// Also its entries: the program wrote them just before.
    an_assigned_list_is_seen_whole |env| {
        env.fill(&["X=9"]);
        env.writer();
        let reader = env.spawn(finds_x);
        let list = foreign(&[c"A=1", c"X=9"]);
        wrote(c"A=1".as_ptr());
        env.assign(&list);
        reader.join().unwrap();
    }

    /// The first change ever: from no list at all.
    a_first_list_is_seen_whole |env| {
        env.writer();
        let reader = env.spawn(|env| assert!(matches!(env.get("X"), None | Some("1"))));
        env.set("X", "1");
        reader.join().unwrap();
    }
}

// One reader, and readers one after the other, see a variable's values in the order in which they were given.
models! {
    a_value_never_goes_back |env| {
        env.fill(&["Y=1", "X=1"]);
        env.writer();
        let reader = env.spawn(|env| History(&[Some("1"), Some("2"), Some("3")]).check(&env, "X", 2));
        env.set("X", "2");
        env.unset("Y");
        env.set("X", "3");
        reader.join().unwrap();
    }

    a_value_never_goes_back_over_growth |env| {
        env.fill(&["A=1", "X=1", "B=1"]);
        env.writer();
        let reader = env.spawn(|env| History(&[Some("1"), Some("2")]).check(&env, "X", 2));
        env.set("C", "1");
        env.set("X", "2");
        reader.join().unwrap();
    }

    /// The first reader may be in slots that the list has left; the second one starts when the first is done.
    a_value_never_goes_back_between_readers bounded |env| {
        const X: History = History(&[Some("1"), Some("2")]);
        env.fill(&["X=1", "Y=1"]);
        env.writer();
        let seen = Arc::new(AtomicUsize::new(0));
        let first = env.spawn({
            let seen = seen.clone();
            move |env| seen.store(X.place(env.get("X")), Release)
        });
        let second = env.spawn(move |env| {
            let before = seen.load(Acquire);
            assert!(X.place(env.get("X")) >= before);
        });
        env.unset("Y");
        env.set("X", "2");
        first.join().unwrap();
        second.join().unwrap();
    }

    an_added_variable_stays_found |env| {
        env.fill(&["X=9", "Y=1"]);
        env.writer();
        let reader = env.spawn(|env| History(&[None, Some("1")]).check(&env, "P", 2));
        env.unset("Y");
        env.set("P", "1");
        reader.join().unwrap();
    }

    an_added_variable_stays_found_by_the_next_reader bounded |env| {
        env.fill(&["X=9", "Y=1"]);
        env.writer();
        let found = Arc::new(AtomicUsize::new(0));
        let first = env.spawn({
            let found = found.clone();
            move |env| found.store(usize::from(env.get("P").is_some()), Release)
        });
        let second = env.spawn(move |env| {
            if found.load(Acquire) == 1 {
                assert_eq!(env.get("P"), Some("1"));
            }
        });
        env.unset("Y");
        env.set("P", "1");
        first.join().unwrap();
        second.join().unwrap();
    }

    /// What the writer did before it told of it is seen by whom it told.
    a_change_told_of_is_seen |env| {
        env.fill(&["X=1", "Y=1"]);
        env.writer();
        let told = Arc::new(AtomicUsize::new(0));
        let reader = env.spawn({
            let told = told.clone();
            move |env| {
                if told.load(Acquire) == 1 {
                    assert_eq!([env.get("X"), env.get("Y"), env.get("P")], [Some("2"), None, Some("1")]);
                }
            }
        });
        env.set("X", "2");
        env.unset("Y");
        env.set("P", "1");
        told.store(1, Release);
        reader.join().unwrap();
    }

    /// Its old slot is used again, and then the array is replaced.
    an_unset_is_final |env| {
        env.fill(&["X=1", "A=1", "B=1"]);
        env.writer();
        let reader = env.spawn(|env| History(&[Some("1"), None]).check(&env, "X", 2));
        env.unset("X");
        env.set("P", "1");
        env.set("Q", "1");
        reader.join().unwrap();
    }

    /// It was never the variable's value.
    a_duplicate_is_never_uncovered |env| {
        env.fill(&["X=1", "A=1", "Y=1"]);
        env.writer();
        env.store_at(2, Some(c"X=2"));
        let reader = env.spawn(|env| History(&[Some("1"), None]).check(&env, "X", 2));
        env.unset("X");
        reader.join().unwrap();
    }

    /// Also not by a replace.
    a_duplicate_is_not_uncovered_by_set |env| {
        env.fill(&["X=1", "A=1", "Y=1"]);
        env.writer();
        env.store_at(2, Some(c"X=2"));
        let reader = env.spawn(|env| History(&[Some("1"), Some("3")]).check(&env, "X", 2));
        env.set("X", "3");
        env.unset("A");
        reader.join().unwrap();
    }

    /// X=1 is first, and another is removed that lies behind X=2: moving X=1 there would make X=2 the value.
    a_remove_moves_nothing_behind_its_duplicate |env| {
        env.fill(&["X=1", "A=1", "Y=1"]);
        env.writer();
        env.store_at(1, Some(c"X=2"));
        let reader = env.spawn(|env| History(&[Some("1")]).check(&env, "X", 2));
        env.unset("Y");
        reader.join().unwrap();
        assert_eq!(env.get("X"), Some("1"));
    }

    /// The add after it reuses Y's slot.
    a_cleared_list_stays_cleared |env| {
        env.fill(&["X=1", "Y=1"]);
        env.writer();
        let reader = env.spawn(|env| History(&[Some("1"), None]).check(&env, "Y", 2));
        env.clear();
        env.set("X", "2");
        reader.join().unwrap();
        assert_eq!(env.snapshot(), ["X=2"]);
    }

    /// The program assigns a list of its own, and `clear` brings ours back.
    a_foreign_list_is_cleared |env| {
        env.fill(&["X=1", "Y=1"]);
        env.writer();
        let list = foreign(&[c"X=2"]);
        let reader = env.spawn(|env| History(&[Some("1"), Some("2"), None, Some("3")]).check(&env, "X", 2));
        env.assign(&list);
        env.clear();
        env.set("X", "3");
        reader.join().unwrap();
    }

    /// A reader in our array sees what the assigned list holds at most once that was assigned.
    readoption_keeps_the_order_of_values |env| {
        env.fill(&["X=1", "Y=1"]);
        env.writer();
        let list = foreign(&[c"X=2"]);
        let reader = env.spawn(|env| History(&[Some("1"), Some("2"), Some("3")]).check(&env, "X", 2));
        env.assign(&list);
        env.set("X", "3");
        reader.join().unwrap();
    }
}

// Searches with hints. (All models above are of plain scans.)
models! {
    /// X moves within its group, which is loaded in the wrong order, and back comes another entry.
    a_bystander_survives_a_group_load bounded |env| {
        env.fill(&["X=9", "Y=1", "Z=1"]); // so many that X and Y are in one group
        env.writer();
        let reader = env.spawn(|env| assert_eq!(env.value("X"), Some("9")));
        env.unset("Y");
        env.set("P", "1");
        reader.join().unwrap();
    }

    /// X moves to another group, and back comes another entry.
    a_bystander_survives_a_move_between_groups bounded |env| {
        env.fill(&["X=9", "A=1", "Y=1"]);
        env.writer();
        let reader = env.spawn(|env| assert_eq!(env.value("X"), Some("9")));
        env.unset("Y");
        env.set("P", "1");
        reader.join().unwrap();
    }

    /// The program stored X over A, whose tag is there until X is replaced.
    what_was_stored_over_an_entry_is_found_while_it_is_replaced bounded |env| {
        env.fill(&["A=1", "Y=1"]);
        env.writer();
        env.store_at(0, Some(c"X=1"));
        let reader = env.spawn(|env| assert!(matches!(env.value("X"), Some("1" | "2"))));
        env.set("X", "2");
        reader.join().unwrap();
    }

    /// X itself is replaced, by a string of ours and by one of the program's.
    a_replaced_variable_is_found bounded |env| {
        env.fill(&["X=1", "Y=1"]);
        env.writer();
        let reader = env.spawn(|env| assert!(matches!(env.value("X"), Some("1" | "2" | "3"))));
        env.set("X", "2");
        env.put(c"X=3");
        reader.join().unwrap();
    }

    a_found_value_never_goes_back bounded |env| {
        env.fill(&["Y=1", "X=1"]);
        env.writer();
        let reader = env.spawn(|env| {
            let history = History(&[Some("1"), Some("2")]);
            let first = history.place(env.value("X"));
            assert!(first <= history.place(env.value("X")));
        });
        env.set("X", "2");
        env.unset("Y");
        reader.join().unwrap();
    }

    /// The miss is as good as the hit before it.
    an_unset_variable_stays_gone bounded |env| {
        env.fill(&["X=1", "A=1"]);
        env.writer();
        let reader = env.spawn(|env| {
            let history = History(&[Some("1"), None]);
            let first = history.place(env.value("X"));
            assert!(first <= history.place(env.value("X")));
        });
        env.unset("X");
        reader.join().unwrap();
    }

    /// Whoever looks next: a search with hints that misses is not followed by a scan that finds.
    what_a_search_misses_no_scan_finds bounded |env| {
        env.fill(&["A=1", "X=1", "B=1"]); // A takes its place
        env.writer();
        let reader = env.spawn(|env| {
            if env.value("X").is_none() {
                assert_eq!(env.get("X"), None);
            }
        });
        env.unset("X");
        reader.join().unwrap();
    }

    /// The program cut the list; what it cut off does not come back while the gap is closed.
    what_was_cut_off_stays_gone bounded |env| {
        env.fill(&["A=1", "X=1", "B=1"]);
        env.writer();
        env.store_at(1, None);
        let reader = env.spawn(|env| assert_eq!(env.value("B"), None));
        env.set("C", "1");
        reader.join().unwrap();
    }

    /// The first array, and the next one.
    new_hints_are_seen_whole bounded |env| {
        let list = foreign(&[c"X=9", c"A=1", c"B=1"]);
        env.assign(&list);
        let reader = env.spawn(|env| assert_eq!(env.value("X"), Some("9")));
        env.set("C", "1");
        reader.join().unwrap();
    }

    /// Two readers of the kernel's list: one builds, whichever.
    hints_of_readers_are_seen_whole bounded |env| {
        let list = initial(&["A=1", "X=9"]);
        env.assign(&list);
        let read = |env: Env| assert_eq!([env.value("X"), env.value("X"), env.value("N")], [Some("9"), Some("9"), None]);
        let other = env.spawn(read);
        read(env);
        other.join().unwrap();
        drop(list);
    }

    /// The first change gives one of the kernel's strings to its owner, who renames it later: what a reader noted meanwhile does not count.
    hints_of_readers_do_not_replace_a_writers bounded |env| {
        let list = initial(&["A=1", "X=9"]);
        env.assign(&list);
        let reader = env.spawn(|env| assert_eq!(env.value("X"), Some("9")));
        let string = list[0].peek();
        env.put_string(string);
        reader.join().unwrap();
        env.writer(); // to see the newest
        // SAFETY: nobody else is there any more.
        unsafe { string.cast_mut().write(b'B' as c_char) };
        assert_eq!([env.value("B"), env.value("X"), env.value("A")], [Some("1"), Some("9"), None]);
        drop(list);
    }

    /// A reader builds while a writer makes the first change.
    hints_of_readers_give_way bounded |env| {
        let list = initial(&["A=1", "X=9"]);
        env.assign(&list);
        let reader = env.spawn(|env| assert_eq!([env.value("X"), env.value("X")], [Some("9"); 2]));
        env.set("A", "2");
        reader.join().unwrap();
        env.writer(); // to see the newest, not what loom thinks might be
        assert_eq!([env.value("A"), env.value("X"), env.value("N")], [Some("2"), Some("9"), None]);
    }
}

/// Changes as in a process with one thread, beside a reader of whom nothing is known (a raw `clone`): upwards it misses nothing.
mod hidden {
    use super::*;

    fn beside(name: &str, list: [&'static str; 4], reader: fn(Env), change: fn(&Env)) {
        explore_with(Store::for_one_thread, name, Some(1), move |env| {
            list.iter().for_each(|name| env.set(name, "9"));
            let writer = env.spawn(move |env| {
                env.writer();
                change(&env);
            });
            reader(env);
            writer.join().unwrap();
        });
    }

    const AMONG: [&str; 4] = ["A", "X", "B", "C"];
    const FIRST: [&str; 4] = ["X", "A", "B", "C"];

    fn searches_for_x(env: Env) {
        assert_eq!(env.value("X"), Some("9"));
    }

    fn closes_a_gap(env: &Env) {
        env.unset("B"); // what is before it moves up
    }

    fn adds(env: &Env) {
        env.set("D", "1");
    }

    #[test]
    fn a_scan_beside_a_gap_that_is_closed() {
        beside("hidden::a_scan_beside_a_gap_that_is_closed", AMONG, finds_x, closes_a_gap);
    }

    /// Until it is copied, its slot is the first.
    #[test]
    fn a_scan_for_the_first_beside_a_gap_that_is_closed() {
        beside("hidden::a_scan_for_the_first_beside_a_gap_that_is_closed", FIRST, finds_x, closes_a_gap);
    }

    #[test]
    fn a_search_beside_a_gap_that_is_closed() {
        beside("hidden::a_search_beside_a_gap_that_is_closed", AMONG, searches_for_x, closes_a_gap);
    }

    #[test]
    fn a_scan_beside_additions() {
        beside("hidden::a_scan_beside_additions", AMONG, finds_x, adds);
    }

    #[test]
    fn a_search_beside_additions() {
        beside("hidden::a_search_beside_additions", AMONG, searches_for_x, adds);
    }
}

// What a reader noted of the kernel's strings, for a writer who finds them in a list of the program's own.
models! {
    notes_of_readers_are_seen_whole_by_writers bounded |env| {
        let list = initial(&["A=1", "X=9"]);
        env.assign(&list);
        let reader = env.spawn(|env| assert_eq!([env.value("X"), env.value("X")], [Some("9"); 2]));
        let again = [0, 1].map(|i| Slot::holding(list[i].peek())).into_iter();
        let again = Arc::new(Foreign(again.chain([Slot::holding(std::ptr::null())]).collect(), 0));
        env.assign(&again);
        // From now on no list is taken for the kernel's.
        mtsafe_env_core::set_initial_strings(0..0);
        env.set("B", "1");
        reader.join().unwrap();
        env.writer(); // to see the newest
        assert_eq!([env.value("A"), env.value("X"), env.value("B")], [Some("1"), Some("9"), Some("1")]);
    }
}

// Writers.
models! {
    two_writers_lose_nothing bounded |env| {
        env.fill(&["X=9"]);
        let other = env.spawn(|env| env.set("A", "1"));
        env.set("B", "1");
        other.join().unwrap();
        assert_eq!(env.snapshot(), ["A=1", "B=1", "X=9"]);
    }

    /// Found without the lock, no longer true under it, and the head is where it was.
    two_writers_add_one_entry bounded |env| {
        env.fill(&["Y=1"]);
        let other = env.spawn(|env| {
            env.unset("Y");
            env.set("X", "1");
        });
        env.set("X", "2");
        other.join().unwrap();
        assert_eq!(env.snapshot().len(), 1, "{:?}", env.snapshot());
    }

    a_writer_beside_a_remover bounded |env| {
        env.fill(&["Y=1", "X=9"]);
        let other = env.spawn(|env| env.unset("Y"));
        env.set("X", "8");
        other.join().unwrap();
        assert_eq!(env.snapshot(), ["X=8"]);
    }

    /// Both map memory, without the lock, and both look again.
    two_first_changes bounded |env| {
        let other = env.spawn(|env| env.set("A", "1"));
        env.set("B", "1");
        other.join().unwrap();
        assert_eq!(env.snapshot(), ["A=1", "B=1"]);
    }

    /// Three threads for one lock. A wake-up that is lost is a deadlock, which loom reports.
    the_lock_wakes_who_waits bounded |env| {
        let others = [env.spawn(|env| _ = env.snapshot()), env.spawn(|env| _ = env.snapshot())];
        assert!(env.snapshot().is_empty());
        others.into_iter().for_each(|other| other.join().unwrap());
    }

    /// The program assigns `environ` while we change the list: its list is never overwritten.
    an_assignment_is_never_lost |env| {
        env.fill(&["X=1"]);
        let list = foreign(&[c"X=2"]);
        let program = env.spawn({
            let list = list.clone();
            move |env| env.assign_beside(&list)
        });
        env.set("P", "1");
        program.join().unwrap();
        env.writer(); // to see the newest head, not one that loom thinks might be
        assert_eq!(env.get("X"), Some("2"));
    }

    /// The same while a change adopts, and while it clears.
    an_assignment_is_never_lost_to_adoption |env| {
        let lists = [foreign(&[c"X=1"]), foreign(&[c"X=2"])];
        env.assign(&lists[0]);
        let program = env.spawn({
            let list = lists[1].clone();
            move |env| env.assign_beside(&list)
        });
        env.set("P", "1");
        program.join().unwrap();
        env.writer(); // to see the newest head, not one that loom thinks might be
        assert_eq!(env.get("X"), Some("2"));
    }

    snapshot_is_one_point_in_time bounded |env| {
        env.fill(&["X=9", "A=1", "B=1"]);
        let reader = env.spawn(|env| {
            let states = [["A=1", "B=1", "X=9"].as_slice(), &["A=2", "B=1", "X=9"], &["A=2", "B=2", "X=9"], &["A=2", "X=9"]];
            let found = env.snapshot();
            assert!(states.contains(&found.as_slice()), "{found:?}");
        });
        env.set("A", "2");
        env.set("B", "2");
        env.unset("B");
        reader.join().unwrap();
    }
}

// Memory.
models! {
    /// The other writer links a chunk of memory, of which the equal value's writer must not see half.
    an_equal_value_changes_nothing |env| {
        env.fill(&["X=9"]);
        let before = env.at("X");
        let other = env.spawn(move |env| {
            env.set("X", "9");
            assert_eq!(env.at("X"), before);
        });
        env.set("B", &"b".repeat(5_000));
        other.join().unwrap();
        assert_eq!(env.at("X"), before);
    }

    /// Equal strings are one string, whoever makes them.
    equal_strings_are_one bounded |env| {
        env.fill(&["X=1", "X=2", "X=1", "Y=1", "Y=2"]);
        let retained = env.store().retained();
        let other = env.spawn(|env| env.set("X", "2"));
        env.set("Y", "2");
        other.join().unwrap();
        assert_eq!(env.store().retained(), retained);
    }

    /// A program's string is replaced by ours, even if it reads the same: its owner may edit it later.
    a_put_string_is_replaced |env| {
        env.fill(&["X=1"]);
        env.writer();
        let reader = env.spawn(|env| History(&[Some("1"), Some("2")]).check(&env, "X", 2));
        env.put(c"X=2");
        env.set("X", "2");
        assert_ne!(env.at("X").map(|at| at.addr()), Some(c"X=2".as_ptr().addr() + 2));
        reader.join().unwrap();
    }
}
