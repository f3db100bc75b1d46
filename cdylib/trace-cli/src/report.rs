//! What the recordings say, as data: who changed the environment, who read it then, and whether that is a fault.

use crate::launch::{self, End, Recordings};
use crate::libc_version::{Libc, crashers};
use crate::options::Options;
use crate::recording::{Recording, number, small, text, words};
use crate::symbols::{Frame, Symbols};
use crate::unwind::{self, Mapping};
use mtsafe_env_trace_layout::{self as layout, FUNCTIONS, effect};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

/// All processes of one run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) processes: Vec<Process>,
    /// Processes without a recording, and why, in the words of [`layout::reason`].
    pub(crate) missing: Vec<(u32, String)>,
    /// Ended processes without a finding of which no more is kept.
    pub(crate) removed: u64,
    /// Report also what is no fault.
    pub(crate) all: bool,
    /// The calls went to the preload library.
    pub(crate) protected: bool,
    pub(crate) end: End,
}

/// One process image: what ran between two `exec`s.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    pub(crate) command: String,
    /// How it ended, in words.
    pub(crate) ending: String,
    pub(crate) libc: Libc,
    /// Changes asked for, and those while more than one thread lived.
    pub(crate) changes: u64,
    pub(crate) threaded: u64,
    /// Those of the latter that a rule allows.
    pub(crate) allowed: u64,
    pub(crate) most_threads: u32,
    /// Where changes came from while more than one thread lived, the worst first.
    pub(crate) places: Vec<Place>,
    /// Where else they came from.
    pub(crate) alone: Vec<Place>,
    /// Direct changes that were noticed.
    pub(crate) direct: Vec<Place>,
    /// Readers beside changes while threads ran, then the others.
    pub(crate) readers: Vec<Reader>,
    /// Changes of which only the number is known; reads of which the place is not known.
    pub(crate) changes_unrecorded: u64,
    pub(crate) reads_unrecorded: u64,
    /// Changes at which the threads could not be counted, and those after a filter for system calls, of which no more is known.
    pub(crate) uncounted: u64,
    pub(crate) under_filter: u64,
    /// An interpreter made changes that cannot be asked for its lines.
    pub(crate) silent_interpreter: bool,
}

/// A stack that leads to changes.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) function: &'static str,
    pub(crate) stack: Vec<Frame>,
    /// What a Python interpreter ran: function, file and line; no addresses.
    pub(crate) script: Vec<Frame>,
    /// Changes from here while more than one thread lived; 0 in `Process::alone`, which counts all.
    pub(crate) threaded: u64,
    pub(crate) changes: u64,
    pub(crate) allowed: u64,
    pub(crate) most_threads: u32,
    pub(crate) events: Vec<Event>,
    /// Readers of this process can crash beside one of them; `None`: its libc is not known.
    pub(crate) crashes: Option<bool>,
    /// The same in glibc before 2.41, and in musl.
    pub(crate) crashes_old_glibc: bool,
    pub(crate) crashes_musl: bool,
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// ns since the process was first seen.
    pub(crate) time: u64,
    pub(crate) thread: u32,
    pub(crate) thread_name: String,
    /// 0: not known.
    pub(crate) threads: u32,
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) effect: u32,
    /// `None`: it never returned.
    pub(crate) result: Option<i32>,
    pub(crate) allowed: bool,
}

/// A call site that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) function: &'static str,
    /// Counted at the door of a function that reads inside libc.
    pub(crate) door: bool,
    pub(crate) stack: Vec<Frame>,
    /// What `stack` is made from: 1 + the index of a copy, and the caller.
    unwound: (u32, u64),
    pub(crate) threads: Vec<ReadingThread>,
}

/// A thread that reads at a call site.
#[derive(Debug)]
pub(crate) struct ReadingThread {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) reads: u64,
    /// It read beside a change by another thread.
    pub(crate) at_risk: bool,
}

impl Reader {
    /// Reads of all threads.
    pub(crate) fn reads(&self) -> u64 {
        self.threads.iter().map(|thread| thread.reads).sum()
    }

    pub(crate) fn at_risk(&self) -> bool {
        self.threads.iter().any(|thread| thread.at_risk)
    }
}

impl Place {
    /// Names with their numbers of changes, the most frequent first.
    pub(crate) fn names(&self) -> Vec<(&str, u64)> {
        let mut counts = BTreeMap::new();
        self.events.iter().for_each(|event| *counts.entry(event.name.as_str()).or_insert(0) += 1);
        let mut names: Vec<_> = counts.into_iter().collect();
        names.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        names
    }

    /// Effects with their numbers.
    pub(crate) fn effects(&self) -> BTreeMap<u32, u64> {
        let mut counts = BTreeMap::new();
        self.events.iter().for_each(|event| *counts.entry(event.effect).or_insert(0) += 1);
        counts
    }

    /// Threads by id, with their names.
    pub(crate) fn threads(&self) -> BTreeMap<u32, &str> {
        self.events.iter().map(|event| (event.thread, event.thread_name.as_str())).collect()
    }
}

/// The frame that somebody wrote who can change it: the first that is neither libc's nor a language's own.
pub(crate) fn culprit<'a>(script: &'a [Frame], stack: &'a [Frame]) -> Option<&'a Frame> {
    let python = |frame: &&Frame| !["os.py", "<frozen os>"].contains(&frame.module_name());
    if let Some(frame) = script.iter().find(python).filter(|_| !in_extension(stack)) {
        return Some(frame);
    }
    let own = |frame: &&Frame| {
        let module = frame.module_name();
        let libc = ["libc.", "libc-", "ld-", "libstdc++.", "libpython", "python"];
        let function = frame.function.as_deref().unwrap_or("");
        let std = ["std::", "core::", "alloc::", "<std::", "<core::", "<alloc::", "<&str as ", "_start"];
        !frame.is_rust_std()
            && !libc.iter().any(|start| module.starts_with(start))
            && !std.iter().any(|start| function.starts_with(start))
    };
    stack.iter().find(own).or(stack.first())
}

/// True for code of the interpreter itself.
fn is_interpreter(frame: &Frame) -> bool {
    ["libpython", "python"].iter().any(|start| frame.module_name().starts_with(start))
}

/// True if the call came from a library that the interpreter called: the fault is there rather than in the script.
fn in_extension(stack: &[Frame]) -> bool {
    !stack.first().is_none_or(is_interpreter)
}

/// The lines `  File "FILE", line NUMBER in FUNCTION` of a traceback.
fn script_frames(text: &str) -> Vec<Frame> {
    let line = |line: &str| {
        let (file, rest) = line.trim_start().strip_prefix("File \"")?.rsplit_once("\", line ")?;
        let (number, function) = rest.split_once(" in ")?;
        let location = Some((file.to_owned(), number.parse().unwrap_or(0)));
        Some(Frame { module: file.into(), function: Some(function.into()), location, ..Frame::default() })
    };
    text.lines().filter_map(line).collect()
}

impl Report {
    pub(crate) fn new(found: &Recordings, end: End, options: &Options, symbols: &mut Symbols) -> Report {
        let recordings = &found.files;
        let processes = recordings
            .iter()
            .enumerate()
            .map(|(index, recording)| {
                let id = small(&recording.header().pid);
                let replaced = recordings[index + 1..].iter().any(|other| small(&other.header().pid) == id);
                process(recording, end, replaced, options, symbols)
            })
            .collect();
        Report {
            processes,
            missing: found.missing.clone(),
            removed: found.removed,
            all: options.all,
            protected: options.protect,
            end,
        }
    }

    /// Changes while more than one thread lived that no rule allows, in all processes.
    pub(crate) fn faults(&self) -> u64 {
        self.processes.iter().map(Process::faults).sum()
    }
}

impl Process {
    pub(crate) fn faults(&self) -> u64 {
        let direct: u64 = self.direct.iter().map(|place| place.threaded - place.allowed).sum();
        self.threaded.saturating_sub(self.allowed) + direct
    }

    /// Threads that read beside changes by others.
    pub(crate) fn threads_at_risk(&self) -> usize {
        let threads = self.readers.iter().flat_map(|reader| &reader.threads);
        threads.filter(|thread| thread.at_risk).map(|thread| thread.id).collect::<BTreeSet<_>>().len()
    }
}

fn ending(recording: &Recording, end: End, replaced: bool) -> String {
    let id = small(&recording.header().pid);
    let exited = small(&recording.header().exited) != 0;
    match end {
        _ if replaced => "replaced by another program (exec)".into(),
        End::Ended(process, status) if process == id => match (status.code(), status.signal()) {
            (Some(code), _) if exited => format!("exited with {code}"),
            (Some(code), _) => format!("exited with {code}, without running its destructors"),
            (None, signal) => format!("killed by {}", signal_name(signal.unwrap_or(0))),
        },
        _ if exited => "exited".into(),
        _ if launch::is_alive(id) => "still running".into(),
        _ => "ended without running its destructors: by _exit, exec or a signal".into(),
    }
}

pub(crate) fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGILL => "SIGILL",
        libc::SIGFPE => "SIGFPE",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGKILL => "SIGKILL",
        libc::SIGTERM => "SIGTERM",
        libc::SIGINT => "SIGINT",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}

fn process(
    recording: &Recording,
    end: End,
    replaced: bool,
    options: &Options,
    symbols: &mut Symbols,
) -> Process {
    let header = recording.header();
    let mappings = unwind::mappings(recording);
    let libc = Libc::of(mappings.iter().map(|mapping| Path::new(&mapping.path)));
    let mut process = Process {
        id: small(&header.pid),
        parent: small(&header.parent),
        command: words(&header.command).join(" "),
        ending: ending(recording, end, replaced),
        changes: number(&header.changes),
        threaded: number(&header.threaded),
        allowed: 0,
        most_threads: small(&header.most_threads),
        places: Vec::new(),
        alone: Vec::new(),
        direct: Vec::new(),
        readers: Vec::new(),
        changes_unrecorded: 0,
        reads_unrecorded: number(&header.reads_without_site),
        uncounted: number(&header.uncounted),
        under_filter: number(&header.under_filter),
        silent_interpreter: small(&header.silent_interpreter) != 0,
        libc,
    };
    changes(&mut process, recording, &mappings, options, symbols);
    readers(&mut process, recording, &mappings, options, symbols);
    process
}

/// True if also what is no fault will be shown. Otherwise its stacks are not looked at: reading the symbols of an interpreter takes longer
/// than a short script.
fn shows_all(options: &Options) -> bool {
    options.all || options.json.is_some()
}

/// The events of each place of the recording, by 1 + its index.
fn events(recording: &Recording) -> HashMap<u32, Vec<Event>> {
    let start = number(&recording.header().start);
    let mut events: HashMap<u32, Vec<Event>> = HashMap::new();
    for change in recording.changes() {
        let length = small(&change.name_length) as usize;
        let mut name = text(&change.name);
        if length > layout::NAME_BYTES {
            name.push_str("...");
        }
        let value = small(&change.value_length).checked_sub(1).map(|length| {
            let cut = if length as usize > layout::VALUE_BYTES { "..." } else { "" };
            text(&change.value) + cut
        });
        let result = change.result.load(std::sync::atomic::Ordering::Relaxed);
        events.entry(small(&change.place)).or_default().push(Event {
            time: number(&change.time).saturating_sub(start),
            thread: small(&change.thread),
            thread_name: text(&change.thread_name),
            threads: small(&change.threads),
            name,
            value,
            effect: small(&change.effect),
            result: (result != layout::UNDER_WAY).then_some(result),
            allowed: false,
        });
    }
    events
}

fn changes(
    process: &mut Process,
    recording: &Recording,
    mappings: &[Mapping],
    options: &Options,
    symbols: &mut Symbols,
) {
    let mut events = events(recording);
    // Stacks that differ only in what an old call left on them are one place.
    let mut places: HashMap<(u32, Vec<Frame>, Vec<Frame>), Place> = HashMap::new();
    for (index, place) in recording.places().iter().enumerate() {
        let (function, changes) = (small(&place.function), number(&place.changes));
        if changes == 0 || function >= layout::GETENV {
            continue;
        }
        let shown = number(&place.threaded) > 0 || function >= layout::ASSIGNED || shows_all(options);
        let mut stack = match shown {
            true => unwind::stack(recording, mappings, symbols, small(&place.stack), number(&place.address)),
            false => Vec::new(),
        };
        let script =
            recording.script(small(&place.script)).map(|text| script_frames(&text)).unwrap_or_default();
        if !script.is_empty() {
            // How the interpreter came there says nothing, and is another way each time.
            let interpreter = stack.iter().position(is_interpreter).map_or(stack.len(), |first| first + 1);
            stack.truncate(interpreter);
        }
        let found =
            places.entry((function, script, stack)).or_insert_with_key(|(function, script, stack)| Place {
                function: FUNCTIONS[*function as usize],
                stack: stack.clone(),
                script: script.clone(),
                threaded: 0,
                changes: 0,
                allowed: 0,
                most_threads: 0,
                events: Vec::new(),
                crashes: Some(false),
                crashes_old_glibc: false,
                crashes_musl: false,
            });
        found.changes += changes;
        found.threaded += number(&place.threaded);
        found.most_threads = found.most_threads.max(small(&place.most_threads));
        found.events.extend(events.remove(&(index as u32 + 1)).unwrap_or_default());
    }
    for ((function, ..), mut place) in places {
        process.changes_unrecorded += place.changes.saturating_sub(place.events.len() as u64);
        let direct = function >= layout::ASSIGNED;
        if place.threaded > 0 && !direct {
            // What was done with one thread alone, from the same place, is not the fault.
            place.events.retain(|event| event.threads > 1 && event.effect != effect::REFUSED);
        }
        place.events.sort_by_key(|event| event.time);
        if place.threaded > 0 {
            judge(&mut place, &process.libc, options);
        }
        match (direct, place.threaded) {
            (true, _) => process.direct.push(place),
            (false, 0) => process.alone.push(place),
            _ => {
                process.allowed += place.allowed;
                process.places.push(place);
            }
        }
    }
    let rank = |place: &Place| {
        let crashes = place.crashes.unwrap_or(place.crashes_old_glibc);
        (place.allowed < place.threaded, crashes, place.threaded, place.changes)
    };
    for places in [&mut process.places, &mut process.alone, &mut process.direct] {
        // By address where all else is equal: the same report for the same run.
        places.sort_by_key(|place| {
            (std::cmp::Reverse(rank(place)), place.stack.first().map(|frame| frame.offset))
        });
    }
}

/// Asks the rules, and which libcs die of it.
fn judge(place: &mut Place, libc: &Libc, options: &Options) {
    let frames: Vec<_> = place.script.iter().chain(&place.stack).cloned().collect();
    for event in &mut place.events {
        event.allowed = options.rules.allow(&frames, Some(&event.name));
    }
    let unrecorded = place.threaded.saturating_sub(place.events.len() as u64);
    place.allowed = place.events.iter().filter(|event| event.allowed).count() as u64;
    if options.rules.allow(&frames, None) {
        place.allowed += unrecorded;
    }
    place.allowed = place.allowed.min(place.threaded);
    let mut effects: Vec<_> = place.effects().into_keys().collect();
    if effects.is_empty() {
        effects.push(effect::UNKNOWN);
    }
    place.crashes_old_glibc = effects.iter().any(|&effect| crashers(effect).0);
    place.crashes_musl = effects.iter().any(|&effect| crashers(effect).1);
    let crashes = effects.iter().map(|&effect| libc.crashes(effect));
    place.crashes = crashes.reduce(|a, b| Some(a? || b?)).flatten();
}

fn readers(
    process: &mut Process,
    recording: &Recording,
    mappings: &[Mapping],
    options: &Options,
    symbols: &mut Symbols,
) {
    let header = recording.header();
    let (events, under_way) = (small(&header.events), small(&header.under_way) != 0);
    let changers: BTreeSet<u32> =
        process.places.iter().flat_map(|place| place.events.iter().map(|event| event.thread)).collect();
    let unknown_changers = process.changes_unrecorded > 0;
    let mut readers: HashMap<u32, Reader> = HashMap::new();
    for site in recording.sites() {
        let (first, last, thread) = (small(&site.first), small(&site.last), small(&site.thread));
        // Its reads here lie on both sides of the beginning or end of a change, or between the first and the last of them, or
        // after the beginning of one that never ended.
        let beside =
            first < last || (first > 0 && first < events) || (events > 0 && last == events && under_way);
        let by_another = unknown_changers || changers.iter().any(|&changer| changer != thread);
        let function = small(&site.function);
        // Without a place, those of one address belong together.
        let key = match small(&site.place) {
            0 => (number(&site.address) as u32) | 1 << 31,
            place => place,
        };
        let reader = readers.entry(key).or_insert_with(|| {
            let place = recording.places().get((small(&site.place) as usize).wrapping_sub(1));
            let stack = place.map_or(0, |place| small(&place.stack));
            Reader {
                function: FUNCTIONS.get(function as usize).copied().unwrap_or("?"),
                door: function >= layout::DOORS,
                stack: Vec::new(),
                unwound: (stack, number(&site.address)),
                threads: Vec::new(),
            }
        });
        reader.threads.push(ReadingThread {
            id: thread,
            name: text(&site.name),
            reads: number(&site.reads),
            at_risk: beside && by_another,
        });
    }
    process.readers = readers.into_values().collect();
    for reader in &mut process.readers {
        if reader.at_risk() || shows_all(options) {
            let (stack, address) = reader.unwound;
            reader.stack = unwind::stack(recording, mappings, symbols, stack, address);
        }
        reader.threads.sort_by_key(|thread| (!thread.at_risk, thread.id));
    }
    process.readers.sort_by_key(|reader| {
        let address = reader.stack.first().map(|frame| frame.offset);
        (std::cmp::Reverse((reader.at_risk(), reader.reads())), address)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceback_is_taken_apart() {
        let text = "Stack (most recent call first):\n  File \"/a \"b/os.py\", line 684 in __setitem__\n  File \"x.py\", line 3 in f g\n  ...\n";
        let frames = script_frames(text);
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].location, Some(("/a \"b/os.py".into(), 684)));
        assert_eq!((frames[1].function.as_deref(), frames[1].module_name()), (Some("f g"), "x.py"));
        let interpreter = [Frame { module: "/usr/bin/python3.11".into(), ..Frame::default() }];
        let extension = [Frame { module: "/x/ext.so".into(), ..Frame::default() }];
        assert_eq!(culprit(&frames, &interpreter), Some(&frames[1]));
        assert_eq!(culprit(&frames, &extension), Some(&extension[0]));
    }
}
