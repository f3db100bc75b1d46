//! `mtsafe-env`: for those who run programs that die in `getenv`. Starts a program with the preload library, says whether a running one
//! is protected, whether a crash is the one that the library prevents, and puts the library into a whole system.

// Not Rust's own start: it ignores SIGPIPE and opens the standard descriptors, and the command would inherit both.
#![cfg_attr(not(test), no_main)]

mod backtrace;
mod check;
mod commands;
mod core_file;
mod diagnose;
mod elf;
mod failure;
mod generate;
mod libc_kind;
mod library;
mod process;
mod program;
mod run;
mod system;
mod trace;

use commands::COMMANDS;
use failure::Failure;
use lexopt::{Arg, Parser};

#[cfg_attr(not(test), unsafe(export_name = "main"))]
#[cfg_attr(test, allow(dead_code))]
extern "C" fn start(_: std::ffi::c_int, _: *const *const std::ffi::c_char) -> std::ffi::c_int {
    // std has the arguments all the same: from libc's list of initialisers.
    let status = match run() {
        Ok(status) => status,
        Err(failure) => {
            eprintln!("mtsafe-env: {}", failure.line);
            failure.status
        }
    };
    status.into()
}

fn run() -> Result<u8, Failure> {
    let mut parser = Parser::from_env();
    let mut options = run::Options::default();
    loop {
        // Behind `--` a subcommand's name is a command like any other.
        let separated =
            parser.try_raw_args().is_some_and(|words| words.peek().is_some_and(|word| word == "--"));
        let Some(argument) = parser.next()? else { break };
        match argument {
            Arg::Long("help") | Arg::Short('h') => return generate::help(),
            Arg::Long("version") | Arg::Short('V') => return generate::version(),
            Arg::Long("generate") => return generate::generate(&parser.value()?),
            Arg::Long("print-library") => {
                library::print(options.library.as_deref())?;
                return Ok(0);
            }
            Arg::Long("library") => options.library = Some(parser.value()?),
            Arg::Long("strict") => options.strict = true,
            Arg::Long("quiet") => options.quiet = true,
            Arg::Value(word) => {
                return match COMMANDS.iter().find(|command| !separated && word == command.name) {
                    Some(command) => (command.run)(&mut parser),
                    None => run::start(&options, word, parser.raw_args()?.collect()),
                };
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Err(Failure::new("start what? mtsafe-env COMMAND [ARGUMENT]..., or mtsafe-env --help"))
}
