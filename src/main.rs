//! The command line: `sluice` runs the server, `sluice check-config` checks its configuration,
//! `sluice doctor` what stands around it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use sluice::config::{self, Config, Loaded};
use sluice::doctor;
use sluice::doctor::report::Style;
use sluice::wire::stun::TransactionId;
use sluice::worker::random::random;

/// How long each step of a health check may take; three of them stay within the time that Docker gives.
const HEALTH_STEP: Duration = Duration::from_millis(900);

/// A media server for live streams: encoders publish by WHIP, viewers watch by WHEP.
///
/// Without a configuration it serves this machine only: HTTP on 127.0.0.1:8080, media on UDP port 3478, no
/// access control.
#[derive(Parser)]
#[command(
    version,
    after_help = "Settings, each overriding the one before: the defaults, the file, the \
    environment\n(SLUICE__SECTION__KEY=value), --set."
)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Settings {
    /// The configuration file [default: $SLUICE_CONFIG, else sluice.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, for instance --set media.announce=203.0.113.7; repeatable, lists comma separated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Check the configuration, print the effective values without secrets, and exit
    CheckConfig(#[command(flatten)] Settings),
    /// Ask the running server of the same configuration whether it is alive; for a container's health check
    Health(#[command(flatten)] Settings),
    /// Look for what keeps people from reaching this server, and say what to do about it
    #[command(after_help = "Exit status: 0 when all is well, 1 for warnings, 2 for errors.")]
    Doctor {
        #[command(flatten)]
        settings: Settings,
        /// Tell it as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// What is set behind the command's name.
    fn settings(&self) -> &Settings {
        match self {
            Self::CheckConfig(settings) | Self::Health(settings) | Self::Doctor { settings, .. } => settings,
        }
    }
}

fn main() -> ExitCode {
    let Arguments { mut settings, command } = Arguments::parse();
    if let Some(more) = command.as_ref().map(Command::settings) {
        settings.config = more.config.clone().or(settings.config);
        settings.set.extend_from_slice(&more.set);
    }
    match load(&settings) {
        Ok(loaded) => match command {
            None => serve(&loaded.config),
            Some(Command::CheckConfig(_)) => list(&loaded),
            Some(Command::Health(_)) => health(&loaded.config),
            Some(Command::Doctor { json, .. }) => examine(&loaded.config, json),
        },
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn load(settings: &Settings) -> Result<Loaded, config::Error> {
    let variable = std::env::var_os(config::file::VARIABLE);
    let file = config::file::find(settings.config.as_deref(), variable.as_deref(), Path::new("."))?;
    config::load(file.as_ref(), std::env::vars_os(), &settings.set)
}

fn list(loaded: &Loaded) -> ExitCode {
    // A reader that has seen enough, as in `check-config | head`, is no error.
    let _ = write!(std::io::stdout(), "configuration is valid\n{}", loaded.listing());
    ExitCode::SUCCESS
}

fn health(config: &Config) -> ExitCode {
    let certificate = config.tls.files().map(|(certificate, _)| certificate);
    match sluice::health::check(config.http.listen, certificate.as_deref(), HEALTH_STEP) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("not healthy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn examine(config: &Config, json: bool) -> ExitCode {
    let report = doctor::examine(config, None, || TransactionId(random()));
    let mut out = std::io::stdout();
    // People who want no colours say so by this variable (no-color.org).
    let plain = !out.is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = if plain { Style::Plain } else { Style::Coloured };
    let text = if json { report.json() + "\n" } else { report.text(style) };
    // A reader that has seen enough is no error.
    let _ = out.write_all(text.as_bytes());
    ExitCode::from(report.exit_status())
}

fn serve(config: &Config) -> ExitCode {
    match sluice::server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
