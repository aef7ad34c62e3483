//! `local install`: what a machine needs so that its accounts can be opened and end by themselves: sshd reads the keys of sessions,
//! a timer ends what is over, and where the broker runs here, a socket leads it to the side that changes accounts.

mod machine;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Done, InstallError, Step, units};
use crate::places::Surroundings;

/// What can be said on the command line.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Takes back what it did.
    #[arg(long)]
    pub remove: bool,
    /// For a broker on another machine: the file of its public key, for the line that is printed.
    #[arg(long, value_name = "FILE", conflicts_with = "remove")]
    pub key: Option<PathBuf>,
    /// Replaces or removes files that somebody else wrote.
    #[arg(long)]
    pub force: bool,
    /// Says what would be done and does nothing.
    #[arg(long)]
    pub dry_run: bool,
}

const SOCKET: &str = include_str!("../../systemd/ticketgate-local.socket");
const SERVE: &str = include_str!("../../systemd/ticketgate-local@.service");
const SWEEP: &str = include_str!("../../systemd/ticketgate-local-sweep.service");
const TIMER: &str = include_str!("../../systemd/ticketgate-local-sweep.timer");

/// The first line of every file that is put in place: by it a file is ours.
const OURS: &str = "# Put here by `ticketgate local install`, which also takes it back (--remove).\n";

/// For JIT accounts only, and nothing else of theirs: a key that somebody leaves in a home opens nothing, and no setting for
/// people is touched. The keys are outside the homes, whose owners could put links there.
const SSHD: &str = "Match User jit-*\n    AuthorizedKeysFile /etc/ssh/ticketgate-keys/%u\n";

/// Where the broker of this machine runs as a service, it does so under this name.
const BROKER_USER: &str = "ticketgate";

/// A file, and whom it is for.
struct Piece {
    what: &'static str,
    path: PathBuf,
    text: String,
}

/// `ticketgate local install`.
///
/// # Errors
/// [`InstallError`], what the machine's programs say, or `out` cannot be written.
pub fn command(out: &mut dyn Write, around: &Surroundings, how: &Options) -> anyhow::Result<ExitCode> {
    if how.remove { remove(out, around, how) } else { install(out, around, how) }
}

fn install(out: &mut dyn Write, around: &Surroundings, how: &Options) -> anyhow::Result<ExitCode> {
    let program = program(around)?;
    let key = how.key.as_deref().map(public_key).transpose()?;
    let mut steps = Vec::new();
    for piece in pieces(around, &program) {
        let step = put(&piece, how)?;
        if piece.what == "sshd" && step.done == Done::Written && !how.dry_run {
            machine::sshd_takes(around, &piece.path)?;
        }
        steps.push(step);
    }
    super::report(out, &steps, how.dry_run, "")?;
    let mut fine = steps.iter().all(|step| step.done != Done::Left);
    if !how.dry_run {
        for sentence in machine::put_to_work(around, &steps) {
            fine = false;
            writeln!(out, "{sentence}")?;
        }
    }
    if !steps.iter().any(|step| step.what == "timer") {
        writeln!(
            out,
            "This machine has neither systemd nor cron. Let whatever starts its programs run this for ever: {} local sweep --every 60s",
            program.display()
        )?;
    }
    writeln!(out, "{}", for_a_broker_elsewhere(&program, key.as_deref()))?;
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn remove(out: &mut dyn Write, around: &Surroundings, how: &Options) -> anyhow::Result<ExitCode> {
    let open = machine::open_accounts()?;
    if !open.is_empty() && !how.force {
        writeln!(
            out,
            "Nothing was removed: {} open, and without the timer nothing here would end what only it ends. End the sessions \
             first, or use --force.",
            if let [one] = open.as_slice() {
                format!("{one} is")
            } else {
                format!("{} are", open.join(", "))
            }
        )?;
        return Ok(ExitCode::FAILURE);
    }
    let every = every_piece(around, Path::new(units::BINARY));
    if !how.dry_run {
        machine::stop(around, &every.iter().map(|piece| piece.path.clone()).collect::<Vec<_>>());
    }
    let mut steps = Vec::new();
    for piece in every {
        let done = match fs::read_to_string(&piece.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(InstallError::file(&piece.path)(error).into()),
            Ok(text) if !text.starts_with(OURS) && !how.force => Done::Left,
            Ok(_) if how.dry_run => Done::Removed,
            Ok(_) => {
                fs::remove_file(&piece.path).map_err(InstallError::file(&piece.path))?;
                Done::Removed
            }
        };
        steps.push(Step { what: piece.what.into(), path: piece.path, done });
    }
    super::report(out, &steps, how.dry_run, "Nothing is installed.")?;
    let mut fine = steps.iter().all(|step| step.done != Done::Left);
    if !how.dry_run {
        for sentence in machine::put_to_work(around, &steps) {
            fine = false;
            writeln!(out, "{sentence}")?;
        }
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What this machine needs, by what it has.
fn pieces(around: &Surroundings, program: &Path) -> Vec<Piece> {
    let has_systemd = around.at_root("/run/systemd/system").is_dir();
    let is_needed = |piece: &Piece| {
        let file = piece.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match file {
            "ticketgate.conf" => around.at_root("/etc/ssh/sshd_config").is_file(),
            "ticketgate-local" => !has_systemd && around.at_root("/etc/cron.d").is_dir(),
            "ticketgate-local.socket" | "ticketgate-local@.service" => {
                has_systemd && machine::has_user(around, BROKER_USER)
            }
            _ => has_systemd,
        }
    };
    every_piece(around, program).into_iter().filter(is_needed).collect()
}

fn every_piece(around: &Surroundings, program: &Path) -> Vec<Piece> {
    let unit = |what, name: &str, text: &str| Piece {
        what,
        path: around.at_root("/etc/systemd/system").join(name),
        text: text.replace(units::BINARY, &units::escaped(program)),
    };
    vec![
        Piece {
            what: "sshd",
            path: around.at_root("/etc/ssh/sshd_config.d/ticketgate.conf"),
            text: format!("{OURS}{SSHD}"),
        },
        unit("sweep", "ticketgate-local-sweep.service", SWEEP),
        unit("timer", "ticketgate-local-sweep.timer", TIMER),
        Piece {
            what: "timer",
            path: around.at_root("/etc/cron.d/ticketgate-local"),
            // What went well is nobody's mail.
            text: format!("{OURS}* * * * * root {} local sweep > /dev/null\n", program.display()),
        },
        unit("socket", "ticketgate-local.socket", SOCKET),
        unit("socket", "ticketgate-local@.service", SERVE),
    ]
}

fn put(piece: &Piece, how: &Options) -> Result<Step, InstallError> {
    let failed = || InstallError::file(&piece.path);
    let step = |done| Step { what: piece.what.into(), path: piece.path.clone(), done };
    match fs::read_to_string(&piece.path) {
        Ok(text) if text == piece.text => return Ok(step(Done::Unchanged)),
        Ok(text) if !text.starts_with(OURS) && !how.force => return Ok(step(Done::Left)),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed()(error)),
    }
    if !how.dry_run {
        if let Some(folder) = piece.path.parent() {
            fs::create_dir_all(folder).map_err(failed())?;
        }
        // Neither sshd, nor cron, nor systemd reads a name that begins with a dot.
        let new = piece.path.with_file_name(".ticketgate-local-new");
        fs::write(&new, &piece.text).map_err(failed())?;
        machine::readable(&new).map_err(failed())?;
        fs::rename(&new, &piece.path).map_err(failed())?;
    }
    Ok(step(Done::Written))
}

/// This binary, by a path that sshd, cron and a shell read alike.
fn program(around: &Surroundings) -> anyhow::Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '+');
    let path = &around.exe;
    let is_plain = path.is_absolute() && path.to_str().is_some_and(|text| text.chars().all(plain));
    anyhow::ensure!(
        is_plain,
        "{} cannot stand in sshd's and cron's files: put the program where its path is of letters, digits, '-', '_', '.' and '/', such as {}",
        path.display(),
        units::BINARY
    );
    Ok(path.clone())
}

/// The key of a public key file, without its comment.
fn public_key(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).map_err(InstallError::file(path))?;
    let mut words = text.split_ascii_whitespace();
    let key = [words.next().unwrap_or_default(), words.next().unwrap_or_default()].join(" ");
    match ticketgate_access::local::PublicKey::new(&key) {
        Ok(key) => Ok(key.to_string()),
        Err(_) => anyhow::bail!("{} is not a public SSH key (a file that ends in .pub)", path.display()),
    }
}

fn for_a_broker_elsewhere(program: &Path, key: Option<&str>) -> String {
    let key = key.unwrap_or("ssh-ed25519 AAAA…(the broker's public key)");
    let program = program.display();
    format!(
        "A broker on another machine comes in by this line and can do nothing else with it, in ~root/.ssh/authorized_keys:\n    \
         restrict,command=\"{program} local serve\" {key}\n\
         or, where root does not log on, in the authorized_keys of an account named {BROKER_USER}:\n    \
         restrict,command=\"sudo -n {program} local serve\" {key}\n\
         with this line in a file of sudo (visudo -f /etc/sudoers.d/ticketgate-broker):\n    \
         {BROKER_USER} ALL=(root) NOPASSWD: {program} local serve"
    )
}

#[cfg(test)]
mod tests;
