//! Measures sessions on Linux machines for `cargo xtask bench`: one JSON line per figure. Beside each session at the broker's API a
//! shell, started once and kept, makes, judges, puts in place and takes away the same by the machine's own tools. Needs root.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::figures::{quantile, timed};
use ticketgate_tests::machine::Machine;
use ticketgate_tests::machine::installed::{HERE, Installed};
use ticketgate_tests::machine::network::FAR;
use ticketgate_tests::machine::remote::{KNOWN, Remote};
use ticketgate_tests::product::asking::wish;

const ROUNDS: usize = 60;

/// What somebody careful would write: the rule has an end, is judged before it counts, and appears as a whole.
const OPEN: &str = "useradd --create-home --user-group --shell /bin/bash --expiredate 2036-01-01 NAME \
    && echo 'NAME:correct-horse-9' | chpasswd \
    && echo 'NAME ALL=(ALL:ALL) NOTAFTER=20360101000000Z PASSWD: ALL' > /etc/sudoers.d/.NAME && chmod 440 /etc/sudoers.d/.NAME \
    && visudo -c -q -f /etc/sudoers.d/.NAME && mv /etc/sudoers.d/.NAME /etc/sudoers.d/NAME && visudo -c -q && echo done";
const CLOSE: &str = "usermod --expiredate 1970-01-02 --lock NAME && rm /etc/sudoers.d/NAME && { pkill -KILL -u NAME; userdel --remove NAME 2> /dev/null; } && echo done";

/// A shell that is kept.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("no pipe")?;
        let output = BufReader::new(child.stdout.take().context("no pipe")?);
        Ok(Self { child, input, output })
    }

    fn run(&mut self, script: &str, name: &str) -> Result<()> {
        writeln!(self.input, "{}", script.replace("NAME", name))?;
        let mut said = String::new();
        self.output.read_line(&mut said)?;
        ensure!(said == "done\n", "the script failed: {said}");
        Ok(())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> Result<()> {
    let machine = Machine::start("acme-web1")?;
    machine.prepare()?;
    let here = Installed::start(machine, HERE)?;
    let mut shell = Shell::start(&mut here.machine.command("sh"))?;
    measure("on the broker's own machine", "a kept shell of root there", &here, &mut shell)?;
    drop((shell, here));

    let remote = Remote::start()?;
    // A key of root's for the script, which may do everything.
    let key = remote.near.machine.sh("cat /etc/ticketgate/terry.pub")?;
    remote.far.sh(&format!("mkdir -p ~root/.ssh; echo '{key}' >> ~root/.ssh/authorized_keys"))?;
    let mut ssh = remote.near.machine.command("ssh");
    ssh.args([
        "-F",
        "none",
        "-T",
        "-i",
        "/etc/ticketgate/terry",
        "-o",
        &format!("UserKnownHostsFile={KNOWN}"),
    ]);
    let mut shell = Shell::start(ssh.args([&format!("root@{FAR}"), "sh"]))?;
    measure("by SSH", "a shell of root there over a kept SSH connection", &remote.near, &mut shell)
}

fn measure(place: &str, baseline: &str, site: &Installed, shell: &mut Shell) -> Result<()> {
    let mut times: [Vec<f64>; 4] = Default::default();
    // The first makes the connections.
    for round in 0..ROUNDS + 2 {
        let name = format!("script-{round}");
        let mut id = String::new();
        let taken = [
            timed(|| {
                let answer = site.api("POST", "/v1/sessions", &wish("burner-sudo"))?.json()?;
                ensure!(answer["state"] == "active", "{answer}");
                id = answer["id"].as_str().context("no id")?.to_owned();
                Ok(())
            })?,
            timed(|| shell.run(OPEN, &name))?,
            timed(|| match site.api("POST", &format!("/v1/sessions/{id}/end"), &json!({}))?.json()? {
                answer if answer["state"] == "ended" => Ok(()),
                answer => bail!("{answer}"),
            })?,
            timed(|| shell.run(CLOSE, &name))?,
        ];
        if round >= 2 {
            times.iter_mut().zip(taken).for_each(|(times, taken)| times.push(taken));
        }
    }
    let [opened, script_opened, ended, script_ended] = times;
    for (what, ours, theirs, reach) in [
        ("activation", opened, script_opened, Some(json!({"ratio_at_most": 1.5}))),
        ("end", ended, script_ended, None),
    ] {
        let (value, base) = (quantile(&ours, 0.5), quantile(&theirs, 0.5));
        let spread = (quantile(&ours, 0.9) - quantile(&ours, 0.1)) / 2.0;
        let mut line: Value = json!({
            "name": format!("{what} of a burner account with sudo {place}, p50"), "unit": "ms", "value": value,
            "baseline": base, "ratio": value / base, "spread": spread,
            "note": format!("n = {ROUNDS}; files in memory; baseline: useradd, chpasswd, visudo and the rest by {baseline}"),
            "samples": {"value": ours, "baseline": theirs},
        });
        if let Some(reach) = reach {
            line["reach"] = reach;
        }
        println!("{line}");
    }
    Ok(())
}
