//! How many threads live.

use crate::file::Path;
use crate::sys;
use core::sync::atomic::Ordering;
use mtsafe_env_trace_layout::File;

/// Bit of a thread's flags in `stat`: it is ending. Source: Linux, `PF_EXITING`.
const EXITING: u64 = 4;

/// Threads of the process that are alive; 0: not known (no `/proc`).
///
/// A thread that was joined a moment ago is still in the kernel's list. It is not counted if it would make the difference: more than
/// one is answered only if a thread other than `own` was seen that is not ending.
pub(crate) fn count(file: &File, own: u32) -> u32 {
    // Of the process that made the file: a child by `vfork` changes the environment of its parent.
    // Relaxed: stored before anybody saw the file.
    let process = file.header.pid.load(Ordering::Relaxed);
    counted(file, process, own).or_else(|| counted(file, sys::process_id(), own)).unwrap_or(0)
}

/// The same for this process; `None`: it is not in `/proc`.
fn counted(file: &File, process: u32, own: u32) -> Option<u32> {
    let mut path = Path::<64>::new();
    path.push(b"/proc/").push_number(process).push(b"/task");
    // A directory has two links, and one for each below it.
    let threads = sys::links(path.as_c())?.checked_sub(2)? as u32;
    if threads <= 1 {
        return Some(threads);
    }
    let likely = &file.header.other_thread;
    // Relaxed: a hint.
    let known = likely.load(Ordering::Relaxed);
    if known != 0 && known != own && lives(process, known) {
        return Some(threads);
    }
    let directory = sys::open(path.as_c(), libc::O_RDONLY | libc::O_DIRECTORY);
    if directory < 0 {
        return Some(threads);
    }
    let mut other = 0;
    let mut entries = [0; 512];
    'all: loop {
        let length = sys::entries(directory, &mut entries);
        if length <= 0 {
            break;
        }
        // Of each entry: 8 bytes inode, 8 offset, 2 length, 1 kind, the name.
        let mut rest = &entries[..length.cast_unsigned()];
        while let Some(size) =
            rest.get(16..18).map(|size| usize::from(u16::from_ne_bytes([size[0], size[1]])))
        {
            let (Some(name), Some(behind)) = (rest.get(19..size), rest.get(size..)) else { break };
            let thread = number(name) as u32; // 0 for "." and ".."
            if thread != 0 && thread != own && lives(process, thread) {
                other = thread;
                break 'all;
            }
            rest = behind;
        }
    }
    sys::close(directory);
    // Relaxed: a hint.
    likely.store(other, Ordering::Relaxed);
    Some(if other == 0 { 1 } else { threads })
}

/// The number that a text begins with.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, &digit| number * 10 + u64::from(digit - b'0'))
}

/// True if the thread is there and not ending.
fn lives(process: u32, thread: u32) -> bool {
    let mut path = Path::<64>::new();
    path.push(b"/proc/").push_number(process).push(b"/task/").push_number(thread).push(b"/stat");
    let stat = sys::open(path.as_c(), libc::O_RDONLY);
    if stat < 0 {
        // Gone; any other answer (no descriptor left, not allowed) says nothing against it.
        return ![-libc::ENOENT as isize, -libc::ESRCH as isize].contains(&stat);
    }
    let mut text = [0; 256];
    let length = sys::read(stat, &mut text).clamp(0, 256) as usize;
    sys::close(stat);
    // "id (name) state parent group session terminal foreground flags": a name may hold anything, also parentheses.
    let text = &text[..length];
    let Some(name_end) = text.iter().rposition(|&byte| byte == b')') else { return false };
    let flags = text[name_end..].split(|&byte| byte == b' ').nth(7).map_or(0, number);
    flags & EXITING == 0
}
