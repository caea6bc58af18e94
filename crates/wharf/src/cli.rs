//! The command line: what can be said, and nothing of how it is done.

mod pipelines;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use pipelines::{ConnectionCommand, DeadCommand, FlowLogCommand, PipelineCommand, Which as DeadWhich};

/// Moves data between clouds' APIs and systems you run, and accounts for every item.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve {
        /// Configuration file.
        #[arg(long, short, default_value = "wharf.toml")]
        config: PathBuf,
    },
    /// Report every problem of a configuration at once.
    Check {
        /// Configuration file.
        #[arg(default_value = "wharf.toml")]
        config: PathBuf,
    },
    /// Write a commented configuration with a fresh key pair.
    Init {
        /// Where to.
        #[arg(default_value = "wharf.toml")]
        file: PathBuf,
        /// Replace a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Copy a tree between a directory and a bucket, without a server. Run it again to continue.
    Copy(Box<CopyArgs>),
    /// Data flows of a server.
    #[command(subcommand)]
    Flow(FlowCommand),
    /// Tasks of a server.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Pipelines of a server: standing flows of records.
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// Connections of a server: systems that pipelines lead to.
    #[command(subcommand)]
    Connection(ConnectionCommand),
    /// Dead letters: records that could not go on.
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Flow logs of a server: traffic that is recorded into topics.
    #[command(subcommand, name = "flowlog")]
    FlowLog(FlowLogCommand),
    /// The resource catalogue of a server: file systems and object stores.
    #[command(subcommand)]
    Resource(ResourceCommand),
    /// Accounts of a server.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Receipts: what a finished task can prove.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Transforms of streams.
    #[command(subcommand)]
    Transform(TransformCommand),
    /// Start everything in a temporary folder and move a real tree through two clouds' APIs.
    Demo(DemoArgs),
    /// Print which fields of which API are honoured, stored or refused.
    Coverage {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Rewrite the tables inside docs/doors/*.md below this folder.
        #[arg(long, value_name = "FOLDER")]
        write: Option<PathBuf>,
    },
}

/// Conflict rules of `wharf copy` and `wharf task create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Conflict {
    /// Write unless it is known to be the same.
    IfChanged,
    /// Leave what is there alone.
    Skip,
    /// The later modification time wins.
    Latest,
    /// Always write.
    Overwrite,
}

/// When `wharf copy` makes files durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fsync {
    /// Leave it to the system, as cp does.
    None,
    /// Once at the end.
    End,
    /// Every file before it appears.
    Each,
}

/// `wharf copy`
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// A directory, a file, s3://bucket/prefix/ or s3://bucket/key
    pub source: String,
    /// A directory or s3://bucket/prefix/; for a single file or object also its new name
    pub destination: String,
    /// What to do where the destination already has the name.
    #[arg(long, value_enum, default_value = "if-changed")]
    pub conflict: Conflict,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Read back everything that was written and compare.
    #[arg(long)]
    pub verify: bool,
    /// Endpoint, e.g. http://127.0.0.1:9000 [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, S3_ENDPOINT_URL]
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Region for signing [env: AWS_REGION, AWS_DEFAULT_REGION]
    #[arg(long)]
    pub region: Option<String>,
    /// Profile of the shared credentials file. Keys come from AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY, else from this profile; never from the command line.
    #[arg(long, env = "AWS_PROFILE", default_value = "default")]
    pub profile: String,
    /// https://bucket.host/key instead of https://host/bucket/key
    #[arg(long)]
    pub virtual_host: bool,
    /// Further certificate authorities to trust, PEM.
    #[arg(long, env = "AWS_CA_BUNDLE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Threads that move data; 0 = two for each core, at most 8.
    #[arg(long, default_value_t = 0)]
    pub lanes: usize,
    /// Bytes in flight.
    #[arg(long, default_value = "96MiB", value_parser = crate::config::parse_size)]
    pub memory: u64,
    /// Bytes a second; 0 = no limit.
    #[arg(long, default_value = "0", value_parser = crate::config::parse_size)]
    pub bandwidth: u64,
    /// Objects from this size on are moved in parts, those of more than 16 parts in parts of up to four times this size.
    #[arg(long, default_value = "16MiB", value_parser = crate::config::parse_size)]
    pub part_size: u64,
    /// When files become durable.
    #[arg(long, value_enum, default_value = "none")]
    pub fsync: Fsync,
    /// Neither keep nor set owner, mode, times, xattrs and directories.
    #[arg(long)]
    pub no_metadata: bool,
    /// Also keep extended attributes.
    #[arg(long)]
    pub xattrs: bool,
    /// After a success, remove unfinished uploads and temporary files of wharf's that nobody has touched for so
    /// long at the destination (45s, 30m, 12h, 7d), or "never". Other tools' are never touched. This command
    /// knows of no server's tasks and no other copy: the age must be longer than any of them may rest there.
    #[arg(long, default_value = "7d", value_name = "AGE", value_parser = crate::config::parse_age)]
    pub sweep_after: crate::config::Age,
    /// Write a manifest: one JSON line for each item with size, digest and outcome.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// No progress bar.
    #[arg(long, short)]
    pub quiet: bool,
    /// Print the ledger as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `wharf transform`
#[derive(Debug, Subcommand)]
pub enum TransformCommand {
    /// Show what each step makes of some text, by the code of a pipeline and without a server.
    Try(TryArgs),
}

/// `wharf transform try`
#[derive(Debug, Args)]
pub struct TryArgs {
    /// File with a TransformsParam or TransformParam of CreateDatahubTask, or with the whole request, as JSON.
    #[arg(long, value_name = "FILE")]
    pub spec: PathBuf,
    /// One record. Otherwise each line of the input is one; on a terminal the specification's Content is taken.
    #[arg(long, value_name = "TEXT")]
    pub value: Option<String>,
    /// One JSON object for each record.
    #[arg(long)]
    pub json: bool,
}

/// How to reach a server.
#[derive(Debug, Clone, Args)]
pub struct Server {
    /// Address [default: from the configuration]
    #[arg(long, env = "WHARF_SERVER", value_name = "URL", global = true)]
    pub server: Option<String>,
    /// Configuration to take address and key from. Otherwise the key comes from
    /// WHARF_ACCESS_KEY_ID and WHARF_ACCESS_KEY_SECRET.
    #[arg(long, env = "WHARF_CONFIG", default_value = "wharf.toml", global = true)]
    pub config: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// `wharf flow`
#[derive(Debug, Subcommand)]
pub enum FlowCommand {
    /// All flows.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// One flow.
    Show {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Bind a directory and a bucket prefix.
    Create {
        /// File system of the catalogue.
        #[arg(long)]
        file_system: String,
        /// Directory below the file system's root.
        #[arg(long, default_value = "/")]
        directory: String,
        /// s3://bucket/prefix/; the bucket is looked up in the catalogue.
        #[arg(long)]
        bucket: String,
        /// Name.
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// Remove a flow. Files and objects stay.
    Delete {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
}

/// Which way a task moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Bucket to directory.
    Import,
    /// Directory to bucket.
    Export,
}

/// What `wharf task create` and `wharf task plan` are about.
#[derive(Debug, Args)]
pub struct Transfer {
    /// Flow.
    #[arg(long)]
    pub flow: String,
    /// Which way.
    #[arg(value_enum)]
    pub way: Way,
    /// Only below this path of the source.
    #[arg(long, default_value = "")]
    pub path: String,
    /// What to do where the destination already has the name.
    #[arg(long, value_enum, default_value = "if-changed")]
    pub conflict: Conflict,
}

/// `wharf task`
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Tasks, newest first.
    List {
        /// Of this flow only.
        #[arg(long)]
        flow: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u64,
        #[command(flatten)]
        server: Server,
    },
    /// One task with its ledger.
    Show {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// What happened to a task, oldest first.
    Events {
        /// Identifier.
        id: String,
        /// Wait for more until the task has ended. With --json: one object on each line.
        #[arg(long, short)]
        follow: bool,
        /// Only later ones than this number.
        #[arg(long, default_value_t = 0)]
        after: u64,
        #[command(flatten)]
        server: Server,
    },
    /// Say what a transfer would do (files, bytes, conflicts, requests, time), and change nothing.
    Plan {
        #[command(flatten)]
        what: Transfer,
        #[command(flatten)]
        server: Server,
    },
    /// Start a transfer on a flow and watch it.
    Create {
        #[command(flatten)]
        what: Transfer,
        /// The same as `wharf task plan`.
        #[arg(long)]
        dry_run: bool,
        /// Come back at once.
        #[arg(long)]
        detach: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Watch a task to its end.
    Watch {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Pause a task; it goes on from its checkpoint.
    Pause {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Let a paused task go on.
    Resume {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Stop a task for good.
    Cancel {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
}

/// `wharf resource`
#[derive(Debug, Subcommand)]
pub enum ResourceCommand {
    /// The whole catalogue.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Show a directory of the server's machine as a cloud file system.
    // Its `--version` is the file system's.
    #[command(disable_version_flag = true)]
    AddFilesystem {
        /// cfs-…, cpfs-… or bmcpfs-…: the prefix tells the product.
        id: String,
        /// Absolute directory.
        root: String,
        /// Version that is shown.
        #[arg(long)]
        version: Option<String>,
        /// Words.
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        server: Server,
    },
    /// Add an S3-compatible store. Its secret is read from standard input or WHARF_STORE_SECRET.
    AddStore {
        /// Identifier.
        id: String,
        /// http(s)://host[:port]
        url: String,
        /// Access key of the catalogue.
        #[arg(long)]
        access_key_id: Option<String>,
        /// Region for signing.
        #[arg(long, default_value = "us-east-1")]
        region: String,
        /// s3, cos, oss or obs
        #[arg(long, default_value = "s3")]
        dialect: String,
        /// https://bucket.host/key instead of https://host/bucket/key
        #[arg(long)]
        virtual_host: bool,
        /// Bucket names that mean this store.
        #[arg(long, default_value = "*")]
        bucket: Vec<String>,
        /// Vendors' host names that mean this store.
        #[arg(long)]
        host: Vec<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Remove a resource that no flow uses.
    Remove {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
}

/// `wharf account`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// All accounts; secrets are never shown.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Make an account; its secret is printed once.
    Create {
        /// Name.
        name: String,
        /// Tencent's AppId.
        #[arg(long, default_value = "1250000000")]
        app_id: String,
        /// May use the operator's door.
        #[arg(long)]
        operator: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Switch an account off.
    Disable {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Switch an account on again.
    Enable {
        /// Identifier.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// Make an access token for an account (Huawei's `X-Auth-Token`); it is printed once.
    Token {
        /// Identifier.
        id: String,
        /// Make all tokens of the account worthless instead.
        #[arg(long)]
        revoke: bool,
        #[command(flatten)]
        server: Server,
    },
}

/// `wharf receipt`
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Counts, bytes and the manifest's hash.
    Show {
        /// Task.
        task: String,
        #[command(flatten)]
        server: Server,
    },
    /// Read the destination again and compare it with the manifest.
    Verify {
        /// Task.
        task: String,
        #[command(flatten)]
        server: Server,
    },
}

/// `wharf demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The tree to move [default: cargo's registry sources, else /usr/share/doc]
    #[arg(long)]
    pub tree: Option<PathBuf>,
    /// Leave the server running afterwards.
    #[arg(long)]
    pub keep: bool,
    /// Working folder [default: a new one below the system's temporary folder]
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Files of the tree that are taken at most.
    #[arg(long, default_value_t = 6000)]
    pub files: u64,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn no_option_of_a_command_is_in_the_way_of_another() {
        Cli::command().debug_assert();
    }
}
