//! `mtsafe-env check`: whether running processes are protected.

use crate::commands::{Command, Opt};
use crate::elf::FUNCTIONS;
use crate::failure::Failure;
use crate::library;
use crate::process::{self, Cache, Hidden, Report, Verdict};
use crate::program::{self, Program};
use lexopt::{Arg, Parser};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Exit status: some process is not protected, or it is not known whether it is.
const NOT_PROTECTED: u8 = 1;
/// Exit status: nothing could be looked at.
const NOT_SEEN: u8 = 2;

pub(crate) const COMMAND: Command = Command {
    name: "check",
    arguments: "[--json] [PID | COMMAND | --all]",
    summary: "Say whether running processes are protected; exit with 0 only if all of them are",
    options: &[
        Opt {
            name: "all",
            value: None,
            help: "All processes that may be looked at; so, too, without an argument",
        },
        Opt { name: "json", value: None, help: "One JSON object a line" },
    ],
    words: &[],
    run,
};

fn run(parser: &mut Parser) -> Result<u8, Failure> {
    let (mut all, mut json, mut wanted) = (false, false, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("all") => all = true,
            Arg::Long("json") => json = true,
            Arg::Value(value) if wanted.is_none() => wanted = Some(value),
            other => return Err(Failure { status: NOT_SEEN, ..other.unexpected().into() }),
        }
    }
    if all && wanted.is_some() {
        return Err(Failure::with_status(NOT_SEEN, "check one process, or --all: not both"));
    }
    let mut cache = Cache::default();
    let Some(wanted) = wanted else { return check_all(json, &mut cache) };
    if let Some(pid) = wanted.to_str().and_then(|text| text.parse::<u32>().ok()) {
        let report = process::look(pid, &mut cache)
            .map_err(|hidden| Failure::with_status(NOT_SEEN, unseen(pid, &hidden)))?;
        print(pid, &report, json)?;
        return Ok(status([report.verdict]));
    }
    check_command(&wanted, json, &mut cache)
}

fn unseen(pid: u32, hidden: &Hidden) -> String {
    match hidden {
        Hidden::Gone => format!("there is no process {pid}"),
        Hidden::NotOurs => format!("process {pid} belongs to somebody else: try again as root"),
        Hidden::KernelThread => format!("process {pid} is a thread of the kernel"),
        Hidden::Other(error) => format!("cannot look at process {pid}: {error}"),
    }
}

fn status(verdicts: impl IntoIterator<Item = Verdict>) -> u8 {
    if verdicts.into_iter().all(|verdict| verdict == Verdict::Protected) { 0 } else { NOT_PROTECTED }
}

fn check_all(json: bool, cache: &mut Cache) -> Result<u8, Failure> {
    let (mut verdicts, mut hidden) = (Vec::new(), 0);
    for pid in processes()? {
        match process::look(pid, cache) {
            Ok(report) => {
                print(pid, &report, json)?;
                verdicts.push(report.verdict);
            }
            Err(Hidden::Gone | Hidden::KernelThread) => {}
            Err(_) => hidden += 1,
        }
    }
    if hidden != 0 {
        eprintln!("mtsafe-env: not looked at, as others': {hidden}; try again as root");
        return Ok(if verdicts.is_empty() { NOT_SEEN } else { NOT_PROTECTED });
    }
    Ok(status(verdicts))
}

fn processes() -> Result<Vec<u32>, Failure> {
    let ourselves = std::process::id();
    process::all()
        .map(|pids| pids.into_iter().filter(|pid| *pid != ourselves).collect())
        .map_err(|error| Failure::with_status(NOT_SEEN, format!("cannot read /proc: {error}")))
}

/// The processes that run `command`; if there are none, what would happen to it.
fn check_command(command: &OsStr, json: bool, cache: &mut Cache) -> Result<u8, Failure> {
    let mut verdicts = Vec::new();
    for pid in processes()? {
        if !runs(pid, command) {
            continue;
        }
        match process::look(pid, cache) {
            Ok(report) => {
                print(pid, &report, json)?;
                verdicts.push(report.verdict);
            }
            Err(Hidden::Gone | Hidden::KernelThread) => {}
            Err(hidden) => {
                eprintln!("mtsafe-env: {}", unseen(pid, &hidden));
                verdicts.push(Verdict::Unsure);
            }
        }
    }
    if !verdicts.is_empty() {
        return Ok(status(verdicts));
    }
    let path = program::resolve(command).map_err(|_| {
        Failure::with_status(
            NOT_SEEN,
            format!("no process runs {}, and there is no such command", Path::new(command).display()),
        )
    })?;
    let program = Program::at(&path)?;
    let obstacle = program.obstacle(&library::find(None)?);
    let (word, text) = match &obstacle {
        Some(obstacle) => (obstacle.word, obstacle.text.clone()),
        None => ("ok", format!("mtsafe-env can protect it ({})", program.libc())),
    };
    let shown = path.display().to_string();
    line(&if json {
        format!(
            "{{\"program\":{},\"running\":false,\"protectable\":{},\"obstacle\":{}}}",
            quoted(&shown),
            obstacle.is_none(),
            quoted(word)
        )
    } else {
        format!("{shown}: not running; {text}")
    })?;
    Ok(NOT_PROTECTED)
}

/// True if the process runs this command: the same file if there is a slash in it, otherwise a file or command of that name.
fn runs(pid: u32, command: &OsStr) -> bool {
    let Some((name, program)) = process::names(pid) else { return false };
    if Path::new(command).components().count() > 1 {
        return fs::canonicalize(command).ok().is_some_and(|path| program == Some(path));
    }
    command == OsStr::new(&name) || program.is_some_and(|program| program.file_name() == Some(command))
}

fn print(pid: u32, report: &Report, json: bool) -> Result<(), Failure> {
    line(&if json { as_json(pid, report) } else { as_text(pid, report) })
}

fn line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(Failure::output)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Protected => "protected",
        Verdict::Unsure => "unsure",
        Verdict::Unprotected => "unprotected",
    }
}

/// `123 nginx: protected; glibc 2.36, which needs it; /usr/lib/libmtsafe_env_preload.so 0.2.0; 4 threads`
fn as_text(pid: u32, report: &Report) -> String {
    let name = report.program.file_name().unwrap_or_default().to_string_lossy();
    let verdict = if report.verdict == Verdict::Unprotected { "NOT protected" } else { word(report.verdict) };
    let mut text = format!("{pid} {name}: {verdict}");
    if !report.reason.is_empty() {
        let _ = write!(text, ": {}", report.reason);
    }
    let _ = write!(text, "; {}", report.libc);
    match report.libc.needs_library() {
        Some(true) => text.push_str(", which needs it"),
        Some(false) => text.push_str(", whose getenv needs it less (walks of environ still do)"),
        None => {}
    }
    if let Some((path, version)) = &report.library {
        let _ = write!(text, "; {} {version}", path.display());
    }
    if !report.exact && report.owners.iter().any(Option::is_some) {
        text.push_str("; order of libraries guessed");
    }
    match report.threads {
        Some(1) => text.push_str("; 1 thread"),
        Some(threads) => {
            let _ = write!(text, "; {threads} threads");
        }
        None => {}
    }
    text
}

fn as_json(pid: u32, report: &Report) -> String {
    let optional = |text: Option<String>| text.map_or_else(|| "null".into(), |text| quoted(&text));
    let owners: Vec<_> = FUNCTIONS
        .iter()
        .zip(&report.owners)
        .map(|(name, owner)| {
            format!("{}:{}", quoted(name), optional(owner.as_ref().map(|path| path.display().to_string())))
        })
        .collect();
    format!(
        "{{\"pid\":{pid},\"program\":{},\"running\":true,\"verdict\":{},\"reason\":{},\"libc\":{},\"libc_version\":{},\"libc_needs_library\":{},\
         \"library\":{},\"library_version\":{},\"owners\":{{{}}},\"order_exact\":{},\"threads\":{}}}",
        quoted(&report.program.display().to_string()),
        quoted(word(report.verdict)),
        quoted(&report.reason),
        quoted(report.libc.name()),
        optional(report.libc.version()),
        report.libc.needs_library().map_or("null".into(), |needs| needs.to_string()),
        optional(report.library.as_ref().map(|(path, _)| path.display().to_string())),
        optional(report.library.as_ref().map(|(_, version)| version.clone())),
        owners.join(","),
        report.exact,
        report.threads.map_or("null".into(), |threads| threads.to_string()),
    )
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            control if u32::from(control) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_json_has_it() {
        assert_eq!(quoted("a\"b\\c\nd\u{1}ü"), "\"a\\\"b\\\\c\\u000ad\\u0001ü\"");
    }
}
