//! A recording as the tracer library left it, or as it is at this moment.

use crate::Failure;
use mtsafe_env_trace_layout::{self as layout, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::{fs, ptr};

/// The file of one process image, mapped.
pub(crate) struct Recording {
    file: &'static File,
}

impl Drop for Recording {
    fn drop(&mut self) {
        // SAFETY: mapped by `open`, and the reference ends with this value.
        unsafe { libc::munmap(ptr::from_ref(self.file).cast_mut().cast(), size_of::<File>()) };
    }
}

impl Recording {
    /// `None` if the file is none of the library's, or not yet complete.
    pub(crate) fn open(path: &Path) -> Result<Option<Recording>, Failure> {
        let wrong = |error| Failure::new(format!("cannot read the recording {}: {error}", path.display()));
        let file = fs::File::open(path).map_err(wrong)?;
        if file.metadata().map_err(wrong)?.len() < size_of::<File>() as u64 {
            return Ok(None);
        }
        // SAFETY: a new mapping; the file has this size, and nobody makes it shorter.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<File>(),
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(wrong(std::io::Error::last_os_error()));
        }
        // SAFETY: the mapping is that large, aligned to a page, and any bytes are a `File`: it has atomics alone.
        let recording = Recording { file: unsafe { &*at.cast::<File>() } };
        Ok((number(&recording.file.header.magic) == layout::MAGIC).then_some(recording))
    }

    /// True if this process is no news: no change beside threads, or that could not be judged.
    pub(crate) fn tells_nothing(&self) -> bool {
        let header = &self.file.header;
        let counts = [&header.threaded, &header.direct, &header.uncounted, &header.under_filter];
        counts.into_iter().all(|count| number(count) == 0)
    }

    pub(crate) fn header(&self) -> &layout::Header {
        &self.file.header
    }

    pub(crate) fn sites(&self) -> impl Iterator<Item = &layout::Site> {
        self.file.sites.iter().filter(|site| number(&site.key) != 0)
    }

    pub(crate) fn places(&self) -> &[layout::Place] {
        &self.file.places
    }

    pub(crate) fn modules(&self) -> impl Iterator<Item = &layout::Module> {
        let used = small(&self.file.header.next_module) as usize;
        self.file.modules.iter().take(used).filter(|module| number(&module.end) != 0)
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = &layout::Change> {
        let used = small(&self.file.header.next_change) as usize;
        self.file.changes.iter().take(used).filter(|change| number(&change.time) != 0)
    }

    /// The lines of an interpreter that an index and 1 stands for.
    pub(crate) fn script(&self, index_and_1: u32) -> Option<String> {
        let script = self.file.scripts.get((index_and_1 as usize).checked_sub(1)?)?;
        (number(&script.key) != 0).then(|| text(&script.text))
    }

    /// The stack that an index and 1 stands for.
    pub(crate) fn stack(&self, index_and_1: u32) -> Option<&layout::Stack> {
        self.file
            .stacks
            .get((index_and_1 as usize).checked_sub(1)?)
            .filter(|stack| number(&stack.length) != 0)
    }
}

/// A number.
pub(crate) fn number(at: &AtomicU64) -> u64 {
    // Relaxed: see the layout's documentation; so below.
    at.load(Ordering::Relaxed)
}

/// A number of 32 bits.
pub(crate) fn small(at: &AtomicU32) -> u32 {
    at.load(Ordering::Relaxed)
}

/// A text up to its first zero.
pub(crate) fn text(at: &[AtomicU8]) -> String {
    let bytes = at.iter().map(|byte| byte.load(Ordering::Relaxed)).take_while(|&byte| byte != 0);
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

/// Words, each up to a zero.
pub(crate) fn words(at: &[AtomicU8]) -> Vec<String> {
    let bytes: Vec<_> = at.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes[..used].split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}
