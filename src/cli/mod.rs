//! The command line: its grammar, and one file a command. Owns words and exit codes; must not know
//! how a node works.

mod bench;
mod call;
mod check;
mod client;
mod describe;
mod embedded;
mod explain;
mod init;
pub(crate) mod logging;
mod look;
mod publish;
mod register;
mod signals;
mod sql_install;
mod start;
mod subscribe;

use std::{
    num::{NonZeroU8, NonZeroU16, NonZeroU64},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::close,
};
use serde_json::value::RawValue;

use crate::config::{self, Backend, ConfigError, NodeConfig};
use component::Classes;
use wamp_bench::RouterUrl;

/// The exit code for a configuration or command line with faults.
const FAULTY: u8 = 2;

/// Calls PostgreSQL from browsers and Autobahn clients over WAMP: a router, a web server and
/// database components in one process.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: StartArgs,
}

const EXAMPLES: &str = "\
Examples:
  wampgres                                run the node that ./config.json describes
  wampgres init notes                     write the files of a node of your own
  wampgres start --embedded-postgres      the same, with a private PostgreSQL of its own
  wampgres check --config /etc/node.json  list every fault of a configuration
  wampgres call com.example.now.v1        call a procedure of the node that runs on this machine
  wampgres bench --connections 50         measure the node that runs on this machine

Without a command the node is started. The log goes to standard error; RUST_LOG sets what is
logged, for example RUST_LOG=debug or RUST_LOG=wampgres::adbapi=debug,info. The node never waits for
whoever reads its log: lines beyond 1 MiB are dropped and counted, and so are more than 60 lines a
minute about one client (those of DEBUG are not).

Exit codes: 0 stopped by a signal or all is well, 1 something failed, 2 the configuration or the
command line has faults.";

const SIGNALS: &str = "\
Signals: SIGINT and SIGTERM stop the node in order: calls under way have most of --stop-timeout to be
answered. A second one ends the node at once, unless it comes within a second of the first. SIGHUP has
the node read again what can change while it runs: the files of SQL procedures. No session is lost. Only
when the terminal that the node was started from is closed, SIGHUP is a stop; under nohup not even then.";

#[derive(Subcommand)]
enum Command {
    /// Run the node until SIGINT or SIGTERM (this is the default)
    #[command(after_help = SIGNALS)]
    Start(StartArgs),
    /// Write the files of a node of one's own: its configuration, procedures in SQL, a page
    #[command(after_help = init::HELP)]
    Init(init::InitArgs),
    /// Check a configuration and list all of its faults
    Check(CheckArgs),
    /// Install what SQL needs to publish events and to ask who calls: the schema wampgres
    #[command(name = "sql-install", after_help = SQL_INSTALL_HELP)]
    SqlInstall(SqlInstallArgs),
    /// Call a procedure and print what it answers
    #[command(after_help = call::HELP)]
    Call(Box<call::CallArgs>),
    /// Publish an event
    #[command(after_help = publish::HELP)]
    Publish(Box<publish::PublishArgs>),
    /// Print the events of topics
    #[command(after_help = subscribe::HELP)]
    Subscribe(Box<subscribe::SubscribeArgs>),
    /// Answer calls with a program
    #[command(after_help = register::HELP)]
    Register(Box<register::RegisterArgs>),
    /// Say what procedures in SQL there are: for people, as JSON or as TypeScript
    #[command(after_help = describe::HELP)]
    Describe(Box<describe::DescribeArgs>),
    /// Show what PostgreSQL plans to do for a call of a procedure in SQL
    #[command(after_help = explain::HELP)]
    Explain(Box<explain::ExplainArgs>),
    /// Put a load on a router and measure it
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Box<BenchArgs>),
    /// Print the version
    Version,
}

#[derive(Args)]
struct StartArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Run a private PostgreSQL with the server programs that are installed, and use it instead of
    /// the host and port of the configuration. Its data is kept in DIR [default:
    /// ~/.local/share/wampgres/postgres, for root /var/lib/wampgres/postgres]; the log names its
    /// port
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    embedded_postgres: Option<Option<PathBuf>>,
    /// Which backend speaks with the databases, whatever the configuration names: adbapi or
    /// txpostgres
    #[arg(long, value_name = "NAME")]
    backend: Option<Backend>,
    /// How many threads serve connections [default: one for every two processors]. More are faster
    /// where few calls reach the database and events go to many subscribers
    #[arg(long, value_name = "N")]
    io_threads: Option<NonZeroU8>,
    /// Let threads sleep whenever they wait for calls. Otherwise they stay awake for a moment and
    /// look for the next call. Sleeping threads take less processor time and answer later
    #[arg(long)]
    wait_asleep: bool,
    /// Look twice a second whether files of SQL procedures or the catalogues of their databases have
    /// changed, and reload them; for development
    #[arg(long)]
    watch: bool,
    /// How long a stop may take in all, including that of the private PostgreSQL. Calls under way
    /// have most of it; those that are not answered by then get an error
    #[arg(long, value_name = "SECONDS", value_parser = start::seconds, default_value = "9")]
    stop_timeout: Duration,
    /// How the log is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Args)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Also ask PostgreSQL to prepare the SQL of all components of the class sql.Procedures, and list
    /// what it refuses. Nothing of it is run. Implied by --embedded-postgres
    #[arg(long)]
    database: bool,
    #[command(flatten)]
    embedded: look::EmbeddedArgs,
}

const SQL_INSTALL_HELP: &str = "\
Examples:
  wampgres sql-install                                 install it in the databases of all sql.Procedures
  wampgres sql-install --database main                 install it in one of the `databases`
  wampgres sql-install --print | psql -d shop          the same by psql
  wampgres sql-install --watch-ddl                     also have procedures reloaded after DDL
  wampgres sql-install --embedded-postgres             install it in the private PostgreSQL
  wampgres sql-install --remove --database main        remove it, with all events that are kept

What is there already is brought to the version of this program, and kept where it is newer.

Exit codes: 0 done, 1 something failed and nothing has changed there, 2 the configuration or the command
line has faults.";

#[derive(Args)]
struct SqlInstallArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Which of the `databases` of the configuration is meant [default: those of all components of
    /// the class sql.Procedures]
    #[arg(long, value_name = "NAME", conflicts_with = "print")]
    database: Option<String>,
    /// Print the SQL, for psql, and change nothing
    #[arg(long)]
    print: bool,
    /// Also install event triggers that have the SQL procedures reloaded when DDL is committed, for
    /// which one has to be a superuser
    #[arg(long, conflicts_with = "remove")]
    watch_ddl: bool,
    /// Remove the schema, and the event triggers
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    embedded: look::EmbeddedArgs,
}

const BENCH_EXAMPLES: &str = "\
Examples:
  wampgres bench --connections 50                          50 sessions, each makes one call after another
  wampgres bench --connections 50 --rate 5000              5,000 calls a second, answered or not
  wampgres bench --mode echo --connections 50              the router alone: one more session answers the calls
  wampgres bench --mode pubsub --connections 1000          one more session publishes to 1,000
  wampgres bench --mode connect --connections 10000        10,000 sessions join, stay and leave

Every answer is matched to its call. An answer that is lost, doubled or not asked for fails the run.
Calls may be answered with errors: these are counted by their URI, and the run fails only if no call
succeeds. A run that gets nothing but errors ends after --timeout.

Exit codes: 0 measured; 1 no call succeeded, the router was not reached, let no session in, went away,
fell behind, lost an answer or answered wrongly, the system has too few files or ports, or a result
cannot be written; 2 the command line has faults.";

#[derive(Args)]
struct BenchArgs {
    /// The router's WebSocket address
    #[arg(long, value_name = "URL", value_parser = bench::router_url, default_value = "ws://127.0.0.1:8080/ws")]
    url: RouterUrl,
    /// The realm to join
    #[arg(long, value_name = "NAME", default_value = "realm1")]
    realm: String,
    /// What the sessions do
    #[arg(long, value_name = "MODE", default_value = "call")]
    mode: BenchMode,
    /// The procedure to call, or the topic [default: com.example.now.v1; echo: com.example.bench.echo;
    /// pubsub: com.example.bench.topic]
    #[arg(long, value_name = "URI")]
    procedure: Option<String>,
    /// The arguments, a JSON list [default: none; echo: different ones in each call]
    #[arg(long, value_name = "LIST", value_parser = bench::list)]
    args: Option<Box<RawValue>>,
    /// How many sessions call, subscribe or join
    #[arg(long, value_name = "N", default_value = "1")]
    connections: NonZeroU16,
    /// How many calls each session has in flight, or events the publisher [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    inflight: Option<NonZeroU16>,
    /// How many calls or publications begin each second, on all sessions together. They begin
    /// whether those before have ended or not, and latency counts from when each was due
    #[arg(long, value_name = "CALLS", value_parser = bench::rate)]
    rate: Option<f64>,
    /// How long to measure, or with --mode connect how long the sessions stay [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = bench::seconds, conflicts_with = "calls")]
    duration: Option<Duration>,
    /// How many calls or publications to make; without it the run ends after --duration
    #[arg(long, value_name = "N")]
    calls: Option<NonZeroU64>,
    /// How long the load runs before it is measured [default: 0.5; with --calls: 0]
    #[arg(long, value_name = "SECONDS", value_parser = bench::seconds)]
    warmup: Option<Duration>,
    /// The run ends when answers are missing and the router has been silent for so long, or when it
    /// has given nothing but errors for so long
    #[arg(long, value_name = "SECONDS", value_parser = bench::timeout, default_value = "10")]
    timeout: Duration,
    /// How the generator waits for answers: awake shows what the router can do, asleep what a client
    /// sees
    #[arg(long, value_name = "HOW", default_value = "asleep")]
    wait: BenchWait,
    /// How messages are encoded
    #[arg(long, value_name = "NAME", default_value = "json")]
    serializer: BenchSerializer,
    /// Write the figures to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the latencies and the throughput over time to FILE, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum BenchMode {
    /// Call a procedure that is there
    Call,
    /// Call a procedure that one more session registers and answers: measures the router alone
    Echo,
    /// Subscribe to a topic that one more session publishes to; all events must arrive
    Pubsub,
    /// Join, stay and leave
    Connect,
}

#[derive(Clone, Copy, ValueEnum)]
enum BenchWait {
    /// It sleeps, as a browser and most clients do; the time to wake it is in the latency
    Asleep,
    /// It looks for answers without a pause while they come quickly; this takes a processor
    Awake,
}

#[derive(Clone, Copy, ValueEnum)]
enum BenchSerializer {
    /// wamp.2.json
    Json,
}

#[derive(Args)]
struct ConfigArgs {
    /// The configuration, in the format of Crossbar.io's config.json
    #[arg(long, value_name = "FILE", default_value = "config.json")]
    config: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Runs the program with these component classes: reads the command line, does what it says,
/// and gives the exit code. A program with classes of its own calls this in its `main`.
///
/// # Blocking
/// For as long as the command runs; `start` runs until a signal.
pub fn run(classes: &Classes) -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Start(cli.start)) {
        Command::Start(args) => start::run(&args, classes),
        Command::Check(args) => check::run(&args, classes),
        Command::SqlInstall(args) => sql_install::run(&args, classes),
        Command::Init(args) => init::run(&args),
        Command::Call(args) => call::run(&args, classes),
        Command::Publish(args) => publish::run(&args, classes),
        Command::Subscribe(args) => subscribe::run(&args, classes),
        Command::Register(args) => register::run(&args, classes),
        Command::Describe(args) => describe::run(&args, classes),
        Command::Explain(args) => explain::run(&args, classes),
        Command::Bench(args) => bench::run(&args),
        Command::Version => {
            println!("wampgres {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

/// So many files get their room in the kernel at the start: half a megabyte there.
const MANY_FILES: u64 = 1 << 16;

/// Lets this process open as many files as it may: each connection takes one, and the usual soft
/// limit of 1,024 is soon reached. The new limit.
fn raise_file_limit() -> nix::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    make_room_for_files(hard);
    Ok(hard)
}

/// Has the kernel make its table of this process's files as large as many clients need. It doubles
/// the table when that is full, and whoever opens a file then waits until each processor has had a
/// turn: some ten milliseconds, in which an I/O thread would serve nobody.
fn make_room_for_files(limit: u64) {
    let last = limit.min(MANY_FILES).saturating_sub(1);
    let last = i32::try_from(last).unwrap_or(i32::MAX);
    // If it cannot be done, the table grows as it is needed.
    if let Ok(file) = fcntl(std::io::stdin(), FcntlArg::F_DUPFD_CLOEXEC(last)) {
        let _ = close(file);
    }
}

fn load(file: &Path, classes: &Classes) -> Result<NodeConfig, ConfigError> {
    let names: Vec<_> = classes.names().collect();
    let with_database: Vec<_> = classes.names_with_database().collect();
    let options = config::Options {
        classes: &names,
        database_classes: &with_database,
        environment: &config::process_environment,
    };
    config::load(file, &options)
}

/// Says on standard error what is wrong with a configuration.
fn refuse(file: &Path, error: &ConfigError) -> ExitCode {
    eprintln!("{}: {error}", file.display());
    ExitCode::from(FAULTY)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
