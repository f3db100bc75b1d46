//! The report for people.

use crate::report::{Place, Process, Reader, Report, culprit};
use crate::symbols::Frame;
use mtsafe_env_trace_layout::{File, effect, reason};
use std::fmt::{self, Write};

/// Frames of a stack, names, threads and places that are listed.
const FRAMES: usize = 16;
const NAMES: usize = 8;
const THREADS: usize = 6;
const PLACES: usize = 20;

pub(crate) fn of(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let command = report.end.process();
    let worth = |process: &&Process| {
        let unjudged = process.uncounted > 0 || process.under_filter > 0;
        report.all || process.id == command || process.faults() > 0 || process.threaded > 0 || unjudged
    };
    for process in report.processes.iter().filter(worth) {
        one(out, process, report)?;
    }
    let others = report.processes.iter().filter(|process| !worth(process)).count() + report.removed as usize;
    if others > 0 {
        writeln!(
            out,
            "== {} changed nothing while more than one thread lived (--all lists them)",
            count(others, "other process", "other processes")
        )?;
    }
    if report.all || report.processes.iter().any(|process| process.threaded > 0) {
        writeln!(
            out,
            "== Not seen: walks of environ; readers inside libc but for the functions counted at their door; calls inside an executable \
             or library that has these\n   functions itself, or that was made without them (static, set-user-ID); who made a direct \
             change. A thread with the memory of an ended one is counted as that one."
        )?;
    }
    for (process, why) in report.missing.iter().take(PLACES) {
        writeln!(out, "== process {process} was not recorded: {}", reason_text(why))?;
    }
    if report.missing.len() > PLACES {
        writeln!(out, "== and {} more (all are in the JSON)", report.missing.len() - PLACES)?;
    }
    if report.processes.is_empty() && report.missing.is_empty() {
        writeln!(
            out,
            "== nothing was recorded: a static or set-user-ID program, one that does not use these functions, or one \
             for another machine"
        )?;
    }
    Ok(())
}

fn reason_text(why: &str) -> String {
    match why {
        reason::FILTER => {
            "it runs under a filter for system calls (seccomp) that may kill it for the tracer's".into()
        }
        reason::SIZE => {
            format!("it may not make files of {} MiB (ulimit -f)", size_of::<File>().div_ceil(1 << 20))
        }
        reason::FILE => "it could make no file (out of descriptors?)".into(),
        reason::ROOM => "the file system of the recordings is full".into(),
        reason::MEMORY => {
            format!("it has no {} MiB of address space left (ulimit -v)", size_of::<File>().div_ceil(1 << 20))
        }
        other => other.into(),
    }
}

/// One line: is there a fault?
pub(crate) fn verdict(process: &Process) -> String {
    let mut line = if process.threaded == 0 {
        format!(
            "no change while more than one thread lived; {} by one thread alone",
            changes(process.changes.saturating_sub(process.uncounted))
        )
    } else {
        let alive = if process.most_threads > 1 {
            format!("up to {} threads ran", process.most_threads)
        } else {
            "threads ran".into()
        };
        format!(
            "{} by {} while {alive}; {} read the environment meanwhile",
            changes(process.threaded),
            count(process.places.len(), "place", "places"),
            count(process.threads_at_risk(), "thread", "threads"),
        )
    };
    if process.allowed > 0 {
        let _ = write!(line, "; {} allowed", process.allowed);
    }
    let direct: u64 = process.direct.iter().map(|place| place.changes).sum();
    if direct > 0 {
        let _ = write!(line, "; {} noticed", count(direct as usize, "direct change", "direct changes"));
    }
    line
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn changes(number: u64) -> String {
    count(number as usize, "change", "changes")
}

fn one(out: &mut String, process: &Process, report: &Report) -> fmt::Result {
    writeln!(
        out,
        "== {} (process {}, {}): {}",
        process.command,
        process.id,
        process.libc.name(),
        process.ending
    )?;
    writeln!(out, "   {}", verdict(process))?;
    if process.places.iter().any(|place| place.allowed < place.threaded) {
        let can =
            process.places.iter().filter(|place| place.allowed < place.threaded).map(|place| place.crashes);
        let line = match can.reduce(|a, b| Some(a? || b?)).flatten() {
            _ if report.protected => "the preload library answered: readers do not crash here",
            Some(true) => "with this libc such a reader can crash",
            Some(false) => {
                "with this libc such a reader does not crash; it may miss a variable or see an old value"
            }
            None => "whether such a reader can crash depends on the libc",
        };
        writeln!(out, "   {line}")?;
    }
    places(out, "changes while threads ran", &process.places, true)?;
    let at_risk: Vec<_> = process.readers.iter().filter(|reader| reader.at_risk()).collect();
    readers(out, "readers beside those changes", &at_risk)?;
    places(out, "direct changes, noticed by the next call from here", &process.direct, false)?;
    if report.all {
        places(out, "changes while one thread was alone", &process.alone, false)?;
        let others: Vec<_> = process.readers.iter().filter(|reader| !reader.at_risk()).collect();
        readers(out, "other readers", &others)?;
    }
    if process.silent_interpreter {
        writeln!(
            out,
            "\n   the lines of the Python program are missing: its interpreter cannot be asked for them (3.6 to 3.13 can, with its lock)"
        )?;
    }
    if process.uncounted > 0 {
        writeln!(
            out,
            "\n   {} while the threads could not be counted (no /proc): not judged",
            changes(process.uncounted)
        )?;
    }
    if process.under_filter > 0 {
        writeln!(
            out,
            "\n   {} after the program had limited its system calls (seccomp): only counted, not judged",
            changes(process.under_filter)
        )?;
    }
    if process.changes_unrecorded > 0 {
        writeln!(
            out,
            "\n   {} are only counted: the recording is bounded",
            changes(process.changes_unrecorded)
        )?;
    }
    if process.reads_unrecorded > 0 {
        writeln!(
            out,
            "\n   {} reads were not told apart: the recording is bounded",
            process.reads_unrecorded
        )?;
    }
    writeln!(out)
}

fn places(out: &mut String, title: &str, places: &[Place], beside: bool) -> fmt::Result {
    if places.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n   {title}:")?;
    for (number, place) in places.iter().take(PLACES).enumerate() {
        let shown = if beside { place.threaded } else { place.changes };
        let by = culprit(&place.script, &place.stack).map(short).unwrap_or_default();
        writeln!(out, "\n   {}. {} by {} in {by}", number + 1, changes(shown), place.function)?;
        let mut facts = Vec::new();
        if !place.events.is_empty() && place.effects().keys().any(|&effect| effect != effect::UNKNOWN) {
            let effects = place.effects();
            let effects = effects.iter().map(|(&effect, count)| format!("{count} {}", effect_name(effect)));
            facts.push(effects.collect::<Vec<_>>().join(", "));
        }
        let names: Vec<_> = place.names().into_iter().filter(|name| !name.0.is_empty()).collect();
        if !names.is_empty() {
            let more = names.len().saturating_sub(NAMES);
            let mut list: Vec<_> = names.iter().take(NAMES).map(|name| name.0.to_owned()).collect();
            if more > 0 {
                list.push(format!("{more} more"));
            }
            facts.push(format!("of {}", list.join(", ")));
        }
        let threads: Vec<_> =
            place.threads().into_iter().map(|(id, name)| format!("{id} \"{name}\"")).collect();
        if !threads.is_empty() {
            let more = threads.len().saturating_sub(THREADS);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            let word = if threads.len() == 1 { "thread" } else { "threads" };
            facts.push(format!("by {word} {}{rest}", threads[..threads.len().min(THREADS)].join(", ")));
        }
        if place.most_threads > 0 {
            facts.push(format!("up to {} alive", count(place.most_threads as usize, "thread", "threads")));
        }
        if let Some(event) = place.events.first() {
            facts.push(format!("first after {:.3} s", event.time as f64 / 1e9));
        }
        if place.allowed > 0 {
            facts.push(format!("{} allowed", place.allowed));
        }
        if place.events.iter().any(|event| event.result.is_none() && event.effect != effect::UNKNOWN) {
            facts.push("one never returned".into());
        }
        writeln!(out, "      {}", facts.join("; "))?;
        if beside {
            let libcs = match (place.crashes_old_glibc, place.crashes_musl) {
                (true, true) => "readers can crash: glibc before 2.41, musl",
                (true, false) => "readers can crash: glibc before 2.41",
                (false, true) => "readers can crash: musl; glibc before 2.41: not by this effect",
                (false, false) => "readers do not crash by this effect",
            };
            writeln!(out, "      {libcs}")?;
        }
        for event in place.events.iter().filter(|event| event.value.is_some()).take(NAMES) {
            writeln!(
                out,
                "      {}={}",
                event.name,
                event.value.as_deref().unwrap_or_default().escape_debug()
            )?;
        }
        for frame in place.script.iter().take(FRAMES) {
            writeln!(out, "        Python: {}", short(frame))?;
        }
        stack(out, &place.stack)?;
    }
    if places.len() > PLACES {
        writeln!(out, "\n   and {} more places (all are in the JSON)", places.len() - PLACES)?;
    }
    Ok(())
}

fn readers(out: &mut String, title: &str, readers: &[&Reader]) -> fmt::Result {
    if readers.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n   {title}:")?;
    for (number, reader) in readers.iter().take(PLACES).enumerate() {
        let by = culprit(&[], &reader.stack).map(short).unwrap_or_default();
        let threads: Vec<_> =
            reader.threads.iter().map(|t| format!("{} \"{}\" {}", t.id, t.name, t.reads)).collect();
        let more = threads.len().saturating_sub(THREADS);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let inside = if reader.door { " (reads inside libc)" } else { "" };
        writeln!(
            out,
            "\n   {}. {} of {}{inside} in {by}\n      by {}: {}{rest}",
            number + 1,
            count(reader.reads() as usize, "call", "calls"),
            reader.function,
            count(reader.threads.len(), "thread", "threads"),
            threads[..threads.len().min(THREADS)].join(", "),
        )?;
        stack(out, &reader.stack)?;
    }
    if readers.len() > PLACES {
        writeln!(out, "\n   and {} more (all are in the JSON)", readers.len() - PLACES)?;
    }
    Ok(())
}

fn stack(out: &mut String, stack: &[Frame]) -> fmt::Result {
    // What is below these is libc's start of the program or the thread.
    let below = stack
        .iter()
        .position(|frame| frame.function.as_deref() == Some("main"))
        .map_or(stack.len(), |main| main + 1);
    let thread = stack.iter().position(|frame| frame.function.as_deref() == Some("start_thread"));
    let stack = &stack[..thread.unwrap_or(below).min(below)];
    let (mut shown, mut at) = (0, 0);
    while at < stack.len() && shown < FRAMES {
        let std = stack[at..].iter().take_while(|frame| frame.is_rust_std()).count();
        if std > 1 {
            let last = stack[at + std - 1].function.as_deref().unwrap_or("??");
            writeln!(out, "        #{at:<2} {std} functions of Rust's std below {last}")?;
        } else {
            writeln!(out, "        #{at:<2} {}", long(&stack[at]))?;
        }
        at += std.max(1);
        shown += 1;
    }
    if at < stack.len() {
        writeln!(out, "        and {} more", stack.len() - at)?;
    }
    Ok(())
}

/// What a number stands for.
pub(crate) fn effect_name(effect: u32) -> &'static str {
    effect::NAMES.get(effect as usize).copied().unwrap_or("unknown")
}

fn short(frame: &Frame) -> String {
    match (&frame.function, &frame.location) {
        (Some(function), Some((file, line))) => format!("{function} ({file}:{line})"),
        (Some(function), None) => format!("{function} ({})", frame.module_name()),
        (None, Some((file, line))) => format!("{file}:{line}"),
        (None, None) if frame.module.is_empty() => format!("{:#x}", frame.address),
        (None, None) => format!("{}+{:#x}", frame.module_name(), frame.offset),
    }
}

fn long(frame: &Frame) -> String {
    let place = match &frame.location {
        Some((file, line)) => format!("{file}:{line} "),
        None => String::new(),
    };
    let function = frame.function.as_deref().unwrap_or("??");
    if frame.module.is_empty() {
        return format!("{function} ({:#x})", frame.address);
    }
    format!("{function} {place}({}+{:#x})", frame.module, frame.offset)
}
