//! Measures the relay for `cargo xtask bench`, on the release binary and a broker of its own, beside the plainest native
//! messaging host there can be (`bare_host.rs`): the way of a frame and back, the first reply on a new port, and what stays in
//! memory. Both are driven the same way, over pipes as the browser has them, in turn.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use ticketgate_protocol::EXTENSION_ID;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUND_TRIPS: usize = 3_000;
/// Round trips of one host before the next one's turn.
const BATCH: usize = 25;
const PORTS: usize = 60;
const IN_MEMORY: usize = 9;

/// The binaries, and a broker that runs.
struct World {
    product: PathBuf,
    bare: PathBuf,
    broker: Child,
    folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}

/// A native messaging host, from the browser's side.
struct Port {
    process: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Drop for Port {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn main() -> Result<()> {
    let world = World::start()?;
    let hello = json!({"id": "h", "method": "hello", "params":
        {"protocol_min": 1, "protocol_max": 1, "extension_version": "0.1.0", "capabilities": []}});
    // As far as a request goes that the relay answers itself: read, its parameters checked, its id and its place taken, and
    // refused only because hello was said already. What comes after that is the broker's.
    let own = &hello;
    let overview = json!({"id": "1", "method": "overview"});

    let (mut relay, mut echo, mut forward) =
        (world.relay()?, world.bare(None)?, world.bare(Some(world.socket().as_os_str()))?);
    let mut least = world.bare(Some(OsStr::new("--least")))?;
    relay.ask(&hello)?;
    let (mut own_times, mut echo_times) = (Vec::new(), Vec::new());
    let (mut forwarded, mut bare_forwarded, mut least_times) = (Vec::new(), Vec::new(), Vec::new());
    for batch in 0..=ROUND_TRIPS / BATCH {
        let times = [
            relay.batch(own)?,
            echo.batch(own)?,
            least.batch(own)?,
            relay.batch(&overview)?,
            forward.batch(&overview)?,
        ];
        let all = [&mut own_times, &mut echo_times, &mut least_times, &mut forwarded, &mut bare_forwarded];
        // The first batch makes connections and caches.
        for (all, times) in all.into_iter().zip(times).filter(|_| batch > 0) {
            all.extend(times);
        }
    }
    drop((relay, echo, forward, least));
    figure(
        "relay round trip, p50",
        "µs",
        &own_times,
        &echo_times,
        "a second hello, which the relay reads and checks like any request and refuses itself, over pipes, 25 in turn; baseline: a bare Rust host that sends the frame back",
        &json!({"ratio_at_most": 1.2}),
    );
    figure(
        "least relay, round trip, p50",
        "µs",
        &least_times,
        &echo_times,
        "the least that a relay can do: it waits for two things, reads the frame as JSON and answers with its id; the same baseline",
        &Value::Null,
    );
    figure(
        "relay round trip to the broker and back, p50",
        "µs",
        &forwarded,
        &bare_forwarded,
        "overview, from the same broker, 25 in turn; baseline: a bare Rust host that asks the broker for it over a kept connection and passes the body on unseen",
        &json!({"ratio_at_most": 1.2}),
    );

    let (mut first, mut bare_first) = (Vec::new(), Vec::new());
    for _ in 0..PORTS {
        first.push(begun(|| world.relay(), &hello)?);
        bare_first.push(begun(|| world.bare(None), &hello)?);
    }
    figure(
        "first reply on a new port, p50",
        "ms",
        &first,
        &bare_first,
        "from the start of the process to the reply to hello, for which the relay asks a running broker; baseline: a bare Rust host that sends the frame back",
        &json!({"ratio_at_most": 2.0}),
    );

    let (mut resident, mut bare_resident, mut anonymous, mut bare_anonymous) =
        (vec![], vec![], vec![], vec![]);
    for _ in 0..IN_MEMORY {
        let (mut relay, mut bare) = (world.relay()?, world.bare(None)?);
        for (port, resident, anonymous) in [
            (&mut relay, &mut resident, &mut anonymous),
            (&mut bare, &mut bare_resident, &mut bare_anonymous),
        ] {
            port.ask(&hello)?;
            for _ in 0..20 {
                port.ask(&overview)?;
            }
            std::thread::sleep(Duration::from_millis(100));
            resident.push(port.memory("VmRSS:")?);
            anonymous.push(port.memory("RssAnon:")?);
        }
    }
    let note = format!(
        "RSS after hello and 20 overviews, the stream of events open; of it anonymous {:.1} MB, the rest is the file and shared among \
         ports; baseline: a bare Rust host after as many frames, anonymous {:.1} MB",
        quantile(&anonymous, 0.5),
        quantile(&bare_anonymous, 0.5)
    );
    figure(
        "resident memory of a relay",
        "MB",
        &resident,
        &bare_resident,
        &note,
        &json!({"ratio_at_most": 3.0}),
    );
    Ok(())
}

/// Milliseconds from the start of a host to its first reply.
fn begun(start: impl FnOnce() -> Result<Port>, frame: &Value) -> Result<f64> {
    let begin = Instant::now();
    let mut port = start()?;
    port.ask(frame)?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

impl World {
    fn start() -> Result<Self> {
        let product =
            std::env::var_os("TICKETGATE_BIN").map(PathBuf::from).ok_or("TICKETGATE_BIN is not set")?;
        let bare = std::env::current_exe()?.with_file_name("bare_host");
        let folder = tempfile::Builder::new().prefix("tg-relay-").tempdir()?;
        for name in ["run", "state"] {
            fs::DirBuilder::new().mode(0o700).create(folder.path().join(name))?;
        }
        let login = nix::unistd::User::from_uid(nix::unistd::getuid())?.ok_or("a user without a name")?.name;
        fs::write(folder.path().join("ticketgate.toml"), configuration(&login))?;
        let mut command = Command::new(&product);
        environment(&mut command, folder.path());
        let log = fs::File::create(folder.path().join("broker.log"))?;
        let broker = command.arg("broker").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let world = Self { product, bare, broker, folder };
        let patience = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(world.socket()).is_err() {
            if Instant::now() > patience {
                return Err(fs::read_to_string(world.folder.path().join("broker.log"))?.into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(world)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/s")
    }

    fn relay(&self) -> Result<Port> {
        let mut command = Command::new(self.product.with_file_name("ticketgate-relay"));
        environment(&mut command, self.folder.path());
        Port::open(command.arg(format!("chrome-extension://{EXTENSION_ID}/")))
    }

    fn bare(&self, argument: Option<&OsStr>) -> Result<Port> {
        Port::open(Command::new(&self.bare).args(argument))
    }
}

fn environment(command: &mut Command, folder: &Path) {
    command
        .env("TICKETGATE_CONFIG", folder.join("ticketgate.toml"))
        .env("TICKETGATE_STATE", folder.join("state"))
        .env("TICKETGATE_SOCKET", folder.join("run/s"));
}

impl Port {
    fn open(command: &mut Command) -> Result<Self> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("no pipes".into());
        };
        Ok(Self { process, input, output })
    }

    /// Sends a frame and waits for the next one; events that come unasked are passed over.
    fn ask(&mut self, frame: &Value) -> Result<Vec<u8>> {
        let text = frame.to_string();
        let mut bytes = u32::try_from(text.len())?.to_ne_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        self.input.write_all(&bytes)?;
        loop {
            let mut length = [0; 4];
            self.output.read_exact(&mut length)?;
            let mut answer = vec![0; usize::try_from(u32::from_ne_bytes(length))?];
            self.output.read_exact(&mut answer)?;
            if !answer.starts_with(b"{\"event\"") {
                return Ok(answer);
            }
        }
    }

    /// Microseconds of a frame's way and back, several times.
    fn batch(&mut self, frame: &Value) -> Result<Vec<f64>> {
        let timed = |port: &mut Self| {
            let begin = Instant::now();
            port.ask(frame)?;
            Ok(begin.elapsed().as_secs_f64() * 1e6)
        };
        (0..BATCH).map(|_| timed(self)).collect()
    }

    /// Megabytes of a line of the kernel's account; that of a process that guards its memory is readable, too.
    fn memory(&self, key: &str) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or("no such line")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0 / 1e6)
    }
}

fn configuration(login: &str) -> String {
    format!(
        "[[technician]]\nid = \"measuring\"\nlogin = \"{login}\"\ngroups = [\"tier2\"]\n\
         [[customer]]\nid = \"acme\"\nname = \"Acme Corp\"\n\
         [[directory]]\nid = \"acme-ad\"\ncustomer = \"acme\"\nkind = \"active_directory\"\n\
         servers = [\"ldaps://127.0.0.1:9\"]\nbind_dn = \"CN=svc,DC=acme,DC=example\"\npassword = {{ file = \"/none\" }}\n\
         account_unit = \"OU=JIT,DC=acme,DC=example\"\n\
         [[policy]]\nid = \"acme-domain-admin\"\nname = \"Domain Admin\"\ndirectory = \"acme-ad\"\nmode = \"dedicated\"\n\
         rights = [\"CN=Domain Admins,CN=Users,DC=acme,DC=example\"]\n\
         duration = {{ default = \"1h\", max = \"4h\", choices = [\"1h\", \"4h\"] }}\neligible = {{ groups = [\"tier2\"] }}\n"
    )
}

fn figure(name: &str, unit: &str, times: &[f64], baseline: &[f64], note: &str, reach: &Value) {
    let (value, beside) = (quantile(times, 0.5), quantile(baseline, 0.5));
    let line = json!({
        "name": name, "unit": unit, "value": value, "baseline": beside, "ratio": value / beside,
        "spread": (quantile(times, 0.9) - quantile(times, 0.1)) / 2.0,
        "note": format!("n = {}; {note}", times.len()),
        "reach": reach, "samples": {"value": times, "baseline": baseline},
    });
    println!("{line}");
}

fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
