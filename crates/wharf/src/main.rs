//! The `wharf` binary: configuration, command line, wiring.
//!
//! It is the only crate that names concrete connectors, doors and stores, and the only one that reads
//! the environment. `cli` says what can be said; one module does each command.

#[macro_use]
mod words;

mod cli;
mod client;
mod config;
mod copy;
mod coverage;
mod demo;
mod init;
mod progress;
mod remote;
mod serve;
mod transform;

use std::process::ExitCode;

use clap::Parser as _;
use cli::{Cli, Command, TransformCommand};

fn main() -> ExitCode {
    let command = Cli::parse().command;
    match command {
        Command::Serve { config } => serve::run(&config),
        Command::Check { config } => init::check(&config),
        Command::Init { file, force } => init::init(&file, force),
        Command::Copy(args) => copy::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Transform(TransformCommand::Try(args)) => transform::run(&args),
        Command::Coverage { json, write } => coverage::run(json, write.as_deref()),
        remote => remote::run(remote),
    }
}
