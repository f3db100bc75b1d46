//! `mtsafe-env diagnose`: whether a crash is the one that the library prevents.

use crate::backtrace::{Backtrace, Frame, Thread};
use crate::commands::{Command, Opt};
use crate::core_file;
use crate::failure::Failure;
use crate::libc_kind::{self, Libc};
use lexopt::{Arg, Parser};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of a text that are read at most.
const MOST_TEXT: u64 = 64 << 20;
/// Exit statuses.
const KNOWN: u8 = 0;
const NOT_KNOWN: u8 = 1;
const BAD_INPUT: u8 = 2;
const UNSURE: u8 = 3;
/// Frames at the top of a stack in which the crash is looked for, below a handler that printed it.
const HANDLER_FRAMES: usize = 8;
/// A stack of so many frames that is mostly one function is an endless recursion.
const DEEP: usize = 40;

pub(crate) const COMMAND: Command = Command {
    name: "diagnose",
    arguments: "[--program FILE] [CORE | BACKTRACE | -]",
    summary: "Say whether a crash is the known one: a core file (needs gdb) or a backtrace as text; exit with 0 if it is, 1 if not, 3 if unsure",
    options: &[Opt {
        name: "program",
        value: Some("FILE"),
        help: "The program that a core file is from, if it is not where it was",
    }],
    words: &[],
    run,
};

fn run(parser: &mut Parser) -> Result<u8, Failure> {
    let (mut program, mut input) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("program") => program = Some(PathBuf::from(parser.value()?)),
            Arg::Value(value) if input.is_none() => input = Some(value),
            other => return Err(Failure { status: BAD_INPUT, ..other.unexpected().into() }),
        }
    }
    let input = input.unwrap_or_else(|| "-".into());
    let (text, libc) = read(&input, program.as_deref())?;
    let trace = Backtrace::parse(&text);
    if trace.threads.is_empty() {
        return Err(Failure::with_status(
            BAD_INPUT,
            format!(
                "no backtrace in {}: give the output of gdb's `thread apply all bt`, of `coredumpctl info`, or a core file",
                Path::new(&input).display()
            ),
        ));
    }
    let finding = judge(&trace, libc.unwrap_or_else(|| libc_of(&text, &trace)));
    io::stdout().write_all(finding.text().as_bytes()).map_err(Failure::output)?;
    Ok(match finding.sure {
        Sure::Certain | Sure::Probable => KNOWN,
        Sure::Unsure => UNSURE,
        Sure::No => NOT_KNOWN,
    })
}

/// The text to look at, and the libc if a core file told it.
fn read(input: &OsStr, program: Option<&Path>) -> Result<(String, Option<Libc>), Failure> {
    let shown = Path::new(input).display();
    let fail = |error: io::Error| Failure::with_status(BAD_INPUT, format!("cannot read {shown}: {error}"));
    let mut bytes = Vec::new();
    if input == "-" {
        io::stdin().take(MOST_TEXT).read_to_end(&mut bytes).map_err(fail)?;
    } else {
        let mut file = File::open(input).map_err(fail)?;
        if file.metadata().map_err(fail)?.is_dir() {
            return Err(Failure::with_status(BAD_INPUT, format!("{shown} is a folder")));
        }
        let mut start = Vec::new();
        (&mut file).take(4).read_to_end(&mut start).map_err(fail)?;
        if start == b"\x7fELF" {
            return core_file::backtrace(Path::new(input), program);
        }
        bytes = start;
        file.take(MOST_TEXT).read_to_end(&mut bytes).map_err(fail)?;
    }
    let compressed: [(&[u8], &str); 4] = [
        (b"\x28\xb5\x2f\xfd", "zstd -d"),
        (b"\xfd7zX", "xz -d"),
        (b"\x04\x22\x4d\x18", "lz4 -d"),
        (b"\x1f\x8b", "gzip -d"),
    ];
    if let Some((_, tool)) = compressed.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(Failure::with_status(
            BAD_INPUT,
            format!("{shown} is compressed: unpack it with {tool}, or use coredumpctl dump"),
        ));
    }
    Ok((String::from_utf8_lossy(&bytes).into_owned(), None))
}

/// The libc, by the names of files in the text.
fn libc_of(text: &str, trace: &Backtrace) -> Libc {
    let frames = || trace.threads.iter().flat_map(|thread| &thread.frames);
    let musl = frames().any(|frame| {
        frame.module.contains("ld-musl")
            || frame.source.starts_with("src/env/")
            || frame.source.contains("/musl")
    }) || text.contains("ld-musl-");
    if musl {
        return Libc::Musl(None);
    }
    let version = ["glibc-", "glibc_", "GLIBC ", "libc-", "GNU libc) "].iter().find_map(|word| {
        text.match_indices(word).find_map(|(at, _)| libc_kind::version(&text.as_bytes()[at + word.len()..]))
    });
    let glibc = version.is_some()
        || frames().any(|frame| {
            frame.module.contains("libc.so.6")
                || frame.module.contains("ld-linux")
                || frame.function.starts_with("__GI_")
                || frame.source.contains("stdlib/getenv.c")
                || frame.source.contains("sysdeps/")
                || frame.source.contains("/nptl/")
        });
    if glibc { Libc::Glibc(version.filter(|(major, _)| *major == 2)) } else { Libc::Unknown }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sure {
    Certain,
    Probable,
    Unsure,
    No,
}

/// What is said in the end.
#[derive(Debug)]
struct Finding {
    sure: Sure,
    /// Why, in one sentence.
    why: String,
    /// Who read, and for whom.
    reader: Option<String>,
    /// Who else was changing the environment.
    writer: Option<String>,
    libc: Libc,
    advice: &'static str,
}

impl Finding {
    fn text(&self) -> String {
        let verdict = match self.sure {
            Sure::Certain => "yes: this is the known crash, a read of the environment beside a change",
            Sure::Probable => {
                "very likely: this looks like the known crash, a read of the environment beside a change"
            }
            Sure::Unsure => "unsure: this may be the known crash, and may be another",
            Sure::No => "no: this is another crash",
        };
        let mut text = format!("verdict: {verdict}\nwhy:     {}\n", self.why);
        if let Some(reader) = &self.reader {
            let _ = writeln!(text, "reader:  {reader}");
        }
        if let Some(writer) = &self.writer {
            let _ = writeln!(text, "writer:  {writer}");
        }
        let need = match self.libc.needs_library() {
            Some(true) => ", which such a crash can happen in",
            Some(false) => ", whose own getenv bears a change beside it",
            None => "",
        };
        let _ = writeln!(text, "libc:    {}{need}\ntry:     {}", self.libc, self.advice);
        text
    }
}

const RUN_IT: &str = "mtsafe-env COMMAND, and mtsafe-env check PID to see that it is in force";
const MORE: &str = "install libc's debug symbols and print the backtrace of all threads (gdb: thread apply all bt); then mtsafe-env COMMAND for some days";
const ELSEWHERE: &str = "look where the backtrace points; the library would change nothing";

/// What a function's name says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// `getenv` itself.
    Getenv,
    /// Walks the list, or has `getenv` built in.
    Walker,
    /// Compares or measures strings, for whoever calls it.
    Bytes,
    Writer,
    Memory,
    /// Does nothing but end the process, or tell of the end.
    Reporter,
    Other,
}

fn role(frame: &Frame) -> Role {
    if frame.python {
        return Role::Other;
    }
    let full = frame.function.as_str();
    let name = full.trim_start_matches("__GI_").trim_start_matches("__libc_").trim_start_matches('_');
    let starts = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    match name {
        "getenv" | "secure_getenv" => return Role::Getenv,
        "setenv" | "add_to_environ" | "unsetenv" | "putenv" | "clearenv" | "env_rm_add" => {
            return Role::Writer;
        }
        "tzset_internal"
        | "tzset"
        | "do_tzset"
        | "g_get_environ"
        | "g_listenv"
        | "g_environ_getenv"
        | "convertenviron"
        | "uv_os_environ"
        | "php_import_environment_variables"
        | "Java_java_lang_ProcessEnvironment_environ"
        | "environ_dup"
        | "copy_environ"
        | "dupenv"
        | "nl_find_locale"
        | "execvpe_common"
        | "execvpe"
        | "execvp"
        | "shell_initialize_env"
        | "wordexp_env" => return Role::Walker,
        "malloc" | "free" | "realloc" | "calloc" | "cfree" | "memalign" => return Role::Memory,
        "raise" | "abort" | "gsignal" | "kill" | "tgkill" | "pthread_kill" | "wait4" | "waitpid"
        | "backtrace" | "restore_rt" | "killpg" => {
            return Role::Reporter;
        }
        _ => {}
    }
    if full.contains("std::env::") && (full.contains("vars") || full.contains("Vars"))
        || full.contains("::os::env")
        || full.starts_with("std::sys::env::")
        || full.contains("env_imp")
    {
        return Role::Walker;
    }
    if full.starts_with("core::ffi::c_str::") {
        return Role::Bytes;
    }
    if starts(&[
        "strlen",
        "strnlen",
        "strcmp",
        "strncmp",
        "strchr",
        "strchrnul",
        "memcmp",
        "memchr",
        "rawmemchr",
        "bcmp",
        "memcpy",
        "memmove",
        "strdup",
        "strcpy",
        "stpcpy",
    ]) {
        return Role::Bytes;
    }
    if starts(&[
        "int_malloc",
        "int_free",
        "int_realloc",
        "malloc_",
        "malloc_consolidate",
        "unlink_chunk",
        "tcache_",
        "arena_",
        "GI___libc_free",
        "malloc_printerr",
        "nontrivial_free",
        "je_",
        "tc_",
    ]) {
        return Role::Memory;
    }
    if starts(&["pthread_kill_", "rust_start_panic", "rust_panic", "sanitizer", "crash_handler"])
        || full.starts_with("std::panicking")
        || full.starts_with("core::panicking")
        || full.starts_with("std::sys::backtrace")
    {
        return Role::Reporter;
    }
    Role::Other
}

/// Functions of libc, and of others, that are known to read the environment on behalf of whoever calls them: for naming the reader.
fn reads_for_others(function: &str) -> bool {
    let name = function.trim_start_matches("__GI_").trim_start_matches('_');
    const PARTS: [&str; 30] = [
        "localtime",
        "tz_convert",
        "mktime",
        "strftime",
        "tzset",
        "setlocale",
        "newlocale",
        "find_locale",
        "getaddrinfo",
        "gethostby",
        "res_init",
        "res_vinit",
        "res_ninit",
        "gettext",
        "dcigettext",
        "guess_category",
        "iconv_open",
        "catopen",
        "tempnam",
        "wordexp",
        "posix_spawn",
        "execvp",
        "getopt",
        "openlog",
        "syslog",
        "std::env::var",
        "fopen",
        "ctime",
        "glob",
        "timelocal",
    ];
    PARTS.iter().any(|part| name.contains(part))
}

fn judge(trace: &Backtrace, libc: Libc) -> Finding {
    let crashed = trace.crashed().unwrap_or(0);
    let thread = &trace.threads[crashed];
    let writer = trace.threads.iter().enumerate().find_map(|(i, other)| {
        (i != crashed).then(|| {
            other.frames.iter().take(12).find(|frame| writes(frame)).map(|frame| in_thread(frame, other))
        })?
    });
    let mut finding =
        Finding { sure: Sure::No, why: String::new(), reader: None, writer, libc, advice: ELSEWHERE };
    if thread.frames.iter().all(|frame| frame.python) {
        python(&mut finding, thread);
        return finding;
    }
    let at = where_it_crashed(&thread.frames, trace.printed);
    let frames = &thread.frames[at..];
    let Some(top) = frames.first() else {
        finding.why = "the backtrace has no frame in it".into();
        return finding;
    };
    if top.module.contains("mtsafe_env") {
        finding.sure = Sure::Unsure;
        finding.why =
            format!("the crash is in the library itself ({}), which should never happen", top.function);
        finding.advice = "report it, with the backtrace; until then start the program without the library";
        return finding;
    }
    if deep_recursion(frames) {
        finding.why = format!("an endless recursion of {} used up the stack", named(repeated(frames)));
        return finding;
    }
    // Behind what compares or measures a string.
    let caller = frames.iter().take(6).position(|frame| role(frame) != Role::Bytes);
    let read = caller.filter(|caller| matches!(role(&frames[*caller]), Role::Getenv | Role::Walker));
    match read {
        Some(reader) => a_reader(&mut finding, trace, frames, reader),
        None => no_reader(&mut finding, trace, frames),
    }
    finding
}

/// A reader of the environment is where it crashed.
fn a_reader(finding: &mut Finding, trace: &Backtrace, frames: &[Frame], reader: usize) {
    let frame = &frames[reader];
    let name = quoted_name(frame);
    let mut who = named(frame) + &name.map(|name| format!(" of {name}")).unwrap_or_default();
    if let Some(caller) = frames[reader + 1..].iter().take(8).find(|frame| reads_for_others(&frame.function))
    {
        let _ = write!(who, ", for {}", named(caller));
    }
    finding.reader = Some(who);
    let top = &frames[0];
    let argument = frame.arguments.as_str();
    // glibc's getenv measures the name first, and musl's looks for a `=` in it: a crash there is the name's.
    let on_name =
        reader > 0 && ["strlen", "strchrnul"].iter().any(|function| top.function.contains(function));
    let bad_name = argument.contains("name=0x0")
        || argument.contains("name=<error")
        || argument.contains(": error: Cannot access")
        || argument.contains("<error: Cannot access");
    if role(frame) == Role::Getenv && (bad_name || on_name) {
        finding.why = "getenv was called with a name that is no string: a bug of its caller".into();
    } else if matches!(
        trace.signal,
        Some("SIGABRT" | "SIGILL" | "SIGFPE" | "SIGTRAP" | "SIGKILL" | "SIGTERM" | "SIGINT" | "panic")
    ) {
        finding.why = format!(
            "the process ended with {}, and a read of the environment can only end with SIGSEGV or SIGBUS",
            trace.signal.unwrap_or_default()
        );
    } else if role(frame) == Role::Getenv && elsewhere(frame) {
        finding.sure = Sure::Unsure;
        finding.why = format!("the getenv that crashed is not libc's but that of {}", frame.module);
        finding.advice = MORE;
    } else if finding.libc.needs_library() == Some(false) && role(frame) == Role::Getenv {
        finding.sure = Sure::Unsure;
        finding.why = "a read of the environment crashed, in a libc whose getenv bears setenv: a string of putenv that was freed, or a program that changes environ itself".into();
        finding.advice = "look for putenv and for stores to environ; mtsafe-env COMMAND helps if the change is libc's clearenv or unsetenv beside a walk";
    } else if trace.alone
        || (trace.titled && trace.threads.len() == 1 && trace.threads[0].title.contains("LWP"))
    {
        finding.sure = Sure::Unsure;
        finding.why = "a read of the environment crashed, and there is one thread: unless another has just ended, something else damaged the list".into();
        finding.advice = MORE;
    } else if finding.writer.is_some() {
        finding.sure = Sure::Certain;
        finding.why = "a read of the environment crashed while another thread was changing it".into();
        finding.advice = RUN_IT;
    } else {
        finding.sure = Sure::Probable;
        finding.why =
            "a read of the environment crashed; hardly anything but a change on another thread does that"
                .into();
        finding.advice = RUN_IT;
    }
}

/// Something else is where it crashed.
fn no_reader(finding: &mut Finding, trace: &Backtrace, frames: &[Frame]) {
    let top = &frames[0];
    let near = &frames[..frames.len().min(HANDLER_FRAMES)];
    let writes_here = near.iter().find(|frame| role(frame) == Role::Writer);
    let musl = matches!(finding.libc, Libc::Musl(_));
    if let Some(frame) = writes_here {
        finding.reader = Some(format!("none; {} was changing the environment", named(frame)));
        if musl {
            finding.sure = Sure::Probable;
            finding.why = "two threads changed the environment at once, which musl does not lock".into();
            finding.advice = RUN_IT;
        } else {
            finding.sure = Sure::Unsure;
            finding.why = format!(
                "{} crashed; glibc's writers lock each other out, so something else damaged {}",
                named(frame),
                if near.iter().any(|frame| role(frame) == Role::Memory) { "the heap" } else { "the list" }
            );
            finding.advice = "valgrind or AddressSanitizer; look for free(environ), stores to environ, and strings of putenv that were freed";
        }
        return;
    }
    let nameless = near.iter().take(2).all(|frame| frame.function.is_empty()) && in_libc(top);
    let caller = near.iter().take(4).find(|frame| reads_for_others(&frame.function));
    // Without libc's debug symbols its inner functions have no names: what is known is for whom they worked.
    if role(top) == Role::Bytes && frames.get(1).is_some_and(|caller| caller.function.contains("printf")) {
        finding.why =
            format!("{} crashed, for {}, which prints what it was given", named(top), named(&frames[1]));
    } else if let Some(caller) =
        caller.filter(|_| top.function.is_empty() && (in_libc(top) || top.module.is_empty()))
    {
        finding.sure = Sure::Unsure;
        finding.why = format!(
            "it crashed inside {}, which reads the environment, in a function without a name",
            named(caller)
        );
        finding.advice = MORE;
    } else if nameless {
        finding.sure = Sure::Unsure;
        finding.why = "it crashed in libc, in a function without a name".into();
        finding.advice = MORE;
    } else if near.iter().all(|frame| frame.function.is_empty()) {
        finding.sure = Sure::Unsure;
        finding.why = "the functions at the top have no names".into();
        finding.advice = MORE;
    } else if top.function.is_empty() && !elsewhere(top) {
        // Not a library's, or nobody knows whose. Where libc's own functions have lines, one without a name is not libc's.
        let named_libc =
            trace.threads.iter().flat_map(|thread| &thread.frames).any(|frame| {
                ["/nptl/", "sysdeps/", "/csu/"].iter().any(|folder| frame.source.contains(folder))
            });
        let caller = near.iter().find(|frame| !frame.function.is_empty()).unwrap_or(top);
        finding.why = format!("it crashed in a function without a name, below {}", named(caller));
        if named_libc {
            finding.why += ", and not in libc, whose functions have names here";
        } else {
            finding.sure = Sure::Unsure;
            finding.advice = MORE;
        }
    } else if top.function.is_empty() && (!trace.titled || finding.writer.is_some()) {
        // Another's, which may copy the list or look through it: PHP's, Ruby's and perl's own do.
        let caller = near.iter().find(|frame| !frame.function.is_empty()).unwrap_or(top);
        finding.sure = Sure::Unsure;
        finding.why =
            format!("it crashed in {}, below {}; what it does is not known", named(top), named(caller));
        finding.advice = MORE;
    } else if let Some(caller) = near.iter().take(3).find(|frame| go_calls_libc(&frame.function)) {
        finding.sure = Sure::Unsure;
        finding.why = format!("it crashed in C, called by {}, which reads the environment", named(caller));
        finding.advice = MORE;
    } else if top.function == "runtime.cgocall" {
        finding.sure = Sure::Unsure;
        finding.why = "it crashed in C, which Go does not show".into();
        finding.advice =
            "run it with GOTRACEBACK=crash and give the core file; then mtsafe-env COMMAND for some days";
    } else if role(top) == Role::Bytes && !trace.titled {
        finding.sure = Sure::Unsure;
        finding.why =
            format!("{} crashed, and the backtrace does not show what other threads did", named(top));
        finding.advice = MORE;
    } else if matches!(finding.libc, Libc::Musl(_)) && finding.writer.is_some() {
        finding.sure = Sure::Unsure;
        finding.why =
            "another thread was changing the environment, and musl's heap is damaged when two do".into();
        finding.advice = MORE;
    } else if role(top) == Role::Bytes && finding.writer.is_some() {
        finding.sure = Sure::Unsure;
        finding.why = format!(
            "{} crashed, for {}, while another thread was changing the environment",
            named(top),
            frames.get(1).map_or_else(|| "somebody".into(), named)
        );
        finding.advice = MORE;
    } else if let Some(signal) = trace.signal.filter(|signal| *signal == "panic") {
        finding.why = format!("a {signal} of the program's own, at {}", named(top));
    } else {
        let what = near
            .iter()
            .find(|frame| !frame.function.is_empty() && role(frame) != Role::Reporter)
            .unwrap_or(top);
        finding.why = match role(what) {
            Role::Memory => format!(
                "the heap was found damaged, in {}: reads of the environment do not write",
                named(what)
            ),
            _ => format!("it crashed in {}, which has nothing to do with the environment", named(what)),
        };
    }
}

/// faulthandler shows Python's functions alone: what C did for them is a guess.
fn python(finding: &mut Finding, thread: &Thread) {
    const READERS: [(&str, &str); 12] = [
        ("socket.py", "getaddrinfo"),
        ("socket.py", "create_connection"),
        ("locale.py", "setlocale"),
        ("locale.py", "getlocale"),
        ("logging/__init__.py", "formatTime"),
        ("_strptime.py", ""),
        ("gettext.py", ""),
        ("subprocess.py", "_execute_child"),
        ("base_events.py", "getaddrinfo"),
        ("http/client.py", "connect"),
        ("email/utils.py", "localtime"),
        ("calendar.py", ""),
    ];
    let top = &thread.frames[0];
    let reader = READERS.iter().any(|(file, function)| {
        top.source.ends_with(file) && (function.is_empty() || top.function == *function)
    });
    let shown = format!("{} ({})", top.function, top.source);
    match (reader, finding.writer.is_some()) {
        (true, true) => {
            finding.sure = Sure::Probable;
            finding.why = "it crashed in a Python function that makes libc read the environment, while another thread was changing it".into();
            finding.reader = Some(shown);
            finding.advice = RUN_IT;
        }
        (true, false) => {
            finding.sure = Sure::Unsure;
            finding.why = "it crashed in a Python function that makes libc read the environment; what C did is not shown".into();
            finding.reader = Some(shown);
            finding.advice = MORE;
        }
        (false, true) => {
            finding.sure = Sure::Unsure;
            finding.why = format!(
                "it crashed in {shown}, while another thread was changing the environment; what C did is not shown"
            );
            finding.advice = MORE;
        }
        (false, false) => {
            finding.why = format!("it crashed in {shown}, and nothing points to the environment")
        }
    }
}

/// The frame where it crashed: behind those of a handler that told of it, if there are any.
fn where_it_crashed(frames: &[Frame], printed: bool) -> usize {
    let is_reader = |frame: &Frame| matches!(role(frame), Role::Getenv | Role::Walker);
    // The crash itself, inside a handler that was interrupted by nothing.
    if frames.first().is_some_and(is_reader)
        || (frames.first().is_some_and(|frame| role(frame) == Role::Bytes)
            && frames.iter().take(6).find(|frame| role(frame) != Role::Bytes).is_some_and(is_reader))
    {
        return 0;
    }
    if let Some(signal) = frames.iter().position(|frame| frame.signal || frame.function == "__restore_rt") {
        return (signal + 1).min(frames.len() - 1);
    }
    // Printed by the program: the handler's own frames, one without a name or of libc's return from a handler, and then the crash.
    let gate = frames.iter().take(HANDLER_FRAMES).skip(1).position(|frame| {
        frame.function == "__restore_rt"
            || frame.function == "killpg"
            || (frame.function.is_empty() && (in_libc(frame) || frame.module.is_empty()))
    });
    if let Some(gate) = gate.map(|behind| behind + 1).filter(|gate| printed && *gate < frames.len() - 1) {
        return gate + 1;
    }
    frames.iter().position(|frame| role(frame) != Role::Reporter).unwrap_or(0)
}

fn deep_recursion(frames: &[Frame]) -> bool {
    frames.len() >= DEEP && {
        let most = repeated(frames);
        frames.iter().filter(|frame| frame.function == most.function).count() * 3 >= frames.len()
            && !most.function.is_empty()
    }
}

/// The frame whose function is met most often among the first.
fn repeated(frames: &[Frame]) -> &Frame {
    let first = &frames[..frames.len().min(DEEP)];
    first
        .iter()
        .max_by_key(|frame| first.iter().filter(|other| other.function == frame.function).count())
        .unwrap_or(&frames[0])
}

fn writes(frame: &Frame) -> bool {
    if frame.python {
        let file = frame.source.as_str();
        return matches!(frame.function.as_str(), "__setitem__" | "__delitem__" | "putenv" | "unsetenv")
            && (file.ends_with("os.py") || file == "<frozen os>");
    }
    role(frame) == Role::Writer
        || frame.function.contains("std::env::set_var")
        || frame.function.contains("std::env::remove_var")
}

fn in_libc(frame: &Frame) -> bool {
    let name = frame.module.rsplit('/').next().unwrap_or_default();
    name.starts_with("libc.so")
        || name.starts_with("libc-2.")
        || name.starts_with("ld-musl")
        || name.starts_with("libc.musl")
}

/// True if the frame's module is known and is not libc.
fn elsewhere(frame: &Frame) -> bool {
    !frame.module.is_empty() && !in_libc(frame)
}

/// `_C2func_getaddrinfo` and the like.
fn go_calls_libc(function: &str) -> bool {
    (function.contains("_C2func_") || function.contains("_Cfunc_")) && reads_for_others(function)
}

fn named(frame: &Frame) -> String {
    match (frame.function.as_str(), frame.module.as_str()) {
        ("", "") => "a function without a name".into(),
        ("", module) => format!("a function without a name in {module}"),
        (name, _) => name.trim_start_matches("__GI_").into(),
    }
}

fn in_thread(frame: &Frame, thread: &Thread) -> String {
    let title = thread.title.split([':', '(']).next().unwrap_or_default().trim();
    if title.is_empty() { named(frame) } else { format!("{} in {title}", named(frame)) }
}

/// The name that was asked for, where the arguments show it. glibc's `getenv` counts its argument up by two letters before it looks.
fn quoted_name(frame: &Frame) -> Option<String> {
    let (_, rest) = frame.arguments.split_once('"')?;
    let (name, _) = rest.split_once('"')?;
    let shown = !name.is_empty() && name.len() < 100;
    shown.then(|| if frame.function == "__GI_getenv" { format!("a name in {name}") } else { name.into() })
}
