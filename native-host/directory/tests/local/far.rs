//! The far side under test: installed in a machine, asked over pipes, one process a link.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_directory::local::request::{
    Answer, Ask, HiddenText, LocalSeen, LocalStep, Named, Processes, Refusal, SudoAsks, Whose, Window,
};
use ticketgate_directory::local::{AccountName, LocalRight, Token};
use ticketgate_protocol::api::Finding;
use ticketgate_protocol::ids::TechnicianId;
use ticketgate_tests::machine::Machine;

pub const ACCOUNT: &str = "jit-tech1";
pub const TOKEN: &str = "k3v9k3v9k3v9k3v9k3v9k3v9k3";
const PROGRAM: &str = "/usr/bin/ticketgate-local-far";

/// A machine with the far side installed.
pub struct World {
    pub machine: Machine,
}

/// One link to the far side.
pub struct Link {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// A machine of the test's own.
pub fn world() -> World {
    let machine = Machine::start("acme-web1").unwrap();
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples/local_far");
    machine.install(&example, PROGRAM).unwrap();
    World { machine }
}

pub fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

pub fn named() -> Named {
    Named { name: AccountName::new(ACCOUNT).unwrap(), token: Token::new(TOKEN).unwrap(), identity: None }
}

pub fn whose() -> Whose {
    Whose { owner: TechnicianId::new("tech1").unwrap(), generation: 7 }
}

pub fn window(end: DateTime<Utc>, processes: Processes) -> Window {
    Window { until: end, end, processes }
}

pub fn open(end: DateTime<Utc>, password: Option<&str>) -> LocalStep {
    let password = password.map(|text| HiddenText(ticketgate_credentials::Secret::new(text.to_owned())));
    LocalStep::Open { whose: whose(), window: window(end, Processes::All), password }
}

pub fn grant(right: &str, until: DateTime<Utc>) -> LocalStep {
    LocalStep::Grant { right: right.parse().unwrap(), until, asks: SudoAsks::Nothing }
}

impl World {
    pub fn link(&self) -> Link {
        let mut command = self.machine.command(PROGRAM);
        let mut child = command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Link { child, input, output }
    }

    pub fn step(&self, step: LocalStep) -> Answer {
        self.link().step(step)
    }

    /// Done, or the test is over.
    pub fn done(&self, step: LocalStep) {
        let told = format!("{step:?}");
        match self.step(step) {
            Answer::Done { .. } => {}
            other => panic!("{told}: {other:?}"),
        }
    }

    /// The same after a kill: a program that it did not reach may still hold the databases for a moment.
    pub fn done_in_time(&self, step: impl Fn() -> LocalStep) {
        for _ in 0..50 {
            match self.step(step()) {
                Answer::Refused { why: Refusal::Busy, .. } => std::thread::sleep(Duration::from_millis(20)),
                Answer::Done { .. } => return,
                other => panic!("{:?}: {other:?}", step()),
            }
        }
        panic!("{:?}: busy for a second", step());
    }

    /// An open account with `sudo` for everything, which ends in so many seconds.
    pub fn session(&self, seconds: i64) -> DateTime<Utc> {
        self.done(LocalStep::Create { whose: whose() });
        self.done(open(now() + TimeDelta::hours(1), None));
        // Last, so that a slow machine leaves of the time what a test needs.
        let end = now() + TimeDelta::seconds(seconds);
        self.done(grant("sudo:ALL", end));
        end
    }

    pub fn look(&self) -> Option<LocalSeen> {
        match self.link().ask(&Ask::Look { account: named() }) {
            Answer::Seen { account, .. } => account,
            other => panic!("{other:?}"),
        }
    }

    pub fn check(&self, rights: &[LocalRight]) -> Vec<Finding> {
        match self.link().ask(&Ask::Check { rights: rights.to_vec() }) {
            Answer::Checked { findings, .. } => findings,
            other => panic!("{other:?}"),
        }
    }

    pub fn rights(&self) -> Vec<String> {
        self.look().map(|seen| seen.rights.into_iter().map(|right| right.right).collect()).unwrap_or_default()
    }

    pub fn sweep(&self) {
        let done = self.machine.command(PROGRAM).arg("sweep").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A sweep of which everything is killed after a while.
    pub fn cut_sweep(&self, after: Duration) {
        let mut sweep = self.machine.command(PROGRAM).arg("sweep").stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        self.kill_all();
        sweep.wait().unwrap();
        // A program that was started at that very moment ends by itself.
        std::thread::sleep(Duration::from_millis(100));
    }

    /// Kills the far side and whatever it runs.
    pub fn kill_all(&self) {
        let kill = "pkill -KILL -x 'ticketgate-loca|useradd|usermod|userdel|gpasswd|visudo|chpasswd'; true";
        self.machine.sh(kill).unwrap();
    }

    /// What `sudo -n id -u` prints for the account, or why not.
    pub fn sudo(&self, environment: &[(&str, &str)]) -> Result<String, String> {
        let mut command = self.machine.command_as(ACCOUNT, "sudo");
        let done = command.args(["-n", "id", "-u"]).envs(environment.iter().copied()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }
}

impl Link {
    pub fn ask(&mut self, ask: &Ask) -> Answer {
        self.send(&serde_json::to_string(ask).unwrap());
        let answer = self.hear();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }

    /// A line, as far as somebody takes it.
    pub fn send(&mut self, line: &str) {
        let _ = writeln!(self.input, "{line}");
    }

    /// The next line; empty when the far side is gone.
    pub fn hear(&mut self) -> String {
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer
    }

    pub fn step(&mut self, step: LocalStep) -> Answer {
        self.ask(&Ask::Step { account: named(), step: Box::new(step) })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn refusal(answer: &Answer) -> Option<Refusal> {
    match answer {
        Answer::Refused { why, .. } => Some(*why),
        _ => None,
    }
}

pub fn sleep_until(at: DateTime<Utc>) {
    std::thread::sleep((at - now()).to_std().unwrap_or(Duration::ZERO));
}
