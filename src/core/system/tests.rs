//! Each function that asks the system, beside what else tells of it.

use super::*;
use core::hint::black_box;
use std::string::String;
use std::{fs, thread};

/// Bytes that no process can have.
const TOO_MANY: usize = usize::MAX - (1 << 16);

// Perl's variable, for this process: weak here, too, as the object file knows it already.
#[cfg(not(target_arch = "powerpc64"))] // where no such symbol is looked for
core::arch::global_asm!(
    ".weak PL_use_safe_putenv",
    ".pushsection .data.perl, \"aw\"",
    "PL_use_safe_putenv: .byte 0, 0, 0, 0",
    ".popsection"
);

#[cfg(not(target_arch = "powerpc64"))]
#[test]
fn perl_is_told() {
    let safe: *const AtomicU8 = weak!("PL_use_safe_putenv").cast();
    // SAFETY: the variable above.
    let safe = unsafe { safe.as_ref() }.unwrap();
    safe.store(0, Ordering::Relaxed);
    tell_perl();
    assert_eq!(safe.load(Ordering::Relaxed), 1);
}

/// Runs `call` with this `errno`, and returns what it is afterwards.
fn errno_after(before: i32, call: impl FnOnce()) -> i32 {
    // SAFETY: this thread's own.
    unsafe {
        *libc::__errno_location() = before;
        call();
        *libc::__errno_location()
    }
}

#[test]
fn what_is_mapped_is_zero_and_can_be_written() {
    let after = errno_after(4711, || {
        let at = map(3 * 4096).unwrap();
        // SAFETY: a fresh mapping.
        let bytes = unsafe { core::slice::from_raw_parts_mut(at.as_ptr(), 3 * 4096) };
        assert!(bytes.iter().all(|&byte| byte == 0));
        bytes.fill(1);
        assert!(map(TOO_MANY).is_none());
    });
    assert_eq!(after, 4711);
}

/// Only whole pages of the largest kind.
#[test]
fn what_is_discarded_is_zero_and_what_lies_around_it_stays() {
    const PAGE: usize = 1 << 16;
    let at = map(6 * PAGE).unwrap().as_ptr().expose_provenance().next_multiple_of(PAGE);
    let bytes = || {
        // SAFETY: five of the six pages begin there.
        unsafe { core::slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut::<u8>(at), 5 * PAGE) }
    };
    for (range, gone) in [
        (1..5 * PAGE - 1, PAGE..4 * PAGE),
        (PAGE..3 * PAGE, PAGE..3 * PAGE),
        (1..2 * PAGE - 1, 0..0),
        (1..2 * PAGE, PAGE..2 * PAGE),
        (7..7, 0..0),
    ] {
        bytes().fill(1);
        // SAFETY: part of that mapping, with nothing in it that is needed.
        let after = errno_after(4711, || unsafe { discard(at + range.start..at + range.end) });
        assert_eq!(after, 4711);
        let zeros = bytes().iter().enumerate().filter(|&(_, &byte)| byte == 0);
        assert!(zeros.clone().all(|(i, _)| gone.contains(&i)) && zeros.count() == gone.len(), "{range:?}");
    }
}

#[test]
fn what_is_constant_is_told_apart() {
    static CONSTANT: [usize; 4] = [1, 2, 3, 4];
    let variable = [1_usize, 2, 3, 4];
    let after = errno_after(4711, || {
        assert!(is_constant(&raw const CONSTANT[1]) && !is_constant(&raw const variable[1]));
        // Of what cannot be asked nothing is said.
        assert!(!is_constant(variable.as_ptr().wrapping_byte_add(1)));
    });
    assert_eq!((after, variable), (4711, [1, 2, 3, 4]));
}

#[test]
fn who_does_not_wait_for_the_word_comes_back() {
    let after = errno_after(4711, || {
        let word = AtomicU32::new(1);
        wait(&word, 0);
        wake(&word);
    });
    assert_eq!(after, 4711);
}

#[test]
fn memory_from_malloc_is_the_programs() {
    // (Or the compiler leaves out what nobody uses.)
    let at = black_box(from_malloc(100)).unwrap();
    // SAFETY: 100 bytes of malloc's, which nobody has seen.
    unsafe {
        at.write_bytes(1, 100);
        to_malloc(at);
    }
    assert!(black_box(from_malloc(TOO_MANY)).is_none());
}

#[test]
fn each_thread_has_its_number() {
    let here = thread();
    assert_eq!(here, thread());
    assert!(here > 1);
    assert_ne!(thread::spawn(thread).join().unwrap(), here);
}

/// Only musl shows them; glibc tells by itself that there were some.
#[cfg(target_env = "gnu")]
#[test]
fn glibc_shows_no_others() {
    assert!(thread::spawn(others).join().is_ok_and(|others| !others));
    assert_ne!(single_threaded(), Some(true));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn libc_and_the_processor_agree() {
    let has = std::is_x86_feature_detected!("avx2");
    // (By such a variable libc is told to know less.)
    let told_less = std::env::var_os("GLIBC_TUNABLES").is_some();
    assert!(has_avx2().is_none_or(|told| told == has || told_less && has));
}

#[test]
fn the_secret_is_what_the_kernel_left_for_it() {
    assert_eq!([0, 1, 6, 7].map(not_zero), [1, 1, 7, 7]);
    let [a, b] = secret();
    assert_eq!([a, b], secret());
    // SAFETY: where the kernel puts 16 random bytes.
    let bytes = unsafe {
        let at = libc::getauxval(libc::AT_RANDOM) as usize;
        ptr::with_exposed_provenance::<[u8; 16]>(at).read()
    };
    let (first, second) = bytes[..2 * size_of::<usize>()].split_at(size_of::<usize>());
    assert_eq!(
        [a, b],
        [
            usize::from_ne_bytes(first.try_into().unwrap()) | 1,
            usize::from_ne_bytes(second.try_into().unwrap())
        ]
    );
}

/// What the kernel itself says of this process: its environment, its program's name, its stack. (Of an emulator's own, under one.)
#[test]
fn the_initial_strings_are_where_the_kernel_put_them() {
    let (environ, maps) =
        (fs::read("/proc/self/environ").unwrap(), fs::read_to_string("/proc/self/maps").unwrap());
    let strings = initial_strings();
    // SAFETY: as the kernel laid them out.
    let bytes = unsafe {
        core::slice::from_raw_parts(ptr::with_exposed_provenance::<u8>(strings.start), strings.len())
    };
    assert!(bytes.ends_with(&environ));
    let stack: &str = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
    let end: String = stack.split(['-', ' ']).nth(1).unwrap().into();
    let end = usize::from_str_radix(&end, 16).unwrap();
    // A 64-bit kernel leaves a word of its own above 32-bit programs, too.
    assert!((end - size_of::<u64>()..=end).contains(&initial_end(&strings)), "{end:x}");
    assert!(size_of::<usize>() < size_of::<u64>() || initial_end(&strings) == end);
}
