//! What each function answers, row by row: the table of the C functions, for the Rust functions below them.
#![cfg(all(target_os = "linux", not(loom), not(miri)))]

use mtsafe_env_core::{Error, process};
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "C" {
    static environ: AtomicPtr<*mut c_char>;
}

fn head() -> &'static AtomicPtr<*mut c_char> {
    // SAFETY: one word of libc's, for the life of the process.
    unsafe { &*ptr::addr_of!(environ) }
}

/// Makes `entries` the environment, in an array of the program's, or by direct stores in one of the library's.
fn assign(entries: &[&str], adopted: bool) {
    let mut strings: Vec<*mut c_char> =
        entries.iter().map(|entry| CString::new(*entry).expect("no NUL in it").into_raw()).collect();
    strings.push(ptr::null_mut());
    if adopted {
        process::clear().expect("room");
        for i in 0..strings.len() {
            process::set(format!("FILLER{i}").as_bytes(), b"", true).expect("room");
        }
        for (i, &string) in strings.iter().enumerate() {
            // Relaxed: this test has one thread. So everywhere below.
            // SAFETY: the list has as many entries as `strings`.
            unsafe { *head().load(Ordering::Relaxed).add(i) = string };
        }
    } else {
        head().store(strings.leak().as_mut_ptr(), Ordering::Relaxed);
    }
}

/// The entries, sorted.
fn entries() -> Vec<String> {
    let mut found = vec![ptr::null(); 64];
    let count = process::snapshot(&mut found);
    assert!(count <= found.len());
    // SAFETY: a snapshot holds strings that stay.
    let text = |&entry: &*const c_char| unsafe { CStr::from_ptr(entry) }.to_str().expect("UTF-8").to_owned();
    let mut entries: Vec<_> = found[..count].iter().map(text).collect();
    entries.sort();
    entries
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Get(&'static str, Option<&'static str>),
    Set(&'static str, &'static str),
    SetIfAbsent(&'static str, &'static str),
    Put(&'static str),
    Unset(&'static str),
    Clear,
}
use Call::{Clear, Get, Put, Set, SetIfAbsent, Unset};

const OK: Result<(), Error> = Ok(());
const NAME: Result<(), Error> = Err(Error::InvalidName);
const VALUE: Result<(), Error> = Err(Error::InvalidValue);

/// Before; the call; its result; afterwards.
type Row = (&'static [&'static str], Call, Result<(), Error>, &'static [&'static str]);

const ROWS: &[Row] = &[
    (&["A=1", "B=2"], Get("B", Some("2")), OK, &["A=1", "B=2"]),
    (&["A="], Get("A", Some("")), OK, &["A="]),
    (&[], Get("A", None), OK, &[]),
    (&["AB=1"], Get("A", None), OK, &["AB=1"]),
    (&["A=1"], Get("AB", None), OK, &["A=1"]),
    (&["=x", "A=1"], Get("", None), OK, &["=x", "A=1"]),
    (&["A=1"], Get("A\0", None), OK, &["A=1"]),
    (&["A=B=C"], Get("A=B", None), OK, &["A=B=C"]),
    (&["A=B=C"], Get("A", Some("B=C")), OK, &["A=B=C"]),
    (&["A", "B=1"], Get("A", None), OK, &["A", "B=1"]),
    (&["A=1", "A=2"], Get("A", Some("1")), OK, &["A=1", "A=2"]),
    (&["A=1"], Set("B", "2"), OK, &["A=1", "B=2"]),
    (&[], Set("B", "2"), OK, &["B=2"]),
    (&["A=1", "B=2"], Set("A", "3"), OK, &["A=3", "B=2"]),
    (&["A=1"], Set("A", "1"), OK, &["A=1"]),
    (&["A=1"], Set("A", ""), OK, &["A="]),
    (&[], Set("A", "B=C"), OK, &["A=B=C"]),
    (&["A=1", "A=2"], Set("A", "3"), OK, &["A=3"]),
    (&["A", "=x", ""], Set("A", "1"), OK, &["", "=x", "A", "A=1"]),
    (&["A=1"], Set("", "1"), NAME, &["A=1"]),
    (&["A=1"], Set("A=B", "1"), NAME, &["A=1"]),
    (&["A=1"], Set("=", "1"), NAME, &["A=1"]),
    (&["A=1"], Set("A\0B", "1"), NAME, &["A=1"]),
    (&["A=1"], Set("A", "\0"), VALUE, &["A=1"]),
    (&["A=1"], SetIfAbsent("A", "3"), OK, &["A=1"]),
    (&["A=1"], SetIfAbsent("B", "2"), OK, &["A=1", "B=2"]),
    (&["A=1"], SetIfAbsent("", "2"), NAME, &["A=1"]),
    (&["A=1"], SetIfAbsent("A", "\0"), VALUE, &["A=1"]),
    (&["A=1"], Put("B=2"), OK, &["A=1", "B=2"]),
    (&["A=1", "B=2"], Put("A=3"), OK, &["A=3", "B=2"]),
    (&["A=1", "A=2"], Put("A=3"), OK, &["A=3"]),
    (&["A=1"], Put("=x"), NAME, &["A=1"]),
    (&["A=1"], Put(""), NAME, &["A=1"]),
    (&["A=1"], Put("A"), NAME, &["A=1"]),
    (&["A=1", "B=2", "C=3"], Unset("B"), OK, &["A=1", "C=3"]),
    (&["A=1"], Unset("A"), OK, &[]),
    (&["A=1", "B=2", "A=3", "A=4"], Unset("A"), OK, &["B=2"]),
    (&["A=1"], Unset("B"), OK, &["A=1"]),
    (&[], Unset("B"), OK, &[]),
    (&["A", "B=1"], Unset("A"), OK, &["A", "B=1"]),
    (&["A=1", "B=2", "C=4"], Unset("C"), OK, &["A=1", "B=2"]),
    (&["A=1", "=x"], Unset(""), NAME, &["=x", "A=1"]),
    (&["A=B=C"], Unset("A=B"), NAME, &["A=B=C"]),
    (&["A=1"], Unset("A\0"), NAME, &["A=1"]),
    (&["A=1", "B=2", "C"], Clear, OK, &[]),
    (&[], Clear, OK, &[]),
];

fn every_row_is_right() {
    for &(before, call, result, after) in ROWS {
        for adopted in [false, true] {
            assign(before, adopted);
            let list = head().load(Ordering::Relaxed);
            let found = match call {
                Get(name, value) => {
                    let found = process::get(name.as_bytes()).map(|found| found.to_str().expect("UTF-8"));
                    assert_eq!(found, value, "{call:?} in {before:?}");
                    OK
                }
                Set(name, value) => process::set(name.as_bytes(), value.as_bytes(), true),
                SetIfAbsent(name, value) => process::set(name.as_bytes(), value.as_bytes(), false),
                // SAFETY: a string that lives for ever.
                Put(string) => unsafe {
                    process::put(CString::new(string).expect("no NUL in it").into_raw())
                },
                Unset(name) => process::unset(name.as_bytes()),
                Clear => process::clear(),
            };
            assert_eq!(found, result, "{call:?} in {before:?}");
            assert_eq!(entries(), after, "{call:?} in {before:?}");
            let moved = head().load(Ordering::Relaxed) != list;
            assert!(!moved || (result.is_ok() && !matches!(call, Get(..))), "{call:?} moved the list");
        }
    }
}

fn what_changes_nothing_allocates_nothing() {
    process::set(b"A", b"1", true).expect("room");
    let before = process::retained_bytes();
    for i in 0..1000 {
        process::set(b"A", format!("{i}").as_bytes(), false).expect("nothing to do");
        process::set(b"A", b"1", true).expect("nothing to do");
    }
    assert_eq!(process::retained_bytes(), before);
    process::set(b"A", b"a value of twenty-five bytes", true).expect("room");
    assert!(process::retained_bytes() > before);
}

fn values_stay_for_ever() {
    process::set(b"S", b"first", true).expect("room");
    let first = process::get(b"S").expect("just set");
    for i in 0..1000 {
        process::set(b"S", format!("{i}").as_bytes(), true).expect("room");
    }
    process::clear().expect("room");
    assert_eq!(first, c"first");
}

fn a_snapshot_counts_what_does_not_fit() {
    assign(&["A=1", "B=2", "C=3"], false);
    assert_eq!(process::snapshot(&mut []), 3);
    assert_eq!(process::snapshot(&mut [ptr::null(); 2]), 3);
    assert_eq!(process::snapshot(&mut [ptr::null(); 4]), 3);
    head().store(ptr::null_mut(), Ordering::Relaxed);
    assert_eq!(process::snapshot(&mut [ptr::null(); 4]), 0);
}

/// In a child, whose memory the kernel limits to what it has.
fn without_memory_nothing_changes() {
    assign(&["A=1", "B=2"], false);
    let large = vec![b'x'; 64 << 20];
    // SAFETY: the child calls only functions that allocate nothing from the heap, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
        // SAFETY: a valid structure.
        let limited = unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } == 0;
        let (access, kind) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping touches nothing that exists.
        if unsafe { libc::mmap(ptr::null_mut(), large.len(), access, kind, -1, 0) } != libc::MAP_FAILED {
            // An emulator that does not limit memory: nothing can be seen.
            // SAFETY: as below.
            unsafe { libc::_exit(0) };
        }
        let refused = process::set(b"A", &large, true) == Err(Error::OutOfMemory)
            && process::set(b"C", &large, true) == Err(Error::OutOfMemory);
        let same = process::get(b"A") == Some(c"1") && process::get(b"C").is_none();
        // SAFETY: ends the child without running anything else of it.
        unsafe { libc::_exit(if limited && refused && same { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
}

/// One test, as there is one environment.
#[test]
fn every_function_answers_as_documented() {
    every_row_is_right();
    what_changes_nothing_allocates_nothing();
    values_stay_for_ever();
    a_snapshot_counts_what_does_not_fit();
    without_memory_nothing_changes();
}
