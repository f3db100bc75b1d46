//! What a Python program was doing: its functions are not on the stack of the machine, where all of them are one C function.
//!
//! The interpreter is asked in one of three ways, all by a thread that holds the interpreter's lock, and only for changes while more
//! than one thread lives. None allocates, takes a lock, raises, or runs code of the program:
//! - `_Py_DumpTraceback`, which `faulthandler` calls in the midst of a crash, where it is exported (3.6 to 3.8, 3.11, 3.12).
//! - 3.9 and 3.10: from frame to frame by the public functions.
//! - 3.13: from frame to frame by the offsets that the interpreter publishes for debuggers.
//!
//! Of any other interpreter the report says that its lines are missing: there is the C stack alone.

use crate::file::{Part, Path, put, take};
use crate::record::mix;
use crate::{next, sys};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use mtsafe_env_trace_layout::{self as layout, File, SCRIPT_BYTES};

const GET_THIS: &[&str] = &["PyGILState_GetThisThreadState"];
const GET_CURRENT: &[&str] = &["_PyThreadState_UncheckedGet", "PyThreadState_GetUnchecked"];

/// How the interpreter is asked; stored last.
static WAY: AtomicUsize = AtomicUsize::new(NO_INTERPRETER);
const NO_INTERPRETER: usize = 0;
/// There is one, and no way to ask it.
const SILENT: usize = 1;
const DUMP: usize = 2;
const PUBLIC: usize = 3;
const OFFSETS: usize = 4;
/// What that way needs, in the order in which `find` asks for it.
static NEEDED: [AtomicUsize; 9] = [const { AtomicUsize::new(0) }; _];
/// Offsets: of the file and the name in a code object, then of the current frame in a thread's state, and of the frame before, the
/// code and the owner in a frame.
static AT: [AtomicUsize; 6] = [const { AtomicUsize::new(0) }; _];

/// An object of the interpreter.
type Object = *mut c_void;
type Get = unsafe extern "C" fn() -> Object;
type Step = unsafe extern "C" fn(Object) -> Object;
type Drop = unsafe extern "C" fn(Object);
type Line = unsafe extern "C" fn(Object) -> c_int;
type Length = unsafe extern "C" fn(Object) -> isize;
type Letter = unsafe extern "C" fn(Object, isize) -> u32;
type Dump = unsafe extern "C" fn(c_int, Object);

#[link(name = "c")]
unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Looks for an interpreter among what is loaded.
pub(crate) fn find() {
    let way = if let Some(found) = next::find_in_one([GET_THIS, GET_CURRENT, &["_Py_DumpTraceback"]]) {
        remember(&found);
        DUMP
    } else if let Some(found) = next::find_in_one([
        GET_THIS,
        GET_CURRENT,
        &["PyCode_Type"],
        &["PyUnicode_GetLength"],
        &["PyUnicode_ReadChar"],
        &["PyUnstable_InterpreterFrame_GetLine"],
        &["_PyRuntime"],
    ]) {
        remember(&found);
        // SAFETY: the interpreter's variables of these names.
        if unsafe { code_offsets(found[2]) && published_offsets(found[6]) } { OFFSETS } else { SILENT }
    } else if let Some(found) = next::find_in_one([
        GET_THIS,
        GET_CURRENT,
        &["PyCode_Type"],
        &["PyUnicode_GetLength"],
        &["PyUnicode_ReadChar"],
        &["PyFrame_GetLineNumber"],
        &["PyEval_GetFrame"],
        &["PyFrame_GetBack"], // since 3.9
        &["Py_DecRef"],
    ]) {
        remember(&found);
        // From 3.11 on the frames are no objects until somebody asks for one; it has this variable, too.
        let older = next::find_in_one([&["Py_Version"]]).is_none();
        // SAFETY: as above.
        if older && unsafe { code_offsets(found[2]) } { PUBLIC } else { SILENT }
    } else if next::find_in_one([GET_THIS]).is_some() {
        SILENT
    } else {
        return;
    };
    // Release [python]: who finds the way finds what it needs.
    WAY.store(way, Ordering::Release);
}

fn remember(found: &[usize]) {
    // Relaxed: Release [python] in `find`.
    NEEDED.iter().zip(found).for_each(|(to, &from)| to.store(from, Ordering::Relaxed));
}

/// Where a code object has its file and its name, as its type tells scripts. False: this is not the type that it should be.
///
/// # Safety
/// - `code_type` is the address of the interpreter's `PyCode_Type`.
unsafe fn code_offsets(code_type: usize) -> bool {
    const TYPE_NAME: usize = 24;
    const TYPE_MEMBERS: usize = 240;
    /// `PyMemberDef`: name, type, offset, flags, text.
    type Member = [usize; 5];
    // SAFETY: a type object; its first words have been these in every version with 64 bits, but where objects begin with more than
    // count and type (a build for debugging, or without the interpreter's lock), which the name tells.
    unsafe {
        let name = *((code_type + TYPE_NAME) as *const *const c_char);
        if name.addr() < 4096 || CStr::from_ptr(name) != c"code" {
            return false;
        }
        let mut member = *((code_type + TYPE_MEMBERS) as *const *const Member);
        if member.is_null() {
            return false;
        }
        let mut found = [0; 2];
        while (*member)[0] != 0 {
            let name = CStr::from_ptr((*member)[0] as *const c_char);
            if name == c"co_filename" {
                found[0] = (*member)[2];
            } else if name == c"co_name" {
                found[1] = (*member)[2];
            }
            member = member.add(1);
        }
        // Relaxed: Release [python] in `find`.
        AT.iter().zip(found).for_each(|(to, from)| to.store(from, Ordering::Relaxed));
        !found.contains(&0)
    }
}

/// What Python 3.13 publishes at the beginning of `_PyRuntime`. False: not that version, or a build without the interpreter's lock.
///
/// # Safety
/// - `runtime` is the address of the interpreter's `_PyRuntime`.
unsafe fn published_offsets(runtime: usize) -> bool {
    const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");
    // Words: cookie, version, without a lock; 3 of the runtime, 13 of an interpreter; of a thread 9, the fifth its current frame; of
    // a frame 6, the second the frame before, the third the code, the sixth the owner.
    const CURRENT: usize = 3 + 3 + 13 + 4;
    const BEFORE: usize = 3 + 3 + 13 + 9 + 1;
    const CODE: usize = BEFORE + 1;
    const OWNER: usize = BEFORE + 4;
    // SAFETY: longer than that in a version that has the cookie.
    unsafe {
        let words = runtime as *const u64;
        if *words != COOKIE || *words.add(1) >> 16 != 0x030d || *words.add(2) != 0 {
            return false;
        }
        for (to, word) in AT[2..].iter().zip([CURRENT, BEFORE, CODE, OWNER]) {
            // Relaxed: Release [python] in `find`.
            to.store(*words.add(word) as usize, Ordering::Relaxed);
        }
    }
    true
}

/// A function that was found.
///
/// # Safety
/// - `F` is the type of a pointer to it.
unsafe fn needed<F: Copy>(index: usize) -> F {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    // Relaxed: Acquire [python] in `script`.
    // SAFETY: the caller's promise.
    unsafe { core::mem::transmute_copy(&NEEDED[index].load(Ordering::Relaxed)) }
}

fn at(index: usize) -> usize {
    // Relaxed: as above.
    AT[index].load(Ordering::Relaxed)
}

/// 1 + the index of what the interpreter says of this thread, or 0.
pub(crate) fn script(file: &File) -> u32 {
    // Acquire [python]: pairs with Release in `find`.
    let way = WAY.load(Ordering::Acquire);
    match way {
        NO_INTERPRETER => return 0,
        SILENT => {
            // Relaxed: see the layout's documentation.
            file.header.silent_interpreter.store(1, Ordering::Relaxed);
            return 0;
        }
        _ => {}
    }
    // SAFETY: the interpreter's functions of these names, which have had these types since Python 3.6; any thread may call them.
    let (this, current) = unsafe { (needed::<Get>(0)(), needed::<Get>(1)()) };
    if this.is_null() || this != current {
        return 0; // not a thread of the interpreter, or without its lock: its state may change under us
    }
    // SAFETY: the state of the calling thread, which holds the lock.
    unsafe {
        match way {
            DUMP => dumped(file, this),
            OFFSETS => keep(file, walk_offsets(this).bytes()),
            _ => keep(file, walk_public().bytes()),
        }
    }
}

/// # Safety
/// - `this` is the state of the calling thread, which holds the interpreter's lock.
unsafe fn dumped(file: &File, this: Object) -> u32 {
    /// More than a traceback has.
    const LONGEST: u64 = 1 << 20;
    if sys::size_limit() < LONGEST {
        return 0; // a file in memory is one, too
    }
    let text = sys::memory_file();
    if text < 0 {
        return 0;
    }
    // SAFETY: libc's, for this thread.
    let errno = unsafe { __errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *errno };
    // SAFETY: the caller's promise; its type since Python 3.6.
    unsafe { needed::<Dump>(2)(text as c_int, this) };
    // SAFETY: as above.
    unsafe { *errno = kept };
    let mut bytes = [0; SCRIPT_BYTES];
    let length = sys::read_start(text, &mut bytes).clamp(0, SCRIPT_BYTES as isize).cast_unsigned();
    sys::close(text);
    keep(file, &bytes[..length])
}

/// Frames that are asked for.
const MOST: usize = 64;

/// The lines of Python 3.9 and 3.10, whose frames are objects.
///
/// # Safety
/// - the calling thread holds the interpreter's lock.
unsafe fn walk_public() -> Path<SCRIPT_BYTES> {
    let mut text = Path::new();
    // SAFETY: public functions with their types. What runs holds its frames, so that a count given back is never the last.
    unsafe {
        let (line, before, drop) = (needed::<Line>(5), needed::<Step>(7), needed::<Drop>(8));
        /// `f_code`, behind count, type, size and the frame before.
        const CODE: usize = 32;
        let mut frame = needed::<Get>(6)();
        for _ in 0..MOST {
            if frame.is_null() {
                break;
            }
            one(&mut text, word(frame, CODE), line(frame));
            let next = before(frame);
            if !next.is_null() {
                drop(next);
            }
            frame = next;
        }
    }
    text
}

/// The lines of Python 3.13.
///
/// # Safety
/// - `this` is the state of the calling thread, which holds the interpreter's lock.
unsafe fn walk_offsets(this: Object) -> Path<SCRIPT_BYTES> {
    /// `FRAME_OWNED_BY_CSTACK`: C calls Python here, and there is no code.
    const OWNED_BY_C: u8 = 3;
    let mut text = Path::new();
    // SAFETY: the offsets are the interpreter's own; frames of a thread that holds the lock stay as they are.
    unsafe {
        let line = needed::<Line>(5);
        let mut frame = word(this, at(2));
        for _ in 0..MOST {
            if frame.is_null() {
                break;
            }
            if *frame.cast::<u8>().add(at(5)) != OWNED_BY_C {
                one(&mut text, word(frame, at(4)), line(frame));
            }
            frame = word(frame, at(3));
        }
    }
    text
}

/// # Safety
/// - there is an object with a pointer at this offset.
unsafe fn word(object: Object, offset: usize) -> Object {
    // SAFETY: the caller's promise.
    unsafe { *object.byte_add(offset).cast::<Object>() }
}

/// One line, as `_Py_DumpTraceback` has them. Nothing if this is no code object, or does not fit.
///
/// # Safety
/// - `code` is null or an object, and the calling thread holds the interpreter's lock.
unsafe fn one(text: &mut Path<SCRIPT_BYTES>, code: Object, line: c_int) {
    /// `ob_type`, behind the count.
    const TYPE: usize = 8;
    /// More than a line can take beside its texts.
    const ROOM: usize = 64;
    /// Characters of a file or name.
    const LETTERS: usize = 400;
    // SAFETY: the caller's promise.
    unsafe {
        if code.is_null() || word(code, TYPE) != needed::<Object>(2) {
            return;
        }
        let (file, name) = (word(code, at(0)), word(code, at(1)));
        let letters = |of: Object| needed::<Length>(3)(of).clamp(0, LETTERS as isize);
        if (letters(file) + letters(name)).cast_unsigned() * 4 + ROOM > text.room() {
            return;
        }
        let push = |text: &mut Path<SCRIPT_BYTES>, of: Object| {
            for index in 0..letters(of) {
                let letter = char::from_u32(needed::<Letter>(4)(of, index)).unwrap_or('?');
                text.push(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
        };
        text.push(b"  File \"");
        push(text, file);
        text.push(b"\", line ").push_number(line.max(0).cast_unsigned()).push(b" in ");
        push(text, name);
        text.push(b"\n");
    }
}

fn keep(file: &File, text: &[u8]) -> u32 {
    if text.is_empty() {
        return 0;
    }
    let key = text.chunks(8).fold(1, |key, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(key, u64::from_ne_bytes(word))
    }) | 1;
    // Relaxed, all: see the layout's documentation.
    let used = file.header.next_script.load(Ordering::Relaxed) as usize;
    let reserved = file.header.reserved[Part::Scripts as usize].load(Ordering::Relaxed) as usize;
    let known = &file.scripts[..used.min(reserved).min(layout::SCRIPTS)];
    if let Some(index) = known.iter().position(|script| script.key.load(Ordering::Relaxed) == key) {
        return index as u32 + 1;
    }
    let Some(index) = take(file, Part::Scripts) else { return 0 };
    let script = &file.scripts[index];
    put(&script.text, text);
    script.length.store(text.len() as u64, Ordering::Relaxed);
    script.key.store(key, Ordering::Relaxed);
    index as u32 + 1
}
