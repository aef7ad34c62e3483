//! PostgreSQL servers of the tests' own, from the machine's binaries: on a socket in a private folder, and ended with their test,
//! however that ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::postgres::{PostgresLedger, PostgresPlace};

/// Who runs a server where the tests are root's: PostgreSQL refuses root. `nobody`.
const OTHER_USER: u32 = 65_534;

const LIMIT: Duration = Duration::from_secs(30);

/// A server.
pub(crate) struct Server {
    folder: TempDir,
    process: Mutex<Option<Child>>,
    databases: AtomicU32,
}

impl Server {
    /// One for all tests of this process that ask while it is there.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Mutex<Weak<Server>>> = OnceLock::new();
        let mut shared = SHARED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start(""));
        *shared = Arc::downgrade(&server);
        server
    }

    /// One with further lines in its configuration.
    pub(crate) fn start(further: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        hand_over(folder.path());
        let server = Self { folder, process: Mutex::new(None), databases: AtomicU32::new(0) };
        copy_folder(&template(), &server.data());
        let configuration = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = 200\nshared_buffers = 16MB\n\
             fsync = off\nmax_wal_size = 64MB\nlogging_collector = off\ndeadlock_timeout = 100ms\n{further}\n",
            server.folder.path().display()
        );
        let mut file =
            fs::OpenOptions::new().append(true).open(server.data().join("postgresql.conf")).unwrap();
        file.write_all(configuration.as_bytes()).unwrap();
        server.begin();
        server
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn begin(&self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        // The shell outlives its input by no longer than it takes to end the server.
        let script = "\"$@\" & server=$!; read -r _; kill -QUIT $server 2> /dev/null; wait $server";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]);
        let data = self.data();
        command.args(as_user(&binary("postgres"))).arg("-D").arg(data);
        let child = command
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .current_dir("/")
            .spawn()
            .unwrap();
        *self.process.lock().unwrap() = Some(child);
        let began = Instant::now();
        while self.try_sql("postgres", "SELECT 1").is_err() {
            assert!(began.elapsed() < LIMIT, "the server does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it at once, as a power cut would but for what the system holds.
    pub(crate) fn end(&self) {
        let child = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = child {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }

    /// A new, empty database.
    pub(crate) fn database(self: &Arc<Self>) -> Place {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        let keys = Arc::new(tempfile::tempdir().unwrap());
        Place { server: Arc::clone(self), name, key: keys.path().join("audit.key"), _keys: keys }
    }

    /// What a statement answers, one text a row.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> Vec<String> {
        self.try_sql(database, sql).unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    pub(crate) fn try_sql(&self, database: &str, sql: &str) -> Result<Vec<String>, String> {
        let address = format!(
            "host={} dbname={database} user=ticketgate connect_timeout=5",
            self.folder.path().display()
        );
        let sql = sql.to_owned();
        let asked = async move {
            let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            let rows = client.simple_query(&sql).await?;
            Ok::<_, tokio_postgres::Error>(rows.iter().filter_map(text).collect())
        };
        // A thread of its own: the test may be on a runtime's.
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(asked)
        });
        thread.join().unwrap().map_err(|error| crate::postgres::failure::with_causes(&error))
    }
}

fn text(message: &tokio_postgres::SimpleQueryMessage) -> Option<String> {
    match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
        _ => None,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A database for one test.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) server: Arc<Server>,
    pub(crate) name: String,
    pub(crate) key: PathBuf,
    /// Gone with the last who names the place.
    pub(crate) _keys: Arc<TempDir>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Server::shared().database()
    }

    pub(crate) fn address(&self) -> String {
        format!("host={} dbname={} user=ticketgate", self.server.folder().display(), self.name)
    }

    pub(crate) fn place(&self) -> PostgresPlace {
        PostgresPlace { address: self.address(), key: self.key.clone(), ..PostgresPlace::default() }
    }

    pub(crate) async fn open(&self) -> PostgresLedger {
        PostgresLedger::open(&self.place()).await.unwrap()
    }

    /// What the sentence says when the ledger cannot be opened.
    pub(crate) async fn refusal(&self) -> String {
        PostgresLedger::open(&self.place()).await.unwrap_err().to_string()
    }

    /// What somebody else does to it, without any of the ledger's care.
    pub(crate) fn alter(&self, sql: &str) -> Result<(), String> {
        self.server.try_sql(&self.name, &own_words(sql)).map(drop)
    }

    /// What a statement answers, one text a row.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        self.server.sql(&self.name, sql)
    }

    /// The same ledger and key in another place. Nobody has it open.
    pub(crate) fn copy(&self) -> Self {
        let other = format!("t{}", self.server.databases.fetch_add(1, Ordering::Relaxed));
        let sql = format!("CREATE DATABASE {other} TEMPLATE {}", self.name);
        let began = Instant::now();
        // Connections that were closed a moment ago count until the server has noticed.
        while let Err(error) = self.server.try_sql("postgres", &sql) {
            assert!(began.elapsed() < LIMIT, "{error}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { name: other, ..self.clone() }
    }

    /// Bytes in a statement.
    pub(crate) fn blob(hex: &str) -> String {
        format!("'\\x{hex}'::bytea")
    }

    pub(crate) fn understands(sql: &str) -> bool {
        !sql.contains("PRAGMA")
    }
}

/// The suite's few statements in SQLite's words.
fn own_words(sql: &str) -> String {
    let sql = sql.replace("zeroblob(32)", &format!("'\\x{}'::bytea", "00".repeat(32)));
    let sql = sql.replace("zeroblob(64)", &format!("'\\x{}'::bytea", "00".repeat(64)));
    let sql = sql.replace("x'00'", "'\\x00'::bytea");
    sql.replace("INTO audit (position,", "INTO audit (id,").replace("audit SET position", "audit SET id")
}

/// A program of the newest PostgreSQL that is installed.
pub(crate) fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").map(|found| {
        let version = |entry: fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().ok();
        found.flatten().filter_map(version).collect::<Vec<_>>()
    });
    let mut versions = versions.unwrap_or_default();
    versions.sort_unstable();
    let newest = versions.pop().expect("PostgreSQL is not installed; run `cargo xtask setup`");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin/{name}"))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

fn as_user(program: &Path) -> Vec<String> {
    let mut words = Vec::new();
    if is_root() {
        words.extend([
            "setpriv".to_owned(),
            format!("--reuid={OTHER_USER}"),
            format!("--regid={OTHER_USER}"),
        ]);
        words.extend(["--clear-groups".to_owned(), "--".to_owned()]);
    }
    words.push(program.display().to_string());
    words
}

fn hand_over(path: &Path) {
    if is_root() {
        chown(path, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    }
}

/// A server's folder as `initdb` makes it, made once for all runs of this build.
fn template() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let release =
        binary("initdb").components().rev().nth(2).unwrap().as_os_str().to_string_lossy().into_owned();
    let folder = target.join(format!("postgres-{release}-template"));
    let lock = fs::File::create(target.join("postgres-template.lock")).unwrap();
    lock.lock().unwrap();
    if folder.join("PG_VERSION").exists() {
        return folder;
    }
    let made = tempfile::tempdir().unwrap();
    hand_over(made.path());
    let words = as_user(&binary("initdb"));
    let (program, first) = words.split_first().unwrap();
    let initdb = Command::new(program)
        .args(first)
        .args([
            "-U",
            "ticketgate",
            "--auth=trust",
            "--locale=C.UTF-8",
            "-E",
            "UTF8",
            "--no-sync",
            "--wal-segsize=1",
        ])
        .arg("-D")
        .arg(made.path().join("data"))
        .current_dir("/")
        .output()
        .unwrap();
    assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));
    let unfinished = folder.with_extension("unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    copy_folder(&made.path().join("data"), &unfinished);
    fs::rename(&unfinished, &folder).unwrap();
    folder
}

/// With owners and modes; the server looks at both.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
}
