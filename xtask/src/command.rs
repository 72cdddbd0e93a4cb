//! Running other programs, with errors that say which one failed and why.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::children;

/// Runs `command` with the terminal it inherits; a status other than 0 is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    let _guard = children::watch(&child);
    let status = child.wait()?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// As [`run`], and hands each line of standard output to `see` while passing it on.
pub fn run_seeing(command: &mut Command, mut see: impl FnMut(&str)) -> Result<()> {
    let shown = show(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    let _guard = children::watch(&child);
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        let mut out = std::io::stdout();
        // Bytes, not text: a test may print anything.
        while lines.read_until(b'\n', &mut line)? > 0 {
            see(&String::from_utf8_lossy(&line));
            out.write_all(&line)?;
            out.flush()?;
            line.clear();
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Runs `command` and returns what it printed, whatever its status; `None` when there is no such
/// program.
pub fn output(command: &mut Command) -> Result<Option<Output>> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot start {}", show(command))),
    }
}

/// Standard output of a command that succeeded, trimmed; `None` when it is missing or failed.
pub fn answer(command: &mut Command) -> Option<String> {
    let output = output(command).ok().flatten()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Lets rustup add something to the toolchain in use; whether that worked.
pub fn rustup(arguments: &[&str]) -> bool {
    let mut command = Command::new("rustup");
    // Where nothing can be reached, fail in seconds and not after a row of retries.
    command.args(arguments).env("RUSTUP_MAX_RETRIES", "1");
    matches!(output(&mut command), Ok(Some(output)) if output.status.success())
}

/// Takes away what `cargo run` puts in the environment of this program, so that a Cargo started
/// from here behaves as one started from a shell.
pub fn without_cargo_environment(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let ours = name == "CARGO"
            || name == "LD_LIBRARY_PATH"
            || name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
            || name == "CARGO_PRIMARY_PACKAGE";
        if ours {
            command.env_remove(name);
        }
    }
    command
}

fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_not_an_answer() {
        assert_eq!(answer(&mut Command::new("no-such-program-anywhere")), None);
    }

    #[test]
    fn an_error_names_the_command() {
        let error = run(Command::new("false").arg("--really"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("false --really"), "{error}");
        assert!(error.contains("exit status: 1"), "{error}");
    }

    #[test]
    fn lines_are_seen_even_when_the_command_fails() {
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two; exit 3"]);
        let result = run_seeing(&mut command, |line| seen.push(line.trim().to_owned()));
        assert!(result.is_err());
        assert_eq!(seen, ["one", "two"]);
    }
}
