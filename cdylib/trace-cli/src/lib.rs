//! The front end of the tracer: runs a program under `libmtsafe_env_trace.so`, waits for its end, whatever that is, and reports from
//! outside what the library has recorded: who changed the environment while threads ran, and who read it meanwhile.
//!
//! All that needs memory, files and time happens here, not in the program: unwinding, symbols, text. [`run`] is the whole
//! interface, so that a launcher can have it as a subcommand.

mod allow;
mod json;
mod launch;
mod libc_version;
mod options;
mod recording;
mod report;
mod symbols;
mod text;
mod unwind;

use report::Report;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Exit status when this program itself failed; as of `env`.
const FAILED: u8 = 125;

/// Why something could not be done: one line for standard error, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    line: String,
    status: u8,
}

impl Failure {
    pub(crate) fn new(line: impl Into<String>) -> Failure {
        Failure::with_status(FAILED, line)
    }

    pub(crate) fn with_status(status: u8, line: impl Into<String>) -> Failure {
        Failure { line: line.into(), status }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Runs what the arguments ask for: `[options] [--] COMMAND ARGS`, without a name of this program before them.
///
/// What comes back is the command's exit status, 128 and the number of the signal that killed it, what `--error-exitcode` says if
/// the environment was changed while more than one thread lived, or 125 to 127 as of `env` if the command could not be run. Errors
/// are one line on standard error that begins with `name`. Signals that would end this process are passed on to the command.
pub fn run(name: &str, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match try_run(name, arguments) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("{name}: {failure}");
            ExitCode::from(failure.status)
        }
    }
}

fn try_run(name: &str, arguments: impl IntoIterator<Item = OsString>) -> Result<u8, Failure> {
    let options = match options::parse(arguments)? {
        options::Parsed::Run(options) => options,
        options::Parsed::Help => {
            return write_to(&mut io::stdout(), &options::help(name)).map(|()| 0);
        }
    };
    let mut symbols = symbols::Symbols::default();
    let mut faults = 0;
    let ended = launch::run(&options, |recordings, end| {
        let report = Report::new(recordings, end, &options, &mut symbols);
        faults = report.faults();
        output(&report, &options)
    })?;
    Ok(match (options.error_exitcode, faults) {
        (Some(status), 1..) => status,
        _ => ended.status(),
    })
}

fn output(report: &Report, options: &options::Options) -> Result<(), Failure> {
    if let Some(path) = &options.json {
        write_file(path, &format!("{}\n", json::of(report, options)))?;
    }
    match &options.output {
        Some(path) => write_file(path, &text::of(report)),
        None if options.json.is_some() => Ok(()),
        None => write_to(&mut io::stderr(), &text::of(report)),
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        return write_to(&mut io::stderr(), text);
    }
    File::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::new(format!("cannot write the report to {}: {error}", path.display())))
}

fn write_to(stream: &mut dyn Write, text: &str) -> Result<(), Failure> {
    stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush())
        .map_err(|error| Failure::new(format!("cannot write: {error}")))
}
