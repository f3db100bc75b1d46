//! Which files lie where in memory, for whoever unwinds the stacks later: from the kernel's list, since the dynamic linker's needs a lock.

use crate::file::{Part, put, take};
use crate::{python, sys};
use core::sync::atomic::Ordering;
use mtsafe_env_trace_layout::{self as layout, File, Module};

/// ns between two readings of the list, unless an address is in none of the mappings.
const INTERVAL: u64 = 20_000_000;

/// The mappings known so far.
pub(crate) fn known(file: &File) -> &[Module] {
    // Relaxed: see the layout's documentation.
    let modules = file.header.next_module.load(Ordering::Relaxed) as usize;
    // Of more than that no room may have been promised.
    let reserved = file.header.reserved[Part::Modules as usize].load(Ordering::Relaxed) as usize;
    &file.modules[..modules.min(reserved).min(layout::MODULES)]
}

/// True if the address is in a known mapping.
pub(crate) fn contains(module: &Module, address: u64) -> bool {
    // Relaxed: see the layout's documentation. `end` is stored last: 0 until the rest is there.
    module.start.load(Ordering::Relaxed) <= address && address < module.end.load(Ordering::Relaxed)
}

/// Reads the list again if `address` is new, or after a while. Called when a stack is copied.
pub(crate) fn keep_up(file: &File, address: usize) {
    let now = sys::now();
    let header = &file.header;
    // Relaxed: hints.
    let since = now.saturating_sub(header.scanned.load(Ordering::Relaxed));
    if since > INTERVAL || !known(file).iter().any(|module| contains(module, address as u64)) {
        scan(file, now);
    } else {
        header.stale.store(1, Ordering::Relaxed);
    }
}

/// Adds what is new in the list. Left out if it is being read, by another thread or by the frame that a handler interrupted.
pub(crate) fn scan(file: &File, now: u64) {
    let header = &file.header;
    // Acquire, Release below: who reads the list next sees what was added.
    if header.scanning.swap(1, Ordering::Acquire) != 0 {
        return;
    }
    header.stale.store(0, Ordering::Relaxed);
    header.scanned.store(now, Ordering::Relaxed);
    let list = sys::open(c"/proc/self/maps", libc::O_RDONLY);
    if list >= 0 {
        let mut buffer = [0; 1024];
        let mut filled = 0;
        loop {
            let length = sys::read(list, &mut buffer[filled..]);
            if length <= 0 {
                break;
            }
            filled += length.cast_unsigned();
            let mut begin = 0;
            while let Some(end) = buffer[begin..filled].iter().position(|&byte| byte == b'\n') {
                line(file, &buffer[begin..begin + end]);
                begin += end + 1;
            }
            if begin == 0 && filled == buffer.len() {
                begin = filled; // a path of such a length is not for us
            }
            buffer.copy_within(begin..filled, 0);
            filled -= begin;
        }
        sys::close(list);
    }
    header.scanning.store(0, Ordering::Release);
}

/// One line: "start-end rwxp offset device inode path".
fn line(file: &File, line: &[u8]) {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let mut field = || fields.next().unwrap_or_default();
    let (range, flags, offset, _device, _inode, path) =
        (field(), field(), field(), field(), field(), field());
    if flags.get(2) != Some(&b'x') {
        return;
    }
    let mut ends = range.split(|&byte| byte == b'-').map(hexadecimal);
    let (start, end) = (ends.next().unwrap_or(0), ends.next().unwrap_or(0));
    let offset = hexadecimal(offset);
    // The path is padded on the left.
    let path = path.trim_ascii_start();
    let same = |module: &Module| {
        // Relaxed: see the layout's documentation.
        module.start.load(Ordering::Relaxed) == start
            && module.end.load(Ordering::Relaxed) == end
            && path.iter().zip(&module.path).all(|(&byte, at)| at.load(Ordering::Relaxed) == byte)
    };
    if known(file).iter().any(same) {
        return;
    }
    let Some(index) = take(file, Part::Modules) else { return };
    let module = &file.modules[index];
    // Relaxed: `end` last.
    module.start.store(start, Ordering::Relaxed);
    module.offset.store(offset, Ordering::Relaxed);
    put(&module.path, path);
    module.end.store(end, Ordering::Relaxed);
    if path.windows(9).any(|part| part == b"libpython") {
        python::find();
    }
}

fn hexadecimal(text: &[u8]) -> u64 {
    text.iter().fold(0, |number, &digit| number << 4 | u64::from((digit as char).to_digit(16).unwrap_or(0)))
}
