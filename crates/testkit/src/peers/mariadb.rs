//! A private MariaDB.

use super::{Server, free_ports, is_root, program, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A private MariaDB server with a database `wharf` and a user of that name, who may do everything.
#[derive(Debug)]
pub struct MariaDb {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Password of the user `wharf`.
    pub password: String,
    daemon: PathBuf,
    server: Server,
}

impl MariaDb {
    /// Runs SQL as root; returns what the client printed (rows as lines, columns by tabs).
    ///
    /// # Errors
    /// What the client says.
    pub fn sql(&self, sql: &str) -> Result<String, String> {
        let mut command = Command::new("mariadb");
        command.args([
            "--no-defaults",
            "--user=root",
            "--batch",
            "--skip-column-names",
            "--default-character-set=utf8mb4",
        ]);
        command.arg(format!("--socket={}", socket(self.server.dir.path()).display()));
        command.args(["-e", sql, "wharf"]);
        let out = command.output().map_err(|e| format!("can't run mariadb: {e}"))?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        Err(String::from_utf8_lossy(&out.stderr).into_owned())
    }

    /// Kills the server as a power cut would and starts it again on its data.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart(&mut self) -> Result<(), String> {
        let _ = self.server.child.kill();
        let _ = self.server.child.wait();
        let command = daemon(&self.daemon, self.server.dir.path(), self.port);
        self.server.again(command)?;
        wait(&mut self.server)
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("s.sock")
}

fn daemon(program: &Path, dir: &Path, port: u16) -> Command {
    let mut command = Command::new(program);
    command.arg("--no-defaults").arg(format!("--datadir={}", dir.join("data").display()));
    command.arg(format!("--socket={}", socket(dir).display())).arg(format!("--port={port}"));
    command.arg(format!("--pid-file={}", dir.join("pid").display()));
    command.args(["--bind-address=127.0.0.1", "--skip-log-bin", "--innodb-buffer-pool-size=64M"]);
    // After a kill of the process (not of the machine) nothing is lost with this.
    command.args(["--innodb-flush-log-at-trx-commit=2", "--character-set-server=utf8mb4"]);
    if is_root() {
        command.arg("--user=root");
    }
    command
}

fn wait(server: &mut Server) -> Result<(), String> {
    let socket = socket(server.dir.path());
    server.wait("MariaDB", Duration::from_secs(60), || {
        let mut ping = Command::new("mariadb-admin");
        ping.args(["--no-defaults", "--user=root", "ping"]).arg(format!("--socket={}", socket.display()));
        ping.output().is_ok_and(|o| o.status.success())
    })
}

/// Starts MariaDB: `WHARF_TEST_MARIADBD`, or Debian's.
///
/// # Errors
/// Why there is none.
pub fn mariadb() -> Result<MariaDb, String> {
    let daemon_path = program("WHARF_TEST_MARIADBD", &[PathBuf::from("/usr/sbin/mariadbd")])?;
    let dir = tempfile::Builder::new().prefix("wharf-my-").tempdir().map_err(|e| e.to_string())?;
    let mut init = Command::new("mariadb-install-db");
    init.arg("--no-defaults").arg(format!("--datadir={}", dir.path().join("data").display()));
    init.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    if is_root() {
        init.arg("--user=root");
    }
    run(init)?;
    let [port] = free_ports()?;
    let mut server = Server::start(daemon(&daemon_path, dir.path(), port), dir)?;
    wait(&mut server)?;
    let password = "s3cret-w0rd".to_owned();
    let made = MariaDb { port, password, daemon: daemon_path, server };
    let root = |sql: &str| {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--user=root", "-e", sql]);
        command.arg(format!("--socket={}", socket(made.server.dir.path()).display()));
        run(command)
    };
    root("CREATE DATABASE wharf CHARACTER SET utf8mb4")?;
    root(&format!("CREATE USER wharf@'%' IDENTIFIED BY '{}'; GRANT ALL ON *.* TO wharf@'%'", made.password))?;
    Ok(made)
}
