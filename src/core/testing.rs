//! What the unit tests share: lists as C programs see and make them.

use crate::error::Stop;
use crate::slot::{Head, Slot};
use crate::store::Store;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicPtr, Ordering};
use std::alloc::{Layout, alloc_zeroed};
use std::boxed::Box;
use std::ffi::CString;
use std::string::String;
use std::vec::Vec;

/// The text of an entry.
pub(crate) fn text(entry: *const c_char) -> String {
    // SAFETY: the tests put C strings into their lists.
    unsafe { CStr::from_ptr(entry) }.to_str().unwrap().into()
}

/// The entries of the list that starts there, by plain loads.
pub(crate) fn entries_at(first: *const Slot) -> Vec<String> {
    let mut at: *const *const c_char = first.cast();
    let mut found = Vec::new();
    // SAFETY: the tests' lists are proper ones.
    unsafe {
        while !at.is_null() && !(*at).is_null() {
            found.push(text(*at));
            at = at.add(1);
        }
    }
    found
}

/// What a C program sees.
pub(crate) fn entries(head: &Head) -> Vec<String> {
    entries_at(head.load())
}

/// `environ[i] = entry`
pub(crate) fn store_at(head: &Head, i: usize, entry: Option<&'static CStr>) {
    // SAFETY: the tests pass places inside the list; a slot is a pointer.
    let slot: &AtomicPtr<c_char> = unsafe { &*head.load().add(i).cast() };
    // Relaxed: one thread.
    slot.store(entry.map_or(core::ptr::null_mut(), |entry| entry.as_ptr().cast_mut()), Ordering::Relaxed);
}

/// A list of a program's own, of copies of these; never freed.
pub(crate) fn foreign(entries: &[&CStr]) -> *const Slot {
    list_of(entries.iter().map(|&entry| entry.to_owned().into_raw()))
}

/// The same of these very strings.
pub(crate) fn list_of(entries: impl IntoIterator<Item = *mut c_char>) -> *const Slot {
    let slots: Vec<*mut c_char> = entries.into_iter().chain([core::ptr::null_mut()]).collect();
    slots.leak().as_ptr().cast()
}

/// So many entries, each with another name; never freed.
pub(crate) fn strings(count: usize) -> Vec<*mut c_char> {
    (0..count).map(|i| CString::new(std::format!("N{i}=1")).unwrap().into_raw()).collect()
}

/// What `step` gives, made under the update lock, with as much memory as it asks for.
pub(crate) fn locked<T>(store: &Store, mut step: impl FnMut() -> Result<T, Stop>) -> T {
    let mut made = None;
    let done = store.locked(|| {
        made = Some(step()?);
        Ok(())
    });
    assert!(done.is_ok());
    made.unwrap()
}

/// The list of this process, which no test changes, and how many entries it has: three or more, each with a name. `None`, and a word about it,
/// where the tests run in another environment than that (cargo's is).
#[cfg(not(miri))]
pub(crate) fn kernels_list() -> Option<(*const Slot, usize)> {
    unsafe extern "C" {
        static environ: *const Slot;
    }
    // SAFETY: the test harness and the tests only read it.
    let first = unsafe { environ };
    // SAFETY: a proper list.
    let entries =
        unsafe { crate::slot::slots(first) }.map(|(_, entry)| unsafe { CStr::from_ptr(entry) }.to_str());
    let entries: Result<Vec<&str>, _> = entries.collect();
    let usable = |entry: &str| {
        entry.find('=').is_some_and(|len| !["", "ABSENT_NAME", "GLIBC_TUNABLES"].contains(&&entry[..len]))
    };
    match entries {
        Ok(entries) if (3..10_000).contains(&entries.len()) && entries.iter().all(|entry| usable(entry)) => {
            Some((first, entries.len()))
        }
        _ => {
            std::eprintln!("skipped: not the environment that it needs");
            None
        }
    }
}

/// Numbers by chance, always the same ones for a `seed`: each call gives one below its argument.
pub(crate) fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |end| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    }
}

/// Fails unless these hashes differ, and are spread over the places of a table.
pub(crate) fn assert_spread(hashes: &[u32]) {
    let places: std::collections::HashSet<_> = hashes.iter().map(|hash| hash & 1023).collect();
    let different: std::collections::HashSet<_> = hashes.iter().collect();
    let found = (different.len(), places.len());
    // (Where keys have half as many bits, small numbers are spread less.)
    let least = hashes.len() / if size_of::<usize>() < 8 { 4 } else { 2 };
    assert!(found.0 + 2 > hashes.len() && found.1 > least, "{found:?} of {}", hashes.len());
}

/// A store, which is too large for a stack that unoptimised code copies it about on.
pub(crate) fn store() -> Box<Store> {
    // SAFETY: a store that has published nothing is all zero: see there.
    unsafe { Box::from_raw(alloc_zeroed(Layout::new::<Store>()).cast()) }
}

/// Bytes of a page.
#[cfg(not(miri))]
pub(crate) const PAGE: usize = 4096;

/// A page of memory behind which nothing can be read.
#[cfg(not(miri))]
pub(crate) struct LastPage(*mut u8);

#[cfg(not(miri))]
impl LastPage {
    pub(crate) fn new() -> LastPage {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping; nothing behind its first page can be read from now on.
        unsafe {
            let at = libc::mmap(core::ptr::null_mut(), 2 * PAGE, access, kind, -1, 0);
            assert_ne!(at, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(at.byte_add(PAGE), PAGE, libc::PROT_NONE), 0);
            LastPage(at.cast())
        }
    }

    pub(crate) fn page(&self) -> *mut u8 {
        self.0
    }
}

#[cfg(not(miri))]
impl Drop for LastPage {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`.
        assert_eq!(unsafe { libc::munmap(self.0.cast(), 2 * PAGE) }, 0);
    }
}
