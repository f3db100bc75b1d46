//! The file of this process: where it is, when it is made, how it grows.

use crate::{environ, frame, list, modules, sys};
use core::ffi::CStr;
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};
use mtsafe_env_trace_layout::{self as layout, File, VARIABLE, reason};

// What is asked for, from the variable. Written once, or twice with the same bytes.
static KNOWN: AtomicU32 = AtomicU32::new(UNREAD);
const UNREAD: u32 = 0;
const PASSIVE: u32 = 1;
const ACTIVE: u32 = 2;
static VALUES: AtomicU8 = AtomicU8::new(0);
static FIRST: AtomicU8 = AtomicU8::new(0);
/// Filters for system calls that the front end is under.
static FILTERS: AtomicU32 = AtomicU32::new(0);
/// 1: the process has limited its system calls, and any that we made could kill it.
static SILENT: AtomicU8 = AtomicU8::new(0);
/// The folder, zeros behind it.
static FOLDER: [AtomicU8; 400] = [const { AtomicU8::new(0) }; _];

/// True if values are to be recorded.
pub(crate) fn with_values() -> bool {
    // Relaxed: written before there is a file.
    VALUES.load(Ordering::Relaxed) != 0
}

/// True if the process is to stop at the first change beside threads.
pub(crate) fn stop_at_first() -> bool {
    // Relaxed: as above.
    FIRST.load(Ordering::Relaxed) != 0
}

/// True if no system call may be made.
#[inline(always)]
pub(crate) fn is_silent() -> bool {
    // Relaxed: a filter holds for the thread that sets it, and others only after they have met it.
    SILENT.load(Ordering::Relaxed) != 0
}

/// The process is about to limit its system calls: no more of ours. What can be counted without is counted.
pub(crate) fn be_silent() {
    // Relaxed: as above.
    SILENT.store(1, Ordering::Relaxed);
}

/// Reads the variable, if nobody has. True if there is something to do.
pub(crate) fn configure() -> bool {
    // Acquire [known]: what `KNOWN` says was there is there.
    match KNOWN.load(Ordering::Acquire) {
        PASSIVE => return false,
        ACTIVE => return true,
        _ => {}
    }
    let Some(environ) = environ() else { return false };
    // Relaxed: a list that nobody changes yet; the kernel's in all likelihood.
    let mut slot = environ.load(Ordering::Relaxed);
    if slot.is_null() {
        return false; // libc has not set it yet
    }
    let mut known = PASSIVE;
    loop {
        // SAFETY: the list of the environment ends in a null, at which the loop ends.
        let entry = unsafe { *slot };
        if entry.is_null() {
            break;
        }
        // SAFETY: an entry of the environment is a string.
        let entry = unsafe { CStr::from_ptr(entry.cast()) }.to_bytes();
        let value = entry.strip_prefix(VARIABLE.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        if let Some(colon) = value.and_then(|value| value.iter().position(|&byte| byte == b':')) {
            let (options, folder) = value.unwrap_or_default().split_at(colon);
            let folder = &folder[1..];
            if folder.len() < FOLDER.len() {
                // Relaxed: Release [known] below.
                VALUES.store(options.contains(&layout::OPTION_VALUES).into(), Ordering::Relaxed);
                FIRST.store(options.contains(&layout::OPTION_FIRST).into(), Ordering::Relaxed);
                let number = |all: u32, &byte: &u8| match byte {
                    b'0'..=b'9' => all.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')),
                    _ => all,
                };
                FILTERS.store(options.iter().fold(0, number), Ordering::Relaxed);
                put(&FOLDER, folder);
                known = ACTIVE;
            }
            break;
        }
        // SAFETY: not the terminator.
        slot = unsafe { slot.add(1) };
    }
    // Release [known]: pairs with Acquire [known] above.
    KNOWN.store(known, Ordering::Release);
    known == ACTIVE
}

/// Stores a text, cut if need be.
pub(crate) fn put(to: &[AtomicU8], text: &[u8]) {
    // Relaxed: see the layout's documentation.
    to.iter().zip(text).for_each(|(to, &byte)| to.store(byte, Ordering::Relaxed));
}

/// A page of this process's own, which a forked child finds zero: it then makes a file of its own.
#[repr(C)]
struct Own {
    file: AtomicPtr<File>,
    /// 1: there is no file, and no use in trying again.
    failed: AtomicU32,
    /// 1: the kernel does not wipe pages, the process has to be asked for at every call.
    ask: AtomicU32,
    /// The process that the memory belongs to: a child by `vfork` has another id. 0: not known, a child by `fork`.
    process: AtomicU32,
}

const PAGE: usize = 4096;
static OWN: AtomicPtr<Own> = AtomicPtr::new(ptr::null_mut());

/// The file of this process, if it is traced; made by the first call.
#[inline(always)]
pub(crate) fn file() -> Option<&'static File> {
    // Acquire [own]: the page is what `attach` made of it.
    // SAFETY: null or our page, which stays.
    let own = unsafe { OWN.load(Ordering::Acquire).as_ref() };
    if let Some(own) = own {
        // Relaxed: set once, before there is a file.
        if own.ask.load(Ordering::Relaxed) == 0 {
            // Acquire [file]: the file is what `attach` made of it.
            // SAFETY: null or the mapping, which stays.
            if let Some(file) = unsafe { own.file.load(Ordering::Acquire).as_ref() } {
                return Some(file);
            }
        }
    }
    attach()
}

/// The file, if there is one.
pub(crate) fn existing() -> Option<&'static File> {
    // Acquire [own], [file]: as in `file`.
    // SAFETY: as there.
    unsafe { OWN.load(Ordering::Acquire).as_ref()?.file.load(Ordering::Acquire).as_ref() }
}

#[cold]
fn attach() -> Option<&'static File> {
    if is_silent() || !configure() {
        return None;
    }
    let own = own()?;
    // Relaxed: words of this process alone, or of a parent; only `ask` makes them differ.
    let mut process = own.process.load(Ordering::Relaxed);
    if process == 0 || own.ask.load(Ordering::Relaxed) != 0 {
        let now = sys::process_id();
        if now != process {
            own.process.store(now, Ordering::Relaxed);
            own.file.store(ptr::null_mut(), Ordering::Relaxed);
            own.failed.store(0, Ordering::Relaxed);
            process = now;
        }
    }
    // Acquire [file]: as in `file`.
    // SAFETY: as there.
    if let Some(file) = unsafe { own.file.load(Ordering::Acquire).as_ref() } {
        return Some(file);
    }
    // Relaxed: a hint.
    if own.failed.load(Ordering::Relaxed) != 0 {
        return None;
    }
    let Some(file) = make(process) else {
        own.failed.store(1, Ordering::Relaxed);
        return None;
    };
    let at = ptr::from_ref(file).cast_mut();
    // Release [file]: who finds the file finds it filled. Acquire: the other's.
    match own.file.compare_exchange(ptr::null_mut(), at, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(file),
        // Another thread, or the frame that a signal handler interrupted, was faster.
        Err(theirs) => {
            with_path(file, sys::unlink);
            // SAFETY: `make` mapped it, and nobody has seen it.
            unsafe { sys::unmap(at.addr(), size_of::<File>()) };
            // SAFETY: a mapping that stays.
            unsafe { theirs.as_ref() }
        }
    }
}

/// Before `main`: asks what to do, and remembers the process.
pub(crate) fn prepare() {
    if !configure() {
        return;
    }
    // By calls that the dynamic linker has made just now.
    if let Some((process, filters)) = filters()
        // Relaxed: stored by `configure`.
        && filters > FILTERS.load(Ordering::Relaxed)
    {
        be_silent();
        let marker = sys::open(path_of(process, reason::FILTER).as_c(), libc::O_RDWR | libc::O_CREAT);
        if marker >= 0 {
            sys::close(marker);
        }
        return;
    }
    if let Some(own) = own() {
        // Relaxed: nobody else yet.
        own.process.store(sys::process_id(), Ordering::Relaxed);
    }
}

/// This process, and the filters for system calls that it is under; before Linux 5.9 whether there are any.
fn filters() -> Option<(u32, u32)> {
    let status = sys::open(c"/proc/self/status", libc::O_RDONLY);
    if status < 0 {
        return None;
    }
    let mut text = [0; 4096];
    let length = sys::read(status, &mut text).clamp(0, 4096).cast_unsigned();
    sys::close(status);
    layout::filters(&text[..length])
}

/// A path in the folder: the process, a dot, the rest.
fn path_of(process: u32, rest: &str) -> Path<480> {
    let mut path = Path::new();
    for byte in &FOLDER {
        // Relaxed: Acquire [known] in `configure`.
        match byte.load(Ordering::Relaxed) {
            0 => break,
            byte => path.push(&[byte]),
        };
    }
    path.push(b"/").push_number(process).push(b".").push(rest.as_bytes());
    path
}

/// Says why there is no file, for the front end to tell.
fn give_up(process: u32, why: &str) {
    sys::make_directory(path_of(process, why).as_c());
}

fn own() -> Option<&'static Own> {
    // Acquire [own]: as in `file`.
    let old = OWN.load(Ordering::Acquire);
    if !old.is_null() {
        // SAFETY: our page, which stays.
        return unsafe { old.as_ref() };
    }
    let page = sys::map(None, PAGE) as *mut Own;
    // SAFETY: new memory of that size, or null; zeros are an `Own`.
    let own: &'static Own = unsafe { page.as_ref() }?;
    // Relaxed: Release [own] below.
    own.ask.store((!sys::wipe_on_fork(page.addr(), PAGE)).into(), Ordering::Relaxed);
    // Release [own]: pairs with Acquire [own] in `file`.
    match OWN.compare_exchange(ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(own),
        Err(theirs) => {
            // SAFETY: nobody has seen it.
            unsafe { sys::unmap(page.addr(), PAGE) };
            // SAFETY: another thread's page, which stays.
            unsafe { theirs.as_ref() }
        }
    }
}

/// Digits of a number, at the end of the buffer.
pub(crate) fn digits(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}

/// A path in the making, on the stack.
pub(crate) struct Path<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Path<N> {
    pub(crate) fn new() -> Path<N> {
        Path { bytes: [0; N], length: 0 }
    }

    /// Appends, and cuts what has no room.
    pub(crate) fn push(&mut self, text: &[u8]) -> &mut Self {
        for &byte in text {
            if self.length + 1 < N {
                self.bytes[self.length] = byte;
                self.length += 1;
            }
        }
        self
    }

    pub(crate) fn push_number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.push(digits(number.into(), &mut [0; 20]))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        N - 1 - self.length
    }

    pub(crate) fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// What is promised from the start: all but the parts that grow, and the first modules.
const EAGER: usize = offset_of!(File, modules) + MODULES_STEP * size_of::<layout::Module>();
const MODULES_STEP: usize = 128;

fn make(process: u32) -> Option<&'static File> {
    let start = sys::now();
    if sys::size_limit() < size_of::<File>() as u64 {
        give_up(process, reason::SIZE);
        return None;
    }
    let mut path = path_of(process, "");
    path.push_number(start);
    let on_disk = sys::open(path.as_c(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL);
    if on_disk < 0 {
        give_up(process, reason::FILE);
        return None;
    }
    let mut at = 0;
    if sys::set_length(on_disk, size_of::<File>()) && sys::promise(on_disk, 0, EAGER) {
        at = sys::map(Some(on_disk), size_of::<File>());
        if at == 0 {
            give_up(process, reason::MEMORY);
        }
    } else {
        give_up(process, reason::ROOM);
    }
    sys::close(on_disk);
    // SAFETY: null, or a new mapping of that size; zeros are a `File`.
    let Some(file) = (unsafe { (at as *const File).as_ref() }) else {
        sys::unlink(path.as_c());
        return None;
    };
    let header = &file.header;
    // Relaxed, all: see the layout's documentation.
    header.machine.store(frame::MACHINE, Ordering::Relaxed);
    header.pid.store(process, Ordering::Relaxed);
    header.parent.store(sys::parent_id(), Ordering::Relaxed);
    header.start.store(start, Ordering::Relaxed);
    header.reserved[Part::Modules as usize].store(MODULES_STEP as u32, Ordering::Relaxed);
    put(&header.path, path.as_c().to_bytes());
    let command = sys::open(c"/proc/self/cmdline", libc::O_RDONLY);
    if command >= 0 {
        let mut bytes = [0; 512];
        let length = sys::read(command, &mut bytes).clamp(0, 511) as usize;
        put(&header.command, &bytes[..length]);
        sys::close(command);
    }
    modules::scan(file, start);
    list::remember(file, sys::thread_id());
    header.magic.store(layout::MAGIC, Ordering::Relaxed);
    Some(file)
}

fn with_path(file: &File, act: impl FnOnce(&CStr)) {
    let mut path = [0; 512];
    // Relaxed: stored before anybody saw the file.
    path.iter_mut().zip(&file.header.path).for_each(|(to, from)| *to = from.load(Ordering::Relaxed));
    act(CStr::from_bytes_until_nul(&path).unwrap_or_default());
}

/// A part of the file that grows.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Modules,
    Changes,
    Stacks,
    Scripts,
}

/// The next free element of a part: its index. `None` if the part or the file system is full.
pub(crate) fn take(file: &File, part: Part) -> Option<usize> {
    use layout::{Change, Module, Script, Stack};
    let header = &file.header;
    let (next, most, step, offset, size) = match part {
        Part::Modules => {
            let at = offset_of!(File, modules);
            (&header.next_module, layout::MODULES, MODULES_STEP, at, size_of::<Module>())
        }
        Part::Changes => {
            (&header.next_change, layout::CHANGES, 64, offset_of!(File, changes), size_of::<Change>())
        }
        Part::Stacks => (&header.next_stack, layout::STACKS, 4, offset_of!(File, stacks), size_of::<Stack>()),
        Part::Scripts => {
            (&header.next_script, layout::SCRIPTS, 16, offset_of!(File, scripts), size_of::<Script>())
        }
    };
    // Relaxed: a count; what belongs to it is the caller's.
    if next.load(Ordering::Relaxed) as usize >= most {
        return None; // and the count never wraps
    }
    let index = next.fetch_add(1, Ordering::Relaxed) as usize;
    if index >= most {
        return None;
    }
    let reserved = &header.reserved[part as usize];
    // Relaxed: the promise is the kernel's, not ours.
    if index >= reserved.load(Ordering::Relaxed) as usize {
        let from = index - index % step;
        let bytes = (size_of::<File>() - offset - from * size).min(step * size);
        // Without a descriptor first, which the program may have run out of, and wherever its root and its user are now.
        let begin = core::ptr::from_ref(file).addr() + offset + from * size;
        let page = begin - begin % PAGE;
        let mut promised = sys::populate(page, (begin + bytes).next_multiple_of(PAGE) - page);
        with_path(file, |path| {
            if promised {
                return; // since Linux 5.14
            }
            // No descriptor is kept: the program may count or close them.
            let on_disk = sys::open(path, libc::O_RDWR);
            if on_disk >= 0 {
                promised = sys::promise(on_disk, offset + from * size, bytes);
                sys::close(on_disk);
            }
        });
        if !promised {
            return None;
        }
        reserved.fetch_max((from + step) as u32, Ordering::Relaxed);
    }
    Some(index)
}
