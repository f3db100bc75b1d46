//! What is recorded at a call.

use crate::file::{self, Part, put, take};
use crate::frame::{Frame, thread_word};
use crate::{environ, list, modules, next, python, sys, threads};
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::Ordering;
use mtsafe_env_trace_layout::{self as layout, Change, File, Place, Site, effect};

/// Elements of a table that are looked at before it counts as full.
const PROBES: usize = 32;
/// Bytes of the stack by which places are told apart.
const CALLERS: usize = 1024;
const PAGE: usize = 4096;

pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mixed = (a ^ b.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

/// A call that reads, or that leads to a read inside libc.
#[inline(always)]
pub(crate) fn read(file: &File, frame: &Frame, function: u32) {
    let address = frame.return_address() as u64;
    let thread = thread_word() as u64;
    let key = mix(mix(address, thread), u64::from(function)) | 1;
    let header = &file.header;
    let mut index = (key >> 20) as usize;
    let mut site = &file.sites[index % layout::SITES];
    // Relaxed, all: see the layout's documentation.
    let mut probes = 0;
    while site.key.load(Ordering::Relaxed) != key {
        if begin(file, site, key, frame, function) {
            break;
        }
        probes += 1;
        if probes == PROBES {
            header.reads_without_site.fetch_add(1, Ordering::Relaxed);
            return;
        }
        index += 1;
        site = &file.sites[index % layout::SITES];
    }
    site.reads.fetch_add(1, Ordering::Relaxed);
    let events = header.events.load(Ordering::Relaxed);
    if site.last.load(Ordering::Relaxed) != events {
        site.last.store(events, Ordering::Relaxed);
    }
    // Relaxed: whoever has a change under way will look itself.
    let now = environ().map_or(0, |environ| environ.load(Ordering::Relaxed).addr()) as u64;
    if now != header.environ.load(Ordering::Relaxed) && header.under_way.load(Ordering::Relaxed) == 0 {
        assigned(file, frame);
    }
}

/// Takes a free site. False if it belongs to somebody else.
#[cold]
fn begin(file: &File, site: &Site, key: u64, frame: &Frame, function: u32) -> bool {
    if file::is_silent() {
        return false;
    }
    // Relaxed: see the layout's documentation.
    if let Err(theirs) = site.key.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
        return theirs == key;
    }
    let address = frame.return_address() as u64;
    site.address.store(address, Ordering::Relaxed);
    site.function.store(function, Ordering::Relaxed);
    site.thread.store(sys::thread_id(), Ordering::Relaxed);
    put(&site.name, &sys::thread_name());
    let events = file.header.events.load(Ordering::Relaxed);
    site.first.store(events, Ordering::Relaxed);
    site.last.store(events, Ordering::Relaxed);
    site.place.store(place(file, mix(address, u64::from(function)), frame, function), Ordering::Relaxed);
    true
}

/// 1 + the index of the place with this key; it is made, with a copy of the stack, if it is new. 0: there is no room.
fn place(file: &File, key: u64, frame: &Frame, function: u32) -> u32 {
    let key = key | 1;
    for probe in 0..PROBES {
        let index = ((key >> 20) as usize + probe) % layout::PLACES;
        let place = &file.places[index];
        // Relaxed, all: see the layout's documentation.
        match place.key.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                place.address.store(frame.return_address() as u64, Ordering::Relaxed);
                place.function.store(function, Ordering::Relaxed);
                modules::keep_up(file, frame.return_address());
                place.stack.store(stack(file, frame), Ordering::Relaxed);
            }
            Err(theirs) if theirs == key => {}
            Err(_) => continue,
        }
        return index as u32 + 1;
    }
    0
}

/// Copies the stack. 1 + its index, or 0.
fn stack(file: &File, frame: &Frame) -> u32 {
    let Some(index) = take(file, Part::Stacks) else { return 0 };
    let stack = &file.stacks[index];
    frame.store(stack);
    let copied = copy(frame.stack_pointer(), stack.words.as_ptr() as *mut u8, layout::STACK_BYTES);
    // Relaxed: see the layout's documentation.
    stack.length.store(copied as u64, Ordering::Relaxed);
    index as u32 + 1
}

/// Copies bytes of a stack as far as they are there: up to its end. The bytes copied.
fn copy(from: usize, to: *mut u8, bytes: usize) -> usize {
    let mut parts = [libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; 6];
    let (mut at, end) = (from, from.saturating_add(bytes));
    for part in &mut parts {
        let page_end = (at - at % PAGE).saturating_add(PAGE).min(end);
        (part.iov_base, part.iov_len) = (at as *mut _, page_end - at);
        at = page_end;
    }
    // SAFETY: the caller's buffer has that size.
    let copied = unsafe { sys::peek(sys::thread_id(), &parts, to) };
    if copied >= 0 {
        return copied.cast_unsigned() & !7;
    }
    // The kernel refuses to be asked. The page that the stack pointer is in is there.
    let bytes = parts[0].iov_len & !7;
    // SAFETY: the frame is in this page or ends where it begins; then the caller's frame is in it.
    unsafe { core::ptr::copy_nonoverlapping(from as *const u8, to, bytes) };
    bytes
}

/// A key for those who called: the words of the stack that are addresses of code.
fn callers(file: &File, frame: &Frame) -> u64 {
    let mut words = [0u64; CALLERS / 8];
    let length = copy(frame.stack_pointer(), words.as_mut_ptr().cast(), CALLERS) / 8;
    let modules = modules::known(file);
    let mut last = modules.first();
    let mut key = frame.return_address() as u64;
    for &word in words[..length].iter().filter(|&&word| word > 0xffff) {
        if !last.is_some_and(|module| modules::contains(module, word)) {
            let Some(module) = modules.iter().find(|module| modules::contains(module, word)) else {
                continue;
            };
            last = Some(module);
        }
        key = mix(key, word);
    }
    key
}

/// A change, as its arguments tell it.
pub(crate) struct Asked<'a> {
    pub(crate) function: u32,
    /// `None`: not a name that can be set; for `clearenv`, which has none, empty.
    pub(crate) name: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) overwrite: bool,
    /// The string itself becomes the entry.
    pub(crate) entry: usize,
}

impl<'a> Asked<'a> {
    fn new(function: u32) -> Asked<'a> {
        Asked { function, name: None, value: None, overwrite: true, entry: 0 }
    }

    /// # Safety
    /// - `name` and `value` are null or strings that stay as they are meanwhile.
    pub(crate) unsafe fn setenv(name: *const c_char, value: *const c_char, overwrite: c_int) -> Asked<'a> {
        // SAFETY: the caller's promise.
        let (name, value) = unsafe { (text(name), text(value)) };
        let name = name.filter(|name| !name.is_empty() && !name.contains(&b'=') && value.is_some());
        Asked { name, value, overwrite: overwrite != 0, ..Asked::new(layout::SETENV) }
    }

    /// # Safety
    /// - `string` is null or a string that stays as it is meanwhile.
    pub(crate) unsafe fn putenv(string: *const c_char) -> Asked<'a> {
        // SAFETY: the caller's promise.
        let bytes = unsafe { text(string) }.unwrap_or_default();
        let equals = bytes.iter().position(|&byte| byte == b'=');
        let name = Some(&bytes[..equals.unwrap_or(bytes.len())]).filter(|name| !name.is_empty());
        let value = equals.map(|equals| &bytes[equals + 1..]);
        Asked { name, value, entry: string.addr(), ..Asked::new(layout::PUTENV) }
    }

    /// # Safety
    /// - `name` is null or a string that stays as it is meanwhile.
    pub(crate) unsafe fn unsetenv(name: *const c_char) -> Asked<'a> {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }.filter(|name| !name.is_empty() && !name.contains(&b'='));
        Asked { name, ..Asked::new(layout::UNSETENV) }
    }

    pub(crate) fn clearenv() -> Asked<'a> {
        Asked { name: Some(b""), ..Asked::new(layout::CLEARENV) }
    }

    /// What this will do to the list that was found.
    fn effect(&self, before: &list::Found, thread: u32) -> u32 {
        let Some(name) = self.name else { return effect::REFUSED };
        if !before.whole {
            return effect::UNKNOWN;
        }
        match (self.value, before.entry) {
            _ if self.function == layout::CLEARENV && before.length > 0 => effect::CLEARED,
            (None, 0) => effect::NOTHING,
            (None, _) => effect::REMOVED,
            (Some(_), 0) => effect::ADDED,
            (Some(_), _) if !self.overwrite => effect::NOTHING,
            (Some(_), entry) if entry == self.entry => effect::NOTHING,
            (Some(value), entry) if list::is_text(thread, entry + name.len() + 1, value) => effect::SAME,
            _ => effect::REPLACED,
        }
    }
}

/// # Safety
/// - `string` is null or a string that stays as it is as long as the result is used.
unsafe fn text<'a>(string: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) }.to_bytes())
}

/// A change: recorded, made by `make`, and its result recorded.
pub(crate) fn change(file: &File, frame: &Frame, asked: &Asked<'_>, make: impl FnOnce() -> c_int) -> c_int {
    let header = &file.header;
    if file::is_silent() {
        // Relaxed: a count.
        header.under_filter.fetch_add(1, Ordering::Relaxed);
        return make();
    }
    let thread = sys::thread_id();
    // AcqRel: who finds nothing under way sees what the last one remembered.
    let alone = header.under_way.fetch_add(1, Ordering::AcqRel) == 0;
    let threads = threads::count(file, thread);
    let before = list::look(thread, asked.name.filter(|name| !name.is_empty()), threads == 1);
    if alone && before.whole {
        direct(file, frame, &before, threads, thread);
    }
    let effect = asked.effect(&before, thread);
    // A refused change changes nothing; one that finds nothing to do is a change of the program's mind all the same: on another day
    // there will be something to do.
    let beside = threads > 1 && effect != effect::REFUSED;
    let record = note(file, frame, asked, effect, threads, thread, beside);
    if beside && file::stop_at_first() {
        stop();
    }
    // Relaxed: counts.
    header.events.fetch_add(beside.into(), Ordering::Relaxed);
    let result = make();
    header.events.fetch_add(beside.into(), Ordering::Relaxed);
    if let Some(record) = record {
        // Relaxed: see the layout's documentation.
        record.result.store(result, Ordering::Relaxed);
    }
    // Nobody else: what the list says now is due to the calls that were seen.
    if header.under_way.load(Ordering::Acquire) == 1 {
        list::remember(file, thread);
        header.threads_then.store(threads, Ordering::Relaxed);
    }
    header.under_way.fetch_sub(1, Ordering::AcqRel);
    result
}

fn note<'a>(
    file: &'a File,
    frame: &Frame,
    asked: &Asked<'_>,
    effect: u32,
    threads: u32,
    thread: u32,
    beside: bool,
) -> Option<&'a Change> {
    let header = &file.header;
    // What an interpreter runs is not on the stack.
    let script = if beside { python::script(file) } else { 0 };
    let key = mix(mix(callers(file, frame), u64::from(asked.function)), u64::from(script));
    let mut place = place(file, key, frame, asked.function);
    if place == 0 {
        // Too many different ones: all with this caller together.
        let address = frame.return_address() as u64;
        place = self::place(file, mix(address, u64::from(asked.function)), frame, asked.function);
    }
    // Relaxed, all: see the layout's documentation.
    if let Some(at) = (place as usize).checked_sub(1).map(|index| &file.places[index]) {
        at.script.store(script, Ordering::Relaxed);
        count(at, threads, beside);
    }
    if asked.function < layout::ASSIGNED {
        header.uncounted.fetch_add((threads == 0).into(), Ordering::Relaxed);
        header.changes.fetch_add(1, Ordering::Relaxed);
        header.threaded.fetch_add(beside.into(), Ordering::Relaxed);
        header.most_threads.fetch_max(threads, Ordering::Relaxed);
    }
    let record = &file.changes[take(file, Part::Changes)?];
    record.thread.store(thread, Ordering::Relaxed);
    record.threads.store(threads, Ordering::Relaxed);
    record.function.store(asked.function, Ordering::Relaxed);
    record.effect.store(effect, Ordering::Relaxed);
    record.place.store(place, Ordering::Relaxed);
    record.result.store(layout::UNDER_WAY, Ordering::Relaxed);
    put(&record.thread_name, &sys::thread_name());
    let name = asked.name.unwrap_or_default();
    record.name_length.store(name.len() as u32, Ordering::Relaxed);
    put(&record.name, name);
    if let Some(value) = asked.value.filter(|_| file::with_values()) {
        record.value_length.store(value.len() as u32 + 1, Ordering::Relaxed);
        put(&record.value, value);
    }
    record.time.store(sys::now(), Ordering::Relaxed);
    Some(record)
}

fn count(place: &Place, threads: u32, beside: bool) {
    // Relaxed: counts.
    place.changes.fetch_add(1, Ordering::Relaxed);
    place.threaded.fetch_add(beside.into(), Ordering::Relaxed);
    place.most_threads.fetch_max(threads, Ordering::Relaxed);
}

/// Notices what was changed without a call since the last one.
fn direct(file: &File, frame: &Frame, now: &list::Found, threads: u32, thread: u32) {
    let header = &file.header;
    // Relaxed: nothing was under way; Acquire in `change`.
    let then = (header.environ.load(Ordering::Relaxed), header.slots.load(Ordering::Relaxed));
    if then.1 == 0 || then == (now.environ, now.slots) {
        return;
    }
    let function = if then.0 == now.environ { layout::STORED } else { layout::ASSIGNED };
    header.environ.store(now.environ, Ordering::Relaxed);
    header.slots.store(now.slots, Ordering::Relaxed);
    header.direct.fetch_add(1, Ordering::Relaxed);
    // When it happened is not known: beside threads if there were some at both ends.
    let beside = threads > 1 && header.threads_then.load(Ordering::Relaxed) > 1;
    note(file, frame, &Asked::new(function), effect::UNKNOWN, threads, thread, beside);
}

/// A read has found another list than the last change left.
#[cold]
fn assigned(file: &File, frame: &Frame) {
    if file::is_silent() {
        return;
    }
    let thread = sys::thread_id();
    let found = list::look(thread, None, false);
    // A change may have begun meanwhile.
    if found.whole && file.header.under_way.load(Ordering::Acquire) == 0 {
        direct(file, frame, &found, threads::count(file, thread), thread);
    }
    // Relaxed: what cannot be read is not looked at again.
    file.header.environ.store(found.environ, Ordering::Relaxed);
}

/// For a debugger, or a core.
fn stop() {
    // SAFETY: raises SIGTRAP, which kills unless somebody waits for it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("int3", options(nomem, nostack))
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("brk 0", options(nomem, nostack))
    }
}

/// The process runs its destructors.
pub(crate) fn exit() {
    let Some(file) = file::existing() else { return };
    // Relaxed: see the layout's documentation.
    if file.header.stale.load(Ordering::Relaxed) != 0 && !file::is_silent() {
        modules::scan(file, sys::now());
    }
    file.header.exited.store(1, Ordering::Relaxed);
}

/// The definition behind ours as a function of type `F`.
///
/// # Safety
/// - `F` is the type of a pointer to the function with this number.
pub(crate) unsafe fn behind<F: Copy>(function: u32) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    // SAFETY: the caller's promise.
    next::next(function).map(|at| unsafe { core::mem::transmute_copy(&at) })
}
