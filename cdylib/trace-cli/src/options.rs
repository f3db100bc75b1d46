//! The command line.

use crate::Failure;
use crate::allow::Rules;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;

/// What to run, and what to do with what is found.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) values: bool,
    pub(crate) first: bool,
    pub(crate) protect: bool,
    pub(crate) all: bool,
    pub(crate) error_exitcode: Option<u8>,
    pub(crate) rules: Rules,
    pub(crate) output: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) tracer: Option<PathBuf>,
    pub(crate) library: Option<PathBuf>,
    pub(crate) command: OsString,
    pub(crate) arguments: Vec<OsString>,
}

pub(crate) enum Parsed {
    Run(Box<Options>),
    Help,
}

pub(crate) fn help(name: &str) -> String {
    format!(
        "\
{name} [options] [--] COMMAND ARGS

Runs COMMAND and reports, when it has ended, who changed the environment while more than one thread lived, and who read it
meanwhile: in libc before glibc 2.41, and in every musl, such a reader can crash. The report goes to standard error; SIGUSR1 to
this program gives one at once. The exit status is COMMAND's, or 128 and the signal that killed it.

  -o, --output FILE       write the report to FILE; - is standard error
      --json FILE         write it as JSON to FILE; - is standard error
      --error-exitcode N  exit with N if the environment was changed while more than one thread lived
      --allow FILE        leave out changes that a line of FILE describes: words like function=PATTERN library=PATTERN
                          name=PATTERN, which must all match; * and ? stand for any text and any character; # begins a comment
      --first             stop the program at the first such change with SIGTRAP, for a debugger or a core; --allow is not asked
      --protect           pass the calls on to the preload library instead of libc: readers do not crash
      --values            record values, too; they may be secrets
      --all               report readers that were not at risk, changes by one thread alone, and every process
      --tracer FILE       libmtsafe_env_trace.so, if it is not beside this program or in the lib folder beside its folder
      --library FILE      libmtsafe_env_preload.so, for --protect
"
    )
}

pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, Failure> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    let wrong = |error: lexopt::Error| Failure::new(format!("{error}; --help tells what there is"));
    let path = |value: Result<OsString, lexopt::Error>| value.map(PathBuf::from).map_err(wrong);
    while let Some(argument) = parser.next().map_err(wrong)? {
        match argument {
            Short('h') | Long("help") => return Ok(Parsed::Help),
            Long("values") => options.values = true,
            Long("first") => options.first = true,
            Long("protect") => options.protect = true,
            Long("all") => options.all = true,
            Short('o') | Long("output") => options.output = Some(path(parser.value())?),
            Long("json") => options.json = Some(path(parser.value())?),
            Long("tracer") => options.tracer = Some(path(parser.value())?),
            Long("library") => options.library = Some(path(parser.value())?),
            Long("allow") => options.rules.read(&path(parser.value())?)?,
            Long("error-exitcode") => {
                let text = parser.value().map_err(wrong)?;
                let status = text.to_str().and_then(|text| text.parse().ok());
                options.error_exitcode = Some(status.ok_or_else(|| {
                    Failure::new(format!(
                        "--error-exitcode wants a number from 0 to 255, not {}",
                        text.display()
                    ))
                })?);
            }
            Value(command) => {
                options.command = command;
                options.arguments = parser.raw_args().map_err(wrong)?.collect();
                return Ok(Parsed::Run(Box::new(options)));
            }
            _ => return Err(wrong(argument.unexpected())),
        }
    }
    Err(Failure::new("what is to be run? --help tells what there is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Box<Options>, String> {
        match parse(words.iter().map(OsString::from)) {
            Ok(Parsed::Run(options)) => Ok(options),
            Ok(Parsed::Help) => Err("help".into()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn what_stands_behind_the_command_is_its_own() {
        let options =
            parsed(&["--values", "--error-exitcode=3", "cmd", "--first", "--", "-x"]).expect("valid");
        assert!(options.values && !options.first);
        assert_eq!((options.error_exitcode, options.command), (Some(3), "cmd".into()));
        assert_eq!(options.arguments, ["--first", "--", "-x"]);
        let options = parsed(&["--", "--first"]).expect("valid");
        assert_eq!(options.command, "--first");
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (words, named) in [
            (&["--no-such", "x"][..], "--no-such"),
            (&["--error-exitcode", "256", "x"], "256"),
            (&["--error-exitcode", "x"], "--error-exitcode"),
            (&["--allow", "/no/such/file", "x"], "/no/such/file"),
            (&[], "what is to be run"),
        ] {
            let error = parsed(words).expect_err("refused");
            assert!(error.contains(named) && !error.contains('\n'), "{words:?}: {error}");
        }
    }
}
