//! Whether the process ever had a second thread.
//!
//! glibc tells since 2.32. Elsewhere (musl, older glibc) a process counts as one with a single thread until one of our functions is called
//! on another thread than the one that called first; from then on it stays so. And musl on x86-64 shows, beside, whether there are
//! others now ([`sync::others`]): threads that never call us, but libc's own reads, are found out so.

use crate::sync::{self, AtomicUsize, Ordering, const_new};

/// 0: nobody has called yet. Otherwise the thread that called first, or [`SETTLED`]. Not wiped in a forked child.
#[derive(Debug)]
pub(crate) struct Threads(AtomicUsize);

/// libc tells, or there were more threads: nothing is to be found out by who calls.
#[cfg_attr(loom, allow(dead_code))] // in models the threads are known
const SETTLED: usize = 1;

const_new! {
    Threads,
    pub(crate) fn new() -> Threads {
        Threads(AtomicUsize::new(0))
    }
}

#[cfg_attr(loom, allow(dead_code))]
impl Threads {
    /// To be called first in each of the functions that programs call. MT-Safe, AS-Safe, wait-free; stores twice at most in the life of
    /// the process.
    #[inline(always)]
    pub(crate) fn notice(&self) {
        if !self.is_settled() {
            self.ask();
        }
    }

    /// True if there is nothing to notice.
    #[inline(always)]
    pub(crate) fn is_settled(&self) -> bool {
        // Relaxed, here and below: a thread finds what it did itself, or what happened before it was made.
        self.0.load(Ordering::Relaxed) == SETTLED
    }

    #[cold]
    #[inline(never)]
    fn ask(&self) {
        let this = sync::thread();
        let first = if sync::single_threaded().is_some() { SETTLED } else { this };
        // Relaxed: as in `is_settled`.
        match self.0.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed) {
            Err(other) if other != this => self.0.store(SETTLED, Ordering::Relaxed),
            _ => {}
        }
    }

    /// True if the calling thread is the only one that the process ever had, as far as that can be known.
    pub(crate) fn is_alone(&self) -> bool {
        // Relaxed: as in `is_settled`.
        sync::single_threaded()
            .unwrap_or_else(|| self.0.load(Ordering::Relaxed) == sync::thread() && !sync::others())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// As on musl, where only our callers tell.
    #[test]
    fn the_second_caller_settles_it() {
        let this = sync::thread();
        assert!(this > SETTLED);
        let threads = Threads(AtomicUsize::new(this));
        threads.notice();
        assert_eq!((threads.0.load(Ordering::Relaxed), threads.is_settled()), (this, false));
        std::thread::scope(|scope| {
            scope.spawn(|| threads.notice());
        });
        assert_eq!(threads.0.load(Ordering::Relaxed), SETTLED);
        threads.notice();
        assert_eq!((threads.0.load(Ordering::Relaxed), threads.is_settled()), (SETTLED, true));
    }

    /// This test runs on a thread of the harness.
    #[test]
    fn a_test_is_not_alone() {
        let threads = Threads::new();
        threads.notice();
        std::thread::scope(|scope| {
            scope.spawn(|| threads.notice());
        });
        assert!(!threads.is_alone());
    }
}
