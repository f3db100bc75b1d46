//! What the environment's list says, read through the kernel: another thread may be freeing it, and a load of ours must not be what dies.

use crate::{environ, sys};
use core::sync::atomic::Ordering;
use mtsafe_env_trace_layout::{File, NAME_BYTES};

const PAGE: usize = 4096;
/// Slots read at once.
const SLOTS: usize = 64;
/// Entries whose beginnings are read at once.
const ENTRIES: usize = 16;
/// Variables that are looked at: more than any program has.
const MOST: usize = 1 << 20;

/// A list as it was found.
pub(crate) struct Found {
    /// What `environ` held.
    pub(crate) environ: u64,
    /// Hash of the slots, never 0.
    pub(crate) slots: u64,
    /// Address of the entry that was looked for, or 0.
    pub(crate) entry: usize,
    /// Variables.
    pub(crate) length: usize,
    /// False if the list could not be read to its end.
    pub(crate) whole: bool,
}

fn part(at: usize, bytes: usize) -> libc::iovec {
    libc::iovec { iov_base: at as *mut _, iov_len: bytes }
}

/// Reads the list, and looks for the first entry with this name. `alone`: no other thread lives that could free an entry, so entries
/// are compared where they are, as libc is about to do.
pub(crate) fn look(thread: u32, name: Option<&[u8]>, alone: bool) -> Found {
    // Relaxed: whatever is found behind it is read through the kernel.
    let head = environ().map_or(0, |environ| environ.load(Ordering::Relaxed).addr());
    let mut found = Found { environ: head as u64, slots: 1, entry: 0, length: 0, whole: head == 0 };
    let mut at = head;
    while at != 0 && found.length < MOST {
        let mut slots = [0usize; SLOTS];
        let count = ((PAGE - at % PAGE) / 8).clamp(1, SLOTS);
        // SAFETY: room for `SLOTS` of them.
        let bytes = unsafe { sys::peek(thread, &[part(at, count * 8)], slots.as_mut_ptr().cast()) };
        if bytes != (count * 8).cast_signed() {
            break;
        }
        let length = slots[..count].iter().position(|&entry| entry == 0);
        let entries = &slots[..length.unwrap_or(count)];
        for &entry in entries {
            found.slots = (found.slots.rotate_left(5) ^ entry as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        if let Some(name) = name.filter(|_| found.entry == 0) {
            let hit = if alone {
                // SAFETY: entries of the environment are strings, and nobody else is there to free one.
                entries.iter().copied().find(|&entry| unsafe { is_entry(entry, name) })
            } else {
                entries.chunks(ENTRIES).find_map(|entries| entry(thread, entries, name))
            };
            found.entry = hit.unwrap_or(0);
        }
        found.length += entries.len();
        if length.is_some() {
            found.whole = true;
            break;
        }
        at += count * 8;
    }
    found.slots |= 1;
    found
}

/// True if the string has this name.
///
/// # Safety
/// - `entry` is the address of a string that nobody frees meanwhile.
unsafe fn is_entry(entry: usize, name: &[u8]) -> bool {
    let at = entry as *const u8;
    // SAFETY: the caller's promise; a byte is read only if those before it are the name's, so that none was the zero at the end.
    name.iter().chain(b"=").enumerate().all(|(i, &byte)| unsafe { *at.add(i) } == byte)
}

/// The first of at most `ENTRIES` entries that has this name, of which the first `NAME_BYTES` bytes are compared.
fn entry(thread: u32, entries: &[usize], name: &[u8]) -> Option<usize> {
    let bytes = (name.len() + 1).min(NAME_BYTES); // with the `=`
    let matches = |text: &[u8]| {
        let (begin, rest) = text.split_at(bytes.min(name.len()));
        begin == &name[..begin.len()] && rest.first().is_none_or(|&byte| byte == b'=')
    };
    let mut text = [0u8; ENTRIES * NAME_BYTES];
    let mut from = 0;
    while from < entries.len() {
        let mut parts = [part(0, 0); ENTRIES];
        let count = entries.len() - from;
        for (part, &entry) in parts.iter_mut().zip(&entries[from..]) {
            (part.iov_base, part.iov_len) = (entry as *mut _, bytes);
        }
        // SAFETY: room for `ENTRIES` times that many bytes.
        let copied = unsafe { sys::peek(thread, &parts[..count], text.as_mut_ptr()) }.max(0).cast_unsigned();
        let whole = copied / bytes;
        if let Some(hit) = text[..whole * bytes].chunks_exact(bytes).position(matches) {
            return Some(entries[from + hit]);
        }
        // An entry that ends at the end of a mapping is shorter than what was asked for: not the one.
        from += whole + usize::from(whole < count);
    }
    None
}

/// True if there is this text at an address, a zero behind it.
pub(crate) fn is_text(thread: u32, mut at: usize, text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        let mut buffer = [1u8; 64];
        let count = (rest.len() + 1).min(64).min(PAGE - at % PAGE);
        // SAFETY: at most as many as the buffer holds.
        if unsafe { sys::peek(thread, &[part(at, count)], buffer.as_mut_ptr()) } != count.cast_signed() {
            return false;
        }
        if count > rest.len() {
            return &buffer[..rest.len()] == rest && buffer[rest.len()] == 0;
        }
        if buffer[..count] != rest[..count] {
            return false;
        }
        rest = &rest[count..];
        at += count;
    }
}

/// Remembers the list as it is now, to notice what is changed without a call.
pub(crate) fn remember(file: &File, thread: u32) {
    let found = look(thread, None, false);
    // Relaxed: compared only while no change is under way; one that is missed is missed.
    file.header.environ.store(found.environ, Ordering::Relaxed);
    file.header.slots.store(if found.whole { found.slots } else { 0 }, Ordering::Relaxed);
}
