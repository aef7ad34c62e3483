//! `relay.toml`: where the team's broker is, in a file of the machine or of the person. It is followed only where nobody else can
//! have written it: whoever says where the broker is sees what a person asks of it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{BadTeam, SaidBy, Team, addresses, pair};

/// The file's name.
pub(super) const NAME: &str = "relay.toml";
/// More than any file of this kind.
const LONGEST: u64 = 64 << 10;

/// As it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    broker: OneOrMore,
    ca_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What the file says; nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Team>, BadTeam> {
    let by = SaidBy::File(path.to_owned());
    let unread = |error: std::io::Error| BadTeam::new(&by, format!("it cannot be read: {error}"));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unread(error)),
    };
    // What was opened is looked at, not what has the name a moment later.
    let found = file.metadata().map_err(unread)?;
    if !found.is_file() {
        return Err(BadTeam::new(&by, "it is not a file"));
    }
    trusted(&by, path, &found)?;
    let mut text = String::new();
    let length = file.take(LONGEST + 1).read_to_string(&mut text).map_err(unread)?;
    if length as u64 > LONGEST {
        return Err(BadTeam::new(&by, format!("it is larger than {} KiB", LONGEST >> 10)));
    }
    said(&by, path, &text).map(Some)
}

fn said(by: &SaidBy, path: &Path, text: &str) -> Result<Team, BadTeam> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
        // The first line of the message names the fault; the rest quotes the file, which stays here.
        let why = error.message().lines().next().unwrap_or("it is not TOML").replace('`', "");
        BadTeam::new(by, format!("line {line}: {why}"))
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = |file: Option<PathBuf>| file.map(|file| folder.join(file));
    let addresses = match &written.broker {
        OneOrMore::One(one) => addresses(by, std::iter::once(one.as_str()))?,
        OneOrMore::More(more) => addresses(by, more.iter().map(String::as_str))?,
    };
    let certificate = pair(by, beside(written.client_certificate), beside(written.client_key))?;
    Ok(Team { addresses, ca_file: beside(written.ca_file), certificate, said_by: by.clone() })
}

/// Refuses a file that somebody else than root and this person wrote, or can write.
#[cfg(unix)]
fn trusted(by: &SaidBy, path: &Path, found: &fs::Metadata) -> Result<(), BadTeam> {
    use std::os::unix::fs::MetadataExt;
    let me = rustix::process::geteuid().as_raw();
    let mine = |of: &fs::Metadata| of.uid() == me || of.uid() == 0;
    let bad = |why: String, remedy: String| BadTeam { remedy, ..BadTeam::new(by, why) };
    if !mine(found) {
        let remedy =
            format!("Find out who wrote it; then an administrator runs: chown root '{}'", path.display());
        return Err(bad(format!("it belongs to another user (uid {})", found.uid()), remedy));
    }
    if found.mode() & 0o022 != 0 {
        let remedy = format!("Look through it, then run: chmod go-w '{}'", path.display());
        return Err(bad("others may write it".into(), remedy));
    }
    // Whoever may write in its folder can put another file in its place.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let around = fs::metadata(folder).map_err(|error| BadTeam::new(by, format!("its folder: {error}")))?;
    if !mine(&around) || around.mode() & 0o022 != 0 {
        let remedy = format!("Run: chmod go-w '{}'", folder.display());
        return Err(bad("others may write in its folder".into(), remedy));
    }
    Ok(())
}

/// Elsewhere the folder's access rights guard it: the machine's is the administrators', the person's in her own profile.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same form as on Unix")]
fn trusted(_: &SaidBy, _: &Path, _: &fs::Metadata) -> Result<(), BadTeam> {
    Ok(())
}
