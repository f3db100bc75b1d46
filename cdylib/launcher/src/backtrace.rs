//! Backtraces as text, as several programs print them, taken apart into threads and frames.

/// One call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Frame {
    /// Empty if it has no name.
    pub(crate) function: String,
    /// What stands between the parentheses, where the values of arguments are printed.
    pub(crate) arguments: String,
    /// Library or program, or empty.
    pub(crate) module: String,
    /// Source file, or empty.
    pub(crate) source: String,
    /// The kernel's frame between a signal's handler and what it interrupted.
    pub(crate) signal: bool,
    /// A frame of Python itself, not of C.
    pub(crate) python: bool,
}

/// The frames of one thread, innermost first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thread {
    pub(crate) title: String,
    pub(crate) frames: Vec<Frame>,
    /// The text says that this is the one that crashed.
    pub(crate) current: bool,
    number: Option<u32>,
}

/// Everything that was found in a text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backtrace {
    pub(crate) threads: Vec<Thread>,
    /// `SIGSEGV` and the like, as far as they are named.
    pub(crate) signal: Option<&'static str>,
    /// The program printed it from a handler of its own, whose frames come first.
    pub(crate) printed: bool,
    /// Threads have titles: the text shows more than the one that crashed.
    pub(crate) titled: bool,
}

impl Backtrace {
    pub(crate) fn parse(text: &str) -> Backtrace {
        let mut trace = Backtrace { signal: signal(text), ..Backtrace::default() };
        let mut current_number = None;
        let mut go = false;
        for line in text.lines() {
            let line = strip_log_prefix(line);
            let trimmed = line.trim();
            if let Some(rest) = trimmed.strip_prefix("[Current thread is ") {
                current_number =
                    rest.split(|letter: char| !letter.is_ascii_digit()).next().and_then(|n| n.parse().ok());
                continue;
            }
            if let Some(thread) = title(trimmed) {
                go = trimmed.starts_with("goroutine ");
                trace.titled |= !go;
                trace.threads.push(thread);
                continue;
            }
            let place = trimmed.strip_prefix("at ");
            let last = trace.threads.last_mut().and_then(|thread| thread.frames.last_mut());
            if let (Some(place), Some(frame)) = (place, last.filter(|frame| frame.source.is_empty())) {
                frame.source = place.split(':').next().unwrap_or_default().into(); // Rust: on a line of its own
                continue;
            }
            let Some((number, frame)) = frame(line, go) else { continue };
            trace.printed |= !frame.python && !line.trim_start().starts_with(['#', '*', 'f']);
            // gdb and others print one thread after the other without a title, each beginning with #0.
            let fresh = trace.threads.is_empty()
                || (number == Some(0)
                    && trace.threads.last().is_some_and(|thread| !thread.frames.is_empty()));
            if fresh {
                trace.threads.push(Thread::default());
            }
            if let Some(thread) = trace.threads.last_mut() {
                thread.frames.push(frame);
            }
        }
        trace.threads.retain(|thread| !thread.frames.is_empty());
        if !trace.threads.iter().any(|thread| thread.current) {
            for thread in &mut trace.threads {
                thread.current = current_number.is_some() && thread.number == current_number;
            }
        }
        trace
    }

    /// The thread that crashed, as far as one can tell.
    pub(crate) fn crashed(&self) -> Option<usize> {
        let position = |wanted: &dyn Fn(&Thread) -> bool| self.threads.iter().position(wanted);
        // Newer Pythons print a thread twice: as Python sees it, and as C does, which says more.
        position(&|thread| thread.current && !thread.frames[0].python)
            .or_else(|| position(&|thread| thread.current))
            .or_else(|| position(&|thread| thread.frames.iter().any(|frame| frame.signal)))
            // gdb numbers the thread of a core file that crashed 1.
            .or_else(|| position(&|thread| thread.number == Some(1) && thread.title.contains("LWP")))
            .or_else(|| (!self.threads.is_empty()).then_some(0))
    }
}

/// The first signal that the text names.
fn signal(text: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 19] = [
        ("SIGSEGV", "SIGSEGV"),
        ("SEGV", "SIGSEGV"),
        ("segfault", "SIGSEGV"),
        ("Segmentation fault", "SIGSEGV"),
        ("segmentation violation", "SIGSEGV"),
        ("general protection", "SIGSEGV"),
        ("signal 11", "SIGSEGV"),
        ("Signal: 11", "SIGSEGV"),
        ("SIGBUS", "SIGBUS"),
        ("Bus error", "SIGBUS"),
        ("SIGABRT", "SIGABRT"),
        ("Signal: 6", "SIGABRT"),
        ("signal 6", "SIGABRT"),
        ("Aborted", "SIGABRT"),
        ("SIGILL", "SIGILL"),
        ("SIGFPE", "SIGFPE"),
        ("SIGTRAP", "SIGTRAP"),
        ("SIGKILL", "SIGKILL"),
        ("panicked at", "panic"),
    ];
    NAMES
        .iter()
        .filter_map(|(word, name)| text.find(word).map(|at| (at, *name)))
        .min_by_key(|(at, _)| *at)
        .map(|(_, name)| name)
}

/// journalctl and syslog begin each line with a date, a host and a program: `Nov 25 … host systemd-coredump[123]: #0 …`.
fn strip_log_prefix(line: &str) -> &str {
    match line.split_once("]: ") {
        Some((before, rest))
            if !before.trim_start().starts_with(['#', '*']) && before.contains('[') && before.len() < 120 =>
        {
            rest
        }
        _ => line,
    }
}

/// A line that begins a thread.
fn title(line: &str) -> Option<Thread> {
    let thread = |current| {
        Some(Thread {
            title: line.into(),
            current,
            number: number_after(line, "Thread "),
            ..Thread::default()
        })
    };
    if line.starts_with("Current thread 0x") {
        return thread(true); // Python's faulthandler
    }
    if line.starts_with("Current thread's C stack trace") {
        return thread(true);
    }
    if line.starts_with("Thread 0x") && line.contains("most recent call first") {
        return thread(false);
    }
    if line.starts_with("Stack trace of thread ") {
        return thread(false); // systemd-coredump; the first one crashed
    }
    if line.starts_with("Thread ") && line.contains("LWP") && line.trim_end().ends_with(':') {
        return thread(false); // gdb: Thread 2 (Thread 0x7f… (LWP 71)):
    }
    if line.starts_with("* thread #") || line.starts_with("thread #") {
        return thread(line.starts_with('*')); // lldb
    }
    if line.starts_with("goroutine ") && line.ends_with(':') {
        return thread(false);
    }
    None
}

fn number_after(line: &str, word: &str) -> Option<u32> {
    let rest = line.strip_prefix(word)?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// A line that is a frame, with its number if it has one.
fn frame(line: &str, go: bool) -> Option<(Option<u32>, Frame)> {
    let trimmed = line.trim();
    hash_frame(trimmed)
        .or_else(|| lldb_frame(trimmed))
        .or_else(|| python_frame(trimmed))
        .or_else(|| java_frame(trimmed))
        .or_else(|| numbered_frame(trimmed))
        .or_else(|| glibc_frame(trimmed))
        .or_else(|| (go && !line.starts_with('\t')).then(|| go_frame(trimmed)).flatten())
}

/// gdb, systemd-coredump, sanitizers: `#3  0x00007f… in name (arguments) at file:1`.
fn hash_frame(line: &str) -> Option<(Option<u32>, Frame)> {
    let rest = line.strip_prefix('#')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number = rest[..digits].parse().ok()?;
    let mut rest = rest[digits..].trim_start();
    if rest.starts_with("<signal handler called>") {
        return Some((Some(number), Frame { signal: true, ..Frame::default() }));
    }
    if rest.starts_with("0x") {
        rest = rest.split_once(' ').map_or("", |(_, rest)| rest).trim_start();
        rest = rest.strip_prefix("in ").unwrap_or(rest);
    }
    let mut frame = Frame::default();
    // `name (…)`; sanitizers have `name file` and `name (module+0x1)`.
    let (name, after) = split_name(rest);
    frame.function = bare(name);
    let (inside, after) = parenthesised(after);
    if inside.contains("+0x") || inside.contains(" + 0x") {
        frame.module = inside.split(['+', ' ']).next().unwrap_or_default().into();
    } else {
        frame.arguments = inside.into();
    }
    let after = after.trim();
    if let Some(place) = after.strip_prefix("at ") {
        frame.source = place.split(':').next().unwrap_or_default().into();
    } else if let Some(module) = after.strip_prefix("from ") {
        frame.module = module.trim().into();
    } else if after.starts_with('/') {
        frame.source = after.split(':').next().unwrap_or_default().into();
    }
    Some((Some(number), frame))
}

/// The name, which may have template arguments and spaces in it, and what begins with the parenthesis behind it.
fn split_name(text: &str) -> (&str, &str) {
    match text.find(" (") {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => text.find(" /").map_or((text, ""), |at| (&text[..at], &text[at..])),
    }
}

/// What stands between the parentheses that `text` begins with, and the rest.
fn parenthesised(text: &str) -> (&str, &str) {
    let mut depth = 0;
    let mut quoted = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return (&text[1..at], &text[at + 1..]);
                }
            }
            _ if depth == 0 => return ("", text),
            _ => {}
        }
    }
    ("", text)
}

/// A function's name without arguments, version, offset, and without names for "no name".
fn bare(name: &str) -> String {
    let name = name.trim();
    let name = name.split("@@").next().unwrap_or_default().split("@plt").next().unwrap_or_default();
    let name = name.split("+0x").next().unwrap_or_default().trim();
    let name = if name.contains(' ') || name.contains("::") {
        name
    } else {
        name.split('(').next().unwrap_or_default()
    };
    match name {
        "??" | "n/a" | "<unknown>" | "???" => String::new(),
        name => name.into(),
    }
}

/// lldb: `* frame #0: 0x00007f… libc.so.6`getenv(name="TZ") + 52 at getenv.c:84:5`.
fn lldb_frame(line: &str) -> Option<(Option<u32>, Frame)> {
    let rest = line.trim_start_matches("* ").strip_prefix("frame #")?;
    let (number, rest) = rest.split_once(':')?;
    let number = number.parse().ok()?;
    let rest = rest.trim().split_once(' ').map_or("", |(_, rest)| rest);
    let (module, rest) = rest.split_once('`').unwrap_or((rest, ""));
    let (name, source) = rest.split_once(" at ").unwrap_or((rest, ""));
    let name = name.split(" + ").next().unwrap_or_default();
    let (function, arguments) = match name.find('(') {
        Some(at) if name.ends_with(')') => (&name[..at], &name[at + 1..name.len() - 1]),
        _ => (name, ""),
    };
    let module = module.split(' ').next().unwrap_or_default();
    let function = if function.starts_with("___lldb_unnamed_symbol") { "" } else { function };
    Some((
        Some(number),
        Frame {
            function: bare(function),
            arguments: arguments.into(),
            module: module.into(),
            source: source.split(':').next().unwrap_or_default().into(),
            ..Frame::default()
        },
    ))
}

/// Python's faulthandler: `File "x.py", line 3 in name`, and since 3.14 `Binary file "/lib/libc.so.6", at getenv+0x88 [0x7f…]`.
fn python_frame(line: &str) -> Option<(Option<u32>, Frame)> {
    if let Some(rest) = line.strip_prefix("Binary file \"") {
        let (module, rest) = rest.split_once('"')?;
        let function =
            rest.strip_prefix(", at ").map_or("", |rest| rest.split([' ', '+']).next().unwrap_or_default());
        return Some((None, Frame { function: function.into(), module: module.into(), ..Frame::default() }));
    }
    let (file, rest) = line.strip_prefix("File \"")?.split_once("\", line ")?;
    let function = rest.split_once(" in ")?.1;
    Some((None, Frame { function: function.into(), source: file.into(), python: true, ..Frame::default() }))
}

/// Java's hs_err files: `C  [libc.so.6+0x42a80]  getenv+0x90`, `V  [libjvm.so+0x1]  name`, `j  java.lang…`.
fn java_frame(line: &str) -> Option<(Option<u32>, Frame)> {
    let rest = line.strip_prefix("C  [").or_else(|| line.strip_prefix("V  ["))?;
    let (module, rest) = rest.split_once(']')?;
    let module = module.split('+').next().unwrap_or_default();
    Some((None, Frame { function: bare(rest), module: module.into(), ..Frame::default() }))
}

/// Rust and Node: `  12: name`, `  12:     0x7f… - name`, ` 1: 0xb0 name [program]`.
fn numbered_frame(line: &str) -> Option<(Option<u32>, Frame)> {
    let (number, rest) = line.split_once(": ")?;
    let number = number.parse().ok()?;
    let mut rest = rest.trim();
    if rest.starts_with("0x") {
        rest = rest.split_once(' ').map_or("", |(_, rest)| rest).trim_start();
        rest = rest.strip_prefix("- ").unwrap_or(rest);
    }
    let (name, module) = match rest.rsplit_once(" [") {
        Some((name, module)) => (name, module.trim_end_matches(']')),
        None => (rest, ""),
    };
    // Rust's legacy names end in a hash.
    let name = name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(name, |(name, _)| name);
    Some((Some(number), Frame { function: bare(name), module: module.into(), ..Frame::default() }))
}

/// glibc's `backtrace_symbols`: `/lib/libc.so.6(getenv+0x88) [0x7f…]`, `./program(+0x11) [0x55…]`.
fn glibc_frame(line: &str) -> Option<(Option<u32>, Frame)> {
    let (place, address) = line.rsplit_once('[')?;
    if !address.starts_with("0x") || !address.ends_with(']') {
        return None;
    }
    let (module, inside) = place.trim_end().strip_suffix(')')?.split_once('(')?;
    let module = module.rsplit(' ').next().unwrap_or_default();
    let function = inside.split('+').next().unwrap_or_default();
    Some((None, Frame { function: function.into(), module: module.into(), ..Frame::default() }))
}

/// Go: `net._C2func_getaddrinfo(0xc000…)`.
fn go_frame(line: &str) -> Option<(Option<u32>, Frame)> {
    let at = line.rfind('(')?;
    let name = &line[..at];
    (!name.is_empty() && !name.contains(' ') && line.ends_with(')')).then(|| {
        (
            None,
            Frame {
                function: name.into(),
                arguments: line[at + 1..line.len() - 1].into(),
                ..Frame::default()
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(line: &str) -> Frame {
        let trace = Backtrace::parse(line);
        assert_eq!(trace.threads.len(), 1, "{line}");
        trace.threads[0].frames[0].clone()
    }

    #[test]
    fn frames_of_every_kind_are_understood() {
        for (line, function, module, source) in [
            (
                "#0  __GI_getenv (name=0x7f \"TZ\") at ./stdlib/getenv.c:31",
                "__GI_getenv",
                "",
                "./stdlib/getenv.c",
            ),
            ("#1  0x00007f12 in localtime_r () from /lib/libc.so.6", "localtime_r", "/lib/libc.so.6", ""),
            ("#0  0x00007f8c1c83f2a8 getenv (libc.so.6 + 0x3f2a8)", "getenv", "libc.so.6", ""),
            ("#0  0x00007f8c1c83f2a8 n/a (libc.so.6 + 0x3f2a8)", "", "libc.so.6", ""),
            ("    #1 0x55 in main /src/race.c:7:3", "main", "", "/src/race.c"),
            ("  * frame #0: 0x00007ffff libc.so.6`getenv + 152", "getenv", "libc.so.6", ""),
            ("    frame #1: 0x0000 race`reader(argument=0x0) at race.c:7:2", "reader", "race", "race.c"),
            (
                "/lib/x86_64-linux-gnu/libc.so.6(getenv+0x88) [0x7f00]",
                "getenv",
                "/lib/x86_64-linux-gnu/libc.so.6",
                "",
            ),
            ("./race(+0x1234)[0x55]", "", "./race", ""),
            ("  12:     0x55d0 - std::env::_var_os::h0123456789abcdef", "std::env::_var_os", "", ""),
            ("   3: getenv", "getenv", "", ""),
            ("C  [libc.so.6+0x42a80]  getenv+0x90", "getenv", "libc.so.6", ""),
            (
                "  File \"/usr/lib/python3.11/os.py\", line 684 in __setitem__",
                "__setitem__",
                "",
                "/usr/lib/python3.11/os.py",
            ),
            ("  Binary file \"/lib/libc.so.6\", at getenv+0x88 [0x7f]", "getenv", "/lib/libc.so.6", ""),
        ] {
            let frame = only(line);
            assert_eq!(
                (&*frame.function, &*frame.module, &*frame.source),
                (function, module, source),
                "{line}"
            );
        }
        assert_eq!(only("#0  getenv (name=0x0) at x.c:1").arguments, "name=0x0");
    }

    #[test]
    fn the_thread_that_crashed_is_found() {
        let text = "[Current thread is 1 (Thread 0x1 (LWP 5))]\nThread 2 (Thread 0x2 (LWP 6)):\n#0  a ()\nThread 1 (Thread 0x1 (LWP 5)):\n#0  b ()\n";
        let trace = Backtrace::parse(text);
        assert_eq!(trace.crashed(), Some(1));
        let text = "Stack trace of thread 9:\n#0  0x1 a (x + 0x1)\n\nStack trace of thread 8:\n#0  0x1 b (x + 0x1)\n";
        assert_eq!(Backtrace::parse(text).crashed(), Some(0));
        let text = "Thread 0x01 (most recent call first):\n  File \"a\", line 1 in a\n\nCurrent thread 0x02 (most recent call first):\n  File \"b\", line 1 in b\n";
        assert_eq!(Backtrace::parse(text).crashed(), Some(1));
    }
}
