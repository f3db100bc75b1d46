//! The update lock: a futex mutex in one word, whose zero state is "free".
//!
//! Own code rather than a crate's for three reasons: it must be correct in memory that the kernel wipes to zero in a forked
//! child, it must leave `errno` alone, and loom must be able to drive it. The method is the third mutex of Drepper,
//! *Futexes Are Tricky* (2011).
//!
//! In a process that has one thread and never had another, two plain stores do: nobody else is there to take it, and none comes while it is
//! held, since a handler that interrupted its holder may not make a thread (POSIX: neither function is AS-Safe). libc locks by the same rule.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[lock]` | `release` | `acquire` | everything the previous holder wrote |

use crate::sync::{self, AtomicU32, Ordering, const_new};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody may sleep.
const CONTENDED: u32 = 2;

#[derive(Debug)]
pub(crate) struct Lock(AtomicU32);

const_new! {
    Lock,
    pub(crate) fn new() -> Lock {
        Lock(AtomicU32::new(FREE))
    }
}

impl Lock {
    /// Takes the lock. Blocking; not AS-Safe: a signal handler that takes it while its own thread holds it waits for ever,
    /// as with libc's own `setenv`.
    #[inline]
    pub(crate) fn acquire(&self) {
        // Relaxed, both: there is no other thread, and who is made later sees what its maker did.
        if is_alone() && self.0.load(Ordering::Relaxed) == FREE {
            return self.0.store(HELD, Ordering::Relaxed);
        }
        // Acquire [lock]: pairs with Release in `release`. Relaxed on failure: nothing is read on its account.
        // Without it loom `two_writers_lose_nothing` fails.
        if self.0.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.acquire_contended();
        }
    }

    #[cold]
    fn acquire_contended(&self) {
        for _ in 0..sync::SPINS {
            // Relaxed [lock]: a hint; the swap below decides.
            if self.0.load(Ordering::Relaxed) == FREE {
                break;
            }
            core::hint::spin_loop();
        }
        // Acquire [lock]: pairs with Release in `release`. Without it loom `two_writers_lose_nothing` fails.
        while self.0.swap(CONTENDED, Ordering::Acquire) != FREE {
            sync::wait(&self.0, CONTENDED);
        }
    }

    /// Gives the lock back. In a forked child whose copy of the word was wiped meanwhile this changes nothing.
    #[inline]
    pub(crate) fn release(&self) {
        // Relaxed, both: as in `acquire`.
        if is_alone() && self.0.load(Ordering::Relaxed) != CONTENDED {
            return self.0.store(FREE, Ordering::Relaxed);
        }
        // Release [lock]: pairs with Acquire in `acquire`. Without it loom `two_writers_lose_nothing` fails.
        if self.0.swap(FREE, Ordering::Release) == CONTENDED {
            sync::wake(&self.0);
        }
    }
}

/// True if libc says that there never was another thread.
#[inline(always)]
fn is_alone() -> bool {
    sync::single_threaded() == Some(true)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use core::cell::UnsafeCell;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    struct Counter(Lock, UnsafeCell<u64>);
    // SAFETY: the cell is touched under the lock only.
    unsafe impl Sync for Counter {}

    #[test]
    fn one_at_a_time() {
        let rounds = if cfg!(miri) { 50 } else { 50_000 };
        let counter = Arc::new(Counter(Lock::new(), UnsafeCell::new(0)));
        let threads: std::vec::Vec<_> = (0..4)
            .map(|_| {
                let counter = counter.clone();
                thread::spawn(move || {
                    for _ in 0..rounds {
                        counter.0.acquire();
                        // SAFETY: under the lock.
                        unsafe { *counter.1.get() += 1 };
                        counter.0.release();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // SAFETY: the threads are done.
        assert_eq!(unsafe { *counter.1.get() }, 4 * rounds);
        assert_eq!(counter.0.0.load(Ordering::Relaxed), FREE);
    }

    /// Processor time that this thread took.
    #[cfg(all(target_os = "linux", not(miri)))]
    fn taken() -> Duration {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: it is written there.
        assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) }, 0);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    fn taken() -> Duration {
        Duration::ZERO
    }

    #[test]
    fn who_waits_sleeps_and_is_woken() {
        let lock = Arc::new(Lock::new());
        lock.acquire();
        assert_eq!(lock.0.load(Ordering::Relaxed), HELD);
        let waiter = thread::spawn({
            let lock = lock.clone();
            move || {
                let before = taken();
                lock.acquire();
                lock.release();
                taken() - before
            }
        });
        while lock.0.load(Ordering::Relaxed) != CONTENDED {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(60));
        assert!(!waiter.is_finished());
        lock.release();
        assert!(waiter.join().unwrap() < Duration::from_millis(5), "it was busy");
        assert_eq!(lock.0.load(Ordering::Relaxed), FREE);
    }
}
