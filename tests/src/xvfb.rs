//! A display without a screen, and its clipboard: for what a headless browser and a host without a display cannot show.

use crate::Result;
use crate::leash::Leashed;
use crate::patience::{LIMIT, until, wait_for};
use crate::world::{self, Folder};
use anyhow::{Context, bail};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running X server. Dropping it ends the server, and with it whatever only showed windows there.
#[derive(Debug)]
pub struct Xvfb {
    display: String,
    server: Leashed,
    folder: Folder,
}

impl Xvfb {
    /// Starts one on a display that is free.
    ///
    /// # Errors
    /// Xvfb is not installed, or does not start.
    pub fn start() -> Result<Self> {
        let folder = Folder::new("display")?;
        let mut command = Command::new("Xvfb");
        // -displayfd: the server takes the first free display itself and prints which.
        command.args(["-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp", "-noreset"]);
        let mut server = Leashed::start(&command, &folder.join("log"))?;
        let display = wait_for("a display", START_LIMIT, || {
            if server.exited()?.is_some() {
                bail!("Xvfb ended at once: {}", server.log());
            }
            Ok(server.log().lines().find_map(|line| line.trim().parse::<u32>().ok()))
        })?;
        Ok(Self { display: format!(":{display}"), server, folder })
    }

    /// The value for `DISPLAY`.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// The text on the clipboard; `None` when nobody offers one.
    ///
    /// # Errors
    /// xclip is not installed.
    pub fn clipboard(&self) -> Result<Option<String>> {
        let mut read = self.xclip();
        let output = read.arg("-o").output().context("xclip is not there; run `cargo xtask setup`")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((output.status.success() && !text.is_empty()).then_some(text))
    }

    /// Puts a text on the clipboard, as another program would.
    ///
    /// # Errors
    /// xclip is not installed.
    pub fn copy(&self, text: &str) -> Result<()> {
        // xclip goes into the background to answer for its text; it ends when somebody else copies, or with the
        // display. Its output must not be a pipe of ours, which it would hold open.
        let log = std::fs::File::create(self.folder.join("xclip.log"))?;
        let mut xclip =
            self.xclip().arg("-i").stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn()?;
        xclip.stdin.take().context("no pipe to xclip")?.write_all(text.as_bytes())?;
        xclip.wait()?;
        // It left before the display has heard of its text.
        until("the text to be on the clipboard", LIMIT, || Ok(self.clipboard()?.as_deref() == Some(text)))
    }

    /// The whole screen as a PNG (needs ImageMagick's `import`).
    ///
    /// # Errors
    /// `import` is not installed.
    pub fn screenshot(&self, file: &std::path::Path) -> Result<()> {
        world::run(Command::new("import").args(["-display", &self.display, "-window", "root"]).arg(file))
            .map(drop)
    }

    /// The X server's process.
    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    fn xclip(&self) -> Command {
        let mut command = Command::new("xclip");
        command.args(["-selection", "clipboard"]).env("DISPLAY", &self.display);
        command
    }
}
