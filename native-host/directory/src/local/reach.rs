//! The way to a machine's own side: a line out, a line back, over a link that is kept.

mod ssh;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ticketgate_access::config::{Machine, Ssh};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::System;
use super::request::{Answer, Ask, LONGEST_ANSWER, PROTOCOL, Refusal};
use crate::DirectoryError;

/// How long a link is kept that nobody uses.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How much of what a link's program complains about is kept for the log, in bytes.
const COMPLAINT_MAX: u64 = 2048;
/// `CREATE_NO_WINDOW`
#[cfg(windows)]
const NO_WINDOW: u32 = 0x0800_0000;
/// How long a program that failed is listened to.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The socket of this machine's own side, which runs as root where the broker does not.
#[cfg(unix)]
pub const SOCKET: &str = "/run/ticketgate-local/serve.sock";

/// A machine's own side, reached anew when it has to be.
#[derive(Debug)]
pub(super) struct Reach {
    way: Way,
    /// What the machine has to run.
    system: System,
    timeout: Duration,
    link: Arc<Mutex<Option<Link>>>,
}

/// How it is reached.
#[derive(Debug)]
enum Way {
    /// A socket of this machine.
    #[cfg(unix)]
    Socket(PathBuf),
    /// A child of a broker that is root itself, or, on Windows, the system.
    Child(PathBuf),
    /// The system's `ssh`, which is led to nothing but the machine's own side there.
    Ssh(Ssh),
}

impl Way {
    /// To this machine's own side.
    #[cfg(unix)]
    fn here() -> Self {
        match std::env::current_exe() {
            Ok(program) if rustix::process::geteuid().is_root() => Self::Child(program),
            _ => Self::Socket(SOCKET.into()),
        }
    }

    /// To this machine's own side. A broker that is no administrator finds at the first look that its child is none either.
    #[cfg(windows)]
    fn here() -> Self {
        Self::Child(std::env::current_exe().unwrap_or_else(|_| "ticketgate.exe".into()))
    }
}

type Reader = Box<dyn tokio::io::AsyncBufRead + Send + Sync + Unpin>;
type Writer = Box<dyn tokio::io::AsyncWrite + Send + Sync + Unpin>;

struct Link {
    from: Reader,
    to: Writer,
    used: Instant,
    program: Option<Program>,
}

/// What holds a link's other end.
struct Program {
    child: Child,
    /// The beginning of what it says; the rest is read, too, or it would wait for a reader in the midst of a step.
    says: JoinHandle<String>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("used", &self.used).finish_non_exhaustive()
    }
}

/// What became of a request that has no answer.
enum Lost {
    /// It was not sent, or only asked for a look.
    Unsent(String),
    /// It may have been carried out.
    Unknown(String),
}

impl Reach {
    pub(super) fn new(machine: &Machine, system: System, timeout: Duration) -> Self {
        let way = match machine {
            Machine::Ssh(ssh) => Way::Ssh(ssh.clone()),
            Machine::Here => Way::here(),
        };
        Self { way, system, timeout, link: Arc::default() }
    }

    /// Asks, on a kept link or a new one.
    ///
    /// # Errors
    /// The far side's refusal, or why there is no answer: [`DirectoryError::Ambiguous`] where a step may have been carried out.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Answer, DirectoryError> {
        let mut line =
            Zeroizing::new(serde_json::to_vec(ask).map_err(|e| DirectoryError::BadValue(e.to_string()))?);
        line.push(b'\n');
        let changes = matches!(ask, Ask::Step { .. });
        let until = Instant::now() + self.timeout;
        // One request at a time: the far side would make the next one wait anyhow.
        let mut kept = timeout_at(until, self.link.lock())
            .await
            .map_err(|_| DirectoryError::Busy("the machine is still at an earlier request".into()))?;
        // Taken out meanwhile: whoever stops waiting for an answer leaves no link on which the next one would read it.
        let mut earlier = kept.take().filter(|link| link.used.elapsed() < KEPT_FOR);
        loop {
            let was_kept = earlier.is_some();
            let mut link = match earlier.take() {
                Some(link) => link,
                None => self.open(until).await?,
            };
            let lost = match exchange(&mut link, &line, changes, until).await {
                Ok(answer) => {
                    link.used = Instant::now();
                    *kept = Some(link);
                    if !was_kept {
                        tokio::spawn(close_when_idle(Arc::downgrade(&self.link)));
                    }
                    return refusal(answer);
                }
                Err(lost) => lost,
            };
            let error = self.meaning(lost, &link.complaint().await);
            // A link that was kept may be of a machine that was started anew since. Nothing was changed by a question.
            if !was_kept || changes {
                return Err(error);
            }
        }
    }

    /// What an administrator does about a machine that cannot be used.
    pub(super) fn remedy(&self, error: &DirectoryError) -> &'static str {
        match (error, &self.way) {
            (DirectoryError::HostKey(_), _) if self.system == System::Windows => {
                "Compare on the machine itself: ssh-keygen -lf C:\\ProgramData\\ssh\\ssh_host_ed25519_key.pub. Only then put the line of \
                 `ssh-keyscan -t ed25519 HOST` into the file of known hosts."
            }
            (DirectoryError::Bind(_), _) if self.system == System::Windows => {
                "Put the broker's public key into C:\\ProgramData\\ssh\\administrators_authorized_keys on the machine, bound to its one \
                 command: docs/local-accounts.md."
            }
            (DirectoryError::HostKey(_), _) => {
                "Compare on the machine itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub. Only then put the line of \
                 `ssh-keyscan -t ed25519 HOST` into the file of known hosts."
            }
            (DirectoryError::Bind(_), _) => {
                "Put the broker's public key into the account's authorized_keys on the machine, bound to its one command: \
                 docs/local-accounts.md."
            }
            (_, Way::Ssh(_)) => {
                "See that the machine is on, that sshd listens, and that the key's command is `ticketgate local serve`."
            }
            _ if self.system == System::Windows => {
                "Run the broker as a service of the system: docs/local-accounts.md, \"The broker's own Windows machine\"."
            }
            _ => "Run `sudo ticketgate local install`.",
        }
    }

    /// Opens a link and greets: a program that is no far side of this version is never asked for anything.
    async fn open(&self, until: Instant) -> Result<Link, DirectoryError> {
        let mut link = match &self.way {
            #[cfg(unix)]
            Way::Socket(path) => socket(path, until).await?,
            Way::Child(program) => {
                let mut command = Command::new(program);
                command.args(["local", "serve"]);
                spawned(command, true)?
            }
            Way::Ssh(ssh) => spawned(ssh::command(ssh, self.timeout), false)?,
        };
        let mut hello = serde_json::to_vec(&Ask::Hello { protocol: PROTOCOL })
            .map_err(|e| DirectoryError::BadValue(e.to_string()))?;
        hello.push(b'\n');
        match exchange(&mut link, &hello, false, until).await {
            Ok(Answer::Hello { protocol: PROTOCOL, system, .. }) if system == self.system => Ok(link),
            // Its rights would be others, and so would its names.
            Ok(Answer::Hello { protocol: PROTOCOL, system, .. }) => Err(DirectoryError::Misconfigured(
                format!("the machine runs {0}; write system = \"{0}\"", system.word()),
            )),
            Ok(Answer::Hello { protocol, .. }) => Err(DirectoryError::Refused(format!(
                "the machine's own side speaks version {protocol}, the broker version {PROTOCOL}: update the older one"
            ))),
            Ok(other) => Err(refusal(other).err().unwrap_or_else(|| {
                DirectoryError::Refused("the greeting was answered by something else".into())
            })),
            Err(lost) => {
                let complaint = link.complaint().await;
                Err(self.meaning(lost, &complaint))
            }
        }
    }

    /// Why there was no answer, by what the link's program said about it.
    fn meaning(&self, lost: Lost, complaint: &str) -> DirectoryError {
        let said = |why: String| if complaint.is_empty() { why } else { format!("{why}: {complaint}") };
        match lost {
            Lost::Unknown(why) => DirectoryError::Ambiguous(said(why)),
            Lost::Unsent(why) => match &self.way {
                Way::Ssh(ssh) => {
                    ssh::meaning(ssh, complaint).unwrap_or_else(|| DirectoryError::Unreachable(said(why)))
                }
                _ => DirectoryError::Unreachable(said(why)),
            },
        }
    }
}

impl Link {
    /// What the program said before it went.
    async fn complaint(self) -> String {
        let Some(Program { mut child, says }) = self.program else { return String::new() };
        drop((self.from, self.to));
        let said = tokio::time::timeout(LAST_WORDS, says).await;
        // Where it is one that must not outlive the link, it goes with it.
        let _ = child.try_wait();
        said.ok().and_then(Result::ok).unwrap_or_default()
    }
}

/// What a program says, read to its end.
async fn heard(stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    let mut bounded = stderr.take(COMPLAINT_MAX);
    let _ = bounded.read_to_end(&mut said).await;
    let _ = tokio::io::copy(&mut bounded.into_inner(), &mut tokio::io::sink()).await;
    let text = String::from_utf8_lossy(&said);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Closes a link that nobody uses any more, unless another of these does so for a later one.
async fn close_when_idle(link: Weak<Mutex<Option<Link>>>) {
    loop {
        tokio::time::sleep(KEPT_FOR).await;
        let Some(link) = link.upgrade() else { return };
        let mut kept = link.lock().await;
        match kept.as_ref().map(|link| link.used.elapsed()) {
            Some(idle) if idle < KEPT_FOR => {}
            _ => {
                kept.take();
                return;
            }
        }
    }
}

#[cfg(unix)]
async fn socket(path: &PathBuf, until: Instant) -> Result<Link, DirectoryError> {
    let unreachable = |why: String| {
        DirectoryError::Unreachable(format!(
            "{} of this machine's own side: {why}; run `sudo ticketgate local install`",
            path.display()
        ))
    };
    let stream = timeout_at(until, tokio::net::UnixStream::connect(path))
        .await
        .map_err(|_| unreachable("no answer".into()))?
        .map_err(|e| unreachable(e.to_string()))?;
    let (from, to) = stream.into_split();
    Ok(Link { from: Box::new(BufReader::new(from)), to: Box::new(to), used: Instant::now(), program: None })
}

/// A link to a program. One that ends with its input is let finish what it is at.
fn spawned(mut command: Command, ends_by_itself: bool) -> Result<Link, DirectoryError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(!ends_by_itself);
    // Without a console of its own it would open a window.
    #[cfg(windows)]
    command.creation_flags(NO_WINDOW);
    let mut child = command
        .spawn()
        .map_err(|e| DirectoryError::Unreachable(format!("{program} cannot be started: {e}")))?;
    let (Some(to), Some(from), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(DirectoryError::Unreachable(format!("{program} has no pipes")));
    };
    Ok(Link {
        from: Box::new(BufReader::new(from)),
        to: Box::new(to),
        used: Instant::now(),
        program: Some(Program { child, says: tokio::spawn(heard(stderr)) }),
    })
}

async fn exchange(link: &mut Link, line: &[u8], changes: bool, until: Instant) -> Result<Answer, Lost> {
    let lost = |why: &str| if changes { Lost::Unknown(why.into()) } else { Lost::Unsent(why.into()) };
    let sent = async {
        link.to.write_all(line).await?;
        link.to.flush().await
    };
    match timeout_at(until, sent).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(lost(&error.to_string())),
        Err(_) => return Err(lost("the machine takes no request")),
    }
    let mut answer = Vec::new();
    let mut bounded = (&mut link.from).take(LONGEST_ANSWER as u64);
    match timeout_at(until, bounded.read_until(b'\n', &mut answer)).await {
        Ok(Ok(_)) if answer.last() == Some(&b'\n') => {}
        Ok(Ok(0)) => return Err(lost("the machine's own side went away")),
        Ok(Ok(_)) => return Err(lost("the answer is cut or too long")),
        Ok(Err(error)) => return Err(lost(&error.to_string())),
        Err(_) => return Err(lost("the machine does not answer in time")),
    }
    serde_json::from_slice(&answer).map_err(|_| lost("what answers is not `ticketgate local`"))
}

/// A refusal as an error; every other answer as it is.
fn refusal(answer: Answer) -> Result<Answer, DirectoryError> {
    let Answer::Refused { why, text } = answer else { return Ok(answer) };
    Err(match why {
        Refusal::NameTaken => DirectoryError::NameTaken(text),
        Refusal::NoSuchRight => DirectoryError::NoSuchRight(text),
        Refusal::NoSuchAccount => DirectoryError::NoSuchAccount(text),
        Refusal::BadValue => DirectoryError::BadValue(text),
        Refusal::Busy => DirectoryError::Busy(text),
        Refusal::NotAllowed => DirectoryError::NotDelegated(text),
        Refusal::Failed => DirectoryError::Refused(text),
    })
}
