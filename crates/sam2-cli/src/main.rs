//! The `sam2` command: arguments become a checked job in one function, the job calls the `sam2` crate.

mod api;
mod bench;
mod cli;
mod convert;
mod devices;
mod error;
mod eval;
mod fails_once;
mod files;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fuzz;
mod locate;
mod log;
mod models;
mod npz;
mod oom;
mod output;
mod pointed;
mod progress;
mod segment;
mod serve;
mod session;
mod track;

use clap::Parser;
use clap::error::ErrorKind;
use cli::{Cli, Command};
pub use error::CliError;
use sam2_server::Settings;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: sam2::memory::Remembering = sam2::memory::Remembering;

fn main() -> ExitCode {
    quiet_the_loader();
    oom::explain_aborts();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    // A panic is a bug, but still one line and an exit status, not a page of text.
    // Some are caught and worked around (a GPU driver that fails), so that the hook only remembers.
    std::panic::set_hook(Box::new(|info| error::remember_panic(&info.to_string())));
    match std::panic::catch_unwind(|| run(&cli)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            report(&error, cli.global.verbose > 0);
            ExitCode::from(error.status())
        }
        Err(_) => {
            report(&CliError::internal(), false);
            ExitCode::from(1)
        }
    }
}

/// Without a session (a server, a container) Mesa's layer that sorts GPUs prints four lines of "error:" about
/// a variable that nothing here needs. The order of the GPUs is chosen by what they are in any case.
fn quiet_the_loader() {
    let unset = |name| std::env::var_os(name).is_none();
    if unset("XDG_RUNTIME_DIR") && unset("NODEVICE_SELECT") {
        // SAFETY: the first statement of the program; there is no other thread yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn run(cli: &Cli) -> Result<(), CliError> {
    let settings = Settings::from_os_env(std::env::vars_os())?;
    log::start(&cli.global, &settings);
    settings.warn_of_what_waits();
    progress::configure(&cli.global);
    let session = session::Session::new(cli.global.clone(), settings);
    match &cli.command {
        Command::Segment(args) => segment::run(args, &session),
        Command::Track(args) => track::run(args, &session),
        Command::Convert(args) => convert::run(args, &session),
        Command::Models(command) => models::run(command, &session),
        Command::Devices(args) => devices::run(args, &session),
        Command::Bench(args) => bench::run(args, &session),
        Command::Eval(args) => eval::run(args, &session),
        Command::Serve(args) => serve::run(args, &session),
    }
}

/// `--help` and `--version` go to stdout and are no errors; everything else is one line and status 2.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("sam2: {}", cli::usage_line(error));
            ExitCode::from(2)
        }
    }
}

fn report(error: &CliError, verbose: bool) {
    // Nobody reads, or the one picture's own line said it all.
    if matches!(error, CliError::Closed | CliError::Partly { total: 1, .. }) {
        return;
    }
    eprintln!("sam2: {}", error::one_line(&error.to_string()));
    if let (true, Some(all)) = (verbose, error.mismatch()) {
        eprintln!("{all:#}");
    }
}
