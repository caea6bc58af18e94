//! `wharf pipeline`, `wharf connection`, `wharf dead`, `wharf flowlog`.

use clap::{Args, Subcommand};

use super::Server;

/// One thing of a server.
#[derive(Debug, Args)]
pub struct One {
    /// Identifier.
    pub id: String,
    #[command(flatten)]
    pub server: Server,
}

/// A list.
#[derive(Debug, Args)]
pub struct List {
    /// Only those with this in their name.
    #[arg(long)]
    pub search: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    pub limit: u64,
    #[command(flatten)]
    pub server: Server,
}

/// `wharf pipeline`
#[derive(Debug, Subcommand)]
pub enum PipelineCommand {
    /// Pipelines, newest first.
    List(List),
    /// One pipeline with its ledger and what is in its way; also one that was deleted not long ago.
    Show(One),
    /// Pause a pipeline; it keeps its positions.
    Pause(One),
    /// Let a paused pipeline go on.
    Resume(One),
    /// Start a pipeline anew, from its positions.
    Restart(One),
    /// End a pipeline. What it wrote stays.
    Delete(One),
}

/// `wharf connection`
#[derive(Debug, Subcommand)]
pub enum ConnectionCommand {
    /// Connections, newest first. Secrets are never shown.
    List(List),
    /// One connection.
    Show(One),
    /// Remove a connection that no pipeline uses.
    Delete(One),
}

/// `wharf flowlog`
#[derive(Debug, Subcommand)]
pub enum FlowLogCommand {
    /// Flow logs, newest first, with what was written and lost.
    List(List),
    /// One flow log: counts, losses, how it observes, what is in its way.
    Show(One),
}

/// `wharf dead`
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// Records that could not go on, newest first.
    List {
        /// Of this pipeline only.
        pipeline: Option<String>,
        /// Only those with this in their reason or kind of error.
        #[arg(long)]
        reason: Option<String>,
        /// transform or sink
        #[arg(long)]
        stage: Option<String>,
        /// waiting, replaying, replayed or dropped
        #[arg(long)]
        status: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: u64,
        #[command(flatten)]
        server: Server,
    },
    /// One record: its exact bytes, headers, reason and position.
    Show {
        /// Pipeline.
        pipeline: String,
        /// topic/partition/offset/sub, as the list has it
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Send records through their pipeline once more.
    Replay(Which),
    /// Give records up; their content is destroyed.
    Drop(Which),
}

/// Which letters of a pipeline.
#[derive(Debug, Args)]
pub struct Which {
    /// Pipeline.
    pub pipeline: String,
    /// topic/partition/offset/sub, as the list has it
    #[arg(required_unless_present_any = ["reason", "all"], conflicts_with = "all")]
    pub ids: Vec<String>,
    /// Those with this in their reason or kind of error.
    #[arg(long)]
    pub reason: Option<String>,
    /// All that wait.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub server: Server,
}

impl PipelineCommand {
    /// How to reach the server.
    pub fn server(&self) -> &Server {
        match self {
            Self::List(l) => &l.server,
            Self::Show(o) | Self::Pause(o) | Self::Resume(o) | Self::Restart(o) | Self::Delete(o) => {
                &o.server
            }
        }
    }
}

impl ConnectionCommand {
    /// How to reach the server.
    pub fn server(&self) -> &Server {
        match self {
            Self::List(l) => &l.server,
            Self::Show(o) | Self::Delete(o) => &o.server,
        }
    }
}

impl FlowLogCommand {
    /// How to reach the server.
    pub fn server(&self) -> &Server {
        match self {
            Self::List(l) => &l.server,
            Self::Show(o) => &o.server,
        }
    }
}

impl DeadCommand {
    /// How to reach the server.
    pub fn server(&self) -> &Server {
        match self {
            Self::List { server, .. } | Self::Show { server, .. } => server,
            Self::Replay(w) | Self::Drop(w) => &w.server,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Cli;

    #[test]
    fn nothing_is_dropped_without_saying_which() {
        let parses = |words: &str| Cli::try_parse_from(words.split(' ')).is_ok();
        assert!(parses("wharf dead list"));
        assert!(parses("wharf dead drop task-1 t/0/1/0 t/0/2/0"));
        assert!(parses("wharf dead replay task-1 --reason mapper"));
        assert!(parses("wharf dead replay task-1 t/0/1/0 --reason mapper --json"));
        assert!(parses("wharf dead drop task-1 --all"));
        assert!(!parses("wharf dead drop task-1"));
        assert!(!parses("wharf dead drop task-1 t/0/1/0 --all"));
        assert!(!parses("wharf dead drop"));
        assert!(parses("wharf pipeline list --search x --json"));
        assert!(parses("wharf connection delete resource-1"));
        assert!(parses("wharf flowlog show fl-12345678 --json"));
    }
}
