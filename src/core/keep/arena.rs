//! An arena over the kernel's pages.
//!
//! # Invariants
//! - K1: memory is zero when it is handed out, and handed out once.
//! - K2: a chunk, once linked, stays linked and keeps its place and size; `used` changes only under the update lock.
//! - K3: each object (chunk, table, array) describes itself. No two words of the [`Arena`] must agree.
//! - K4: behind what was handed out of a chunk, [`BEYOND`] bytes of it are readable.
//!
//! # Pairs
//! | tag | Release in | Acquire in | what becomes visible |
//! |---|---|---|---|
//! | `[chunk]` | `link` | `owns` | the header of the chunk |

use crate::error::Stop;
use crate::sync::{self, AtomicPtr, AtomicUsize, Ordering, const_new};
use crate::text::BEYOND;
use core::cell::Cell;
use core::ffi::c_char;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// Bytes of the smallest chunk; a multiple of every page size Linux has here.
const CHUNK: usize = if cfg!(loom) { 1 << 12 } else { 1 << 16 };
/// Bytes of the largest chunk for small requests: each is twice as large as the one before, up to this.
const MOST: usize = 1 << 20;
/// Bytes from which on a request has a chunk of its own, as large as it is.
pub(super) const LARGE: usize = CHUNK / 2;
/// What all that is handed out may be aligned to.
pub(super) const ALIGN: usize = 64;

/// A mapping: this header, then memory handed out from below.
#[repr(C)]
struct Chunk {
    older: *mut Chunk,
    /// Bytes, header included.
    size: usize,
    /// Bytes handed out, header included.
    used: Cell<usize>,
}

/// What the update lock's holder allocates from; all zero at first. Readers use [`owns`](Arena::owns) only.
#[derive(Debug)]
pub(crate) struct Arena {
    /// The newest chunk; the others hang on it.
    chunks: AtomicPtr<Chunk>,
    /// The newest chunk for small requests, or null.
    small: AtomicPtr<Chunk>,
    /// Bytes handed out.
    retained: AtomicUsize,
}

/// A chunk that is not linked yet.
pub(crate) struct Fresh(NonNull<Chunk>);

const_new! {
    Arena,
    pub(crate) fn new() -> Arena {
        Arena {
            chunks: AtomicPtr::new(ptr::null_mut()),
            small: AtomicPtr::new(ptr::null_mut()),
            retained: AtomicUsize::new(0),
        }
    }
}

impl Arena {
    /// Bytes handed out so far.
    pub(crate) fn retained(&self) -> usize {
        // Relaxed: a counter, nothing travels through it.
        self.retained.load(Ordering::Relaxed)
    }

    /// True if the string at `entry` was made here. MT-Safe, wait-free: one step per chunk: about as many as doublings of the memory up
    /// to 1 MiB, then one for each MiB, and one for each large object.
    pub(crate) fn owns(&self, entry: *const c_char) -> bool {
        // Acquire [chunk]: pairs with Release in `link`. Without it loom `an_equal_value_changes_nothing` fails.
        let mut chunk = self.chunks.load(Ordering::Acquire);
        // SAFETY: K2: a linked chunk stays.
        while let Some(header) = unsafe { chunk.as_ref() } {
            sync::read(chunk);
            if entry.addr().wrapping_sub(chunk.addr()) < header.size {
                return true;
            }
            chunk = header.older;
        }
        false
    }

    /// Memory for `bytes` bytes. Under the update lock; the kernel is not asked: the caller gets what to ask it for.
    pub(crate) fn take(&self, bytes: usize, align: usize) -> Result<NonNull<u8>, Stop> {
        debug_assert!(align <= ALIGN);
        // The newest one: perhaps it was mapped for this. Small requests, where there is room for them, too.
        let newest = sync::own(&self.chunks);
        let small = if bytes < LARGE { sync::own(&self.small) } else { newest };
        for chunk in [small, newest] {
            // SAFETY: K2.
            let Some(header) = (unsafe { chunk.as_ref() }) else { continue };
            let start = header.used.get().next_multiple_of(align);
            if let Some(end) = start.checked_add(bytes).filter(|&end| end <= header.size - BEYOND) {
                header.used.set(end);
                // Relaxed: a counter; only the lock's holders add to it, so that load and store need not be one step.
                self.retained.store(self.retained() + bytes, Ordering::Relaxed);
                chunk.expose_provenance();
                // SAFETY: `start` is within the chunk, whose address is not null.
                return Ok(unsafe { NonNull::new_unchecked(chunk.cast::<u8>().add(start)) });
            }
        }
        Err(Stop::Memory(bytes))
    }

    /// A mapping from which [`take`](Self::take) can serve `bytes`. Not under the update lock.
    pub(crate) fn map(&self, bytes: usize) -> Option<Fresh> {
        // With what `take` may lose to alignment, and leaves free.
        let least = bytes.checked_add(size_of::<Chunk>() + ALIGN + BEYOND)?;
        // Relaxed: a hint; the size is read from a word of its own chunk, which stays (K2).
        let size = if bytes < LARGE {
            // Acquire [chunk]: pairs with Release in `link`. Without it loom `two_first_changes` fails.
            let small = self.small.load(Ordering::Acquire);
            sync::read(small);
            // SAFETY: K2.
            unsafe { small.as_ref() }.map_or(CHUNK, |small| small.size.saturating_mul(2)).clamp(CHUNK, MOST)
        } else {
            least
        };
        let chunk: NonNull<Chunk> = sync::map(size)?.cast();
        let header = Chunk { older: ptr::null_mut(), size, used: Cell::new(size_of::<Chunk>()) };
        // SAFETY: fresh memory of at least one page, aligned to it.
        unsafe { chunk.write(header) };
        Some(Fresh(chunk))
    }

    /// Links a fresh chunk. Under the update lock.
    pub(crate) fn link(&self, fresh: Fresh) {
        let Fresh(chunk) = fresh;
        let older = sync::own(&self.chunks);
        // SAFETY: nobody else knows the chunk yet.
        let size = unsafe {
            (*chunk.as_ptr()).older = older;
            chunk.as_ref().size
        };
        sync::wrote(chunk.as_ptr());
        // Release [chunk]: pairs with Acquire in `owns`. Without it loom `an_equal_value_changes_nothing` fails.
        self.chunks.store(chunk.as_ptr(), Ordering::Release);
        if size % CHUNK == 0 && size <= MOST {
            // Release [chunk]: pairs with Acquire in `map`. Without it loom `two_first_changes` fails.
            self.small.store(chunk.as_ptr(), Ordering::Release);
        }
    }

    /// Forgets all chunks: nothing of what was handed out is known from now on. It stays where it is. Under the update lock, in a
    /// child that was forked in the middle of a change.
    pub(crate) fn forget(&self) {
        // Relaxed, all: the lock orders us before who comes next.
        self.small.store(ptr::null_mut(), Ordering::Relaxed);
        self.chunks.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Gives back the pages of something that was handed out, which nobody needs: they become zero. Not under the update lock.
    ///
    /// # Safety
    /// - as said.
    pub(crate) unsafe fn discard(&self, range: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { sync::discard(range) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// K4, up to where a chunk is full; and which bytes are ours.
    #[test]
    fn a_chunk_ends_with_bytes_that_can_be_read() {
        for bytes in [1, 40, 1_000] {
            let arena = Arena::new();
            let fresh = arena.map(bytes).unwrap();
            let (at, size) = (fresh.0.addr().get(), CHUNK);
            arena.link(fresh);
            let mut last = 0;
            while let Ok(taken) = arena.take(bytes, 1) {
                assert!(taken.addr().get() >= last, "the same memory twice");
                last = taken.addr().get() + bytes;
                assert!(last + BEYOND <= at + size);
            }
            assert!(last + bytes + BEYOND > at + size, "no more was left free than must be");
            let owns = |addr: usize| arena.owns(ptr::without_provenance(addr));
            assert!(owns(at) && owns(at + size - 1) && !owns(at + size) && !owns(at - 1));
        }
    }

    /// The size of a new chunk for so many bytes.
    fn grow(arena: &Arena, bytes: usize) -> usize {
        let fresh = arena.map(bytes).unwrap();
        // SAFETY: a fresh chunk.
        let size = unsafe { fresh.0.as_ref() }.size;
        arena.link(fresh);
        size
    }

    /// Memory for so many bytes, aligned, from a chunk in which there is room, or else from a new one, whose size is returned, too.
    fn take(arena: &Arena, bytes: usize, align: usize) -> (usize, Option<usize>) {
        if let Ok(taken) = arena.take(bytes, align) {
            return (taken.addr().get(), None);
        }
        let size = grow(arena, bytes);
        (arena.take(bytes, align).expect("it was mapped for this").addr().get(), Some(size))
    }

    /// Each chunk is twice as large as the one before, up to a limit; what is large has a chunk of its own, and does not become the one that
    /// small requests are served from.
    #[test]
    fn chunks_double_and_large_requests_have_their_own() {
        let arena = Arena::new();
        let (mut expected, mut sum, mut last) = (CHUNK, 0, 0);
        for i in 0..if cfg!(miri) { 100 } else { 10_000 } {
            let (bytes, align) = (1 + i * 7 % 1_000, 1 << (i % 7));
            let (at, size) = take(&arena, bytes, align);
            assert_eq!(at % align, 0);
            if let Some(size) = size {
                assert_eq!(size, expected);
                expected = (2 * expected).min(MOST);
            } else {
                assert!(at >= last && at - last < ALIGN, "where the one before ended");
            }
            (last, sum) = (at + bytes, sum + bytes);
            if i % 100 == 0 {
                let (at, size) = take(&arena, LARGE + i, ALIGN);
                // (As many bytes as a chunk has there may be left in the newest one.)
                assert!(size.is_none_or(|size| size == LARGE + i + size_of::<Chunk>() + ALIGN + BEYOND));
                assert_eq!(at % ALIGN, 0);
                // SAFETY: so much was handed out.
                unsafe { ptr::with_exposed_provenance_mut::<u8>(at).write_bytes(1, LARGE + i) };
                sum += LARGE + i;
                if size.is_none() {
                    last = at + LARGE + i;
                }
            }
            assert_eq!(arena.retained(), sum);
        }
        // Half of the smallest chunk is large, and not served from one for small requests.
        let (arena, large) = (Arena::new(), 1 << 15);
        let sizes = (grow(&arena, large - 1), grow(&arena, large));
        assert_eq!(sizes, (CHUNK, large + size_of::<Chunk>() + ALIGN + BEYOND));
        let last = arena.take(large, 1).unwrap().addr().get();
        assert!(arena.take(large, 1).is_err() && arena.take(large - 1, 1).is_ok());
        arena.forget();
        assert!(arena.take(1, 1).is_err() && !arena.owns(ptr::without_provenance(last - 1)));
        assert!(arena.map(usize::MAX - 8).is_none());
    }
}
