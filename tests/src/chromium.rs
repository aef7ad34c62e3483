//! A private Chromium with extensions, driven over its DevTools protocol: start and end, tabs. What happens inside a tab
//! is in [`page`]; the extension's worker, popup and badge are further methods of [`Chromium`], in `extension.rs`.

mod cdp;
mod extension;
mod input;
mod nodes;
pub mod page;

use crate::Result;
use crate::leash::Leashed;
use crate::outcome::failing;
use crate::patience::{LIMIT, wait_for};
use crate::world::Folder;
use anyhow::{Context, bail};
use cdp::Connection;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

pub use cdp::Target;
pub use extension::extension_id;
use extension::has_worker;
pub use input::Key;
pub use page::Page;

/// The binary itself: the wrapper `/usr/bin/chromium` starts 0.1 s slower and adds switches of its own.
const BINARY: &str = "/usr/lib/chromium/chromium";

/// How a browser is started. `Options::default()` is headless, without extension.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Folders of unpacked extensions. The first is the one that [`Chromium::worker`] and the like mean.
    pub extensions: Vec<PathBuf>,
    /// A program to register as the native messaging host of the first extension (and of no other).
    pub native_host: Option<NativeHost>,
    /// The value for `DISPLAY`: the clipboard that native hosts reach, and the screen when `headed`.
    pub display: Option<String>,
    /// Shows real windows on `display`.
    pub headed: bool,
    /// Names that the browser looks up here instead of in the DNS, as `("acme.psa.test", "127.0.0.1:8080")`.
    pub hosts: Vec<(String, String)>,
    /// Takes every TLS certificate, for [`crate::site::Site::start_tls`].
    pub any_certificate: bool,
    /// Further environment, which native hosts inherit.
    pub environment: Vec<(String, String)>,
    /// A profile to go on with, from [`Chromium::close`]; a new one when `None`.
    pub profile: Option<Profile>,
}

/// A native messaging host manifest to write into the browser's profile.
#[derive(Debug, Clone)]
pub struct NativeHost {
    /// Its name, such as `com.ticketgate.host`.
    pub name: String,
    /// The program.
    pub program: PathBuf,
}

/// A browser's folder after its end: cookies, extension storage and all.
#[derive(Debug, Clone)]
pub struct Profile(std::sync::Arc<Folder>);

/// A running browser. Dropping it ends every process that it started, native hosts included.
///
/// When a test fails, what workers and pages wrote on their consoles while somebody held them is printed at the drop.
#[derive(Debug)]
pub struct Chromium {
    connection: Connection,
    browser: Leashed,
    profile: Profile,
    extension: Option<String>,
    /// The tab from which workers are stopped.
    stopper: std::sync::Mutex<Option<Page>>,
}

impl Chromium {
    /// Starts one and returns when it answers and the first extension's worker, if it has one, is there.
    ///
    /// # Errors
    /// Chromium is not installed, or does not start, or does not load the extension.
    pub fn start(options: &Options) -> Result<Self> {
        if !Path::new(BINARY).exists() {
            bail!("Chromium is not installed; run `cargo xtask setup`");
        }
        let profile = match options.profile.clone() {
            Some(profile) => profile,
            None => Profile(std::sync::Arc::new(Folder::new("browser")?)),
        };
        let extension = options.extensions.first().map(|folder| extension_id(folder)).transpose()?;
        if let Some(host) = &options.native_host {
            register(&profile, host, extension.as_deref().context("a native host needs an extension")?)?;
        }
        let port_file = profile.0.join("DevToolsActivePort");
        let _ = std::fs::remove_file(&port_file);
        let mut browser = Leashed::start(&command(options, &profile)?, &profile.0.join("browser.log"))?;
        let (port, path) = wait_for("Chromium to answer", LIMIT, || {
            if let Some(exit) = browser.exited()? {
                bail!("Chromium ended at once ({exit:?}): {}", browser.log());
            }
            // Two lines: the port, then the path of the browser's own socket. The file appears before they do.
            let text = std::fs::read_to_string(&port_file).unwrap_or_default();
            Ok(text
                .trim()
                .split_once('\n')
                .and_then(|(port, path)| Some((port.parse().ok()?, path.to_owned()))))
        })?;
        let connection = Connection::open(port, &path)?;
        let browser = Self { connection, browser, profile, extension, stopper: std::sync::Mutex::default() };
        if let Some(folder) = options.extensions.first()
            && has_worker(folder)?
        {
            browser.wait_for_target("the extension's worker", |target| browser.is_worker(target))?;
        }
        Ok(browser)
    }

    /// Everything that could be attached to now: `type`, `url`, `targetId`, as the protocol has it.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn targets(&self) -> Result<Vec<Target>> {
        self.connection.targets()
    }

    /// Opens a tab and returns when it has loaded.
    ///
    /// # Errors
    /// The page does not load.
    pub fn page(&self, url: &str) -> Result<Page> {
        let page = self.new_tab("about:blank")?;
        page.open(url)?;
        Ok(page)
    }

    /// Opens a tab without waiting for anything.
    ///
    /// # Errors
    /// The browser is gone.
    pub fn new_tab(&self, url: &str) -> Result<Page> {
        self.create_tab(url, false)
    }

    fn create_tab(&self, url: &str, background: bool) -> Result<Page> {
        let tab = json!({"url": url, "background": background});
        let made = self.connection.call(None, "Target.createTarget", tab)?;
        let id = made.get("targetId").and_then(Value::as_str).context("no target id")?;
        Page::attach(&self.connection, id)
    }

    /// Attaches to the first target that fits, waiting for it.
    ///
    /// # Errors
    /// None appears.
    pub fn attach(&self, what: &str, fits: impl Fn(&Target) -> bool) -> Result<Page> {
        let target = self.wait_for_target(what, fits)?;
        Page::attach(&self.connection, &target.id)
    }

    /// The browser's process.
    pub fn pid(&self) -> i32 {
        self.browser.pid()
    }

    /// Its folder. Native hosts and the browser keep their temporary files below it.
    pub fn folder(&self) -> &Path {
        self.profile.0.path()
    }

    /// Ends the browser in an orderly way and hands its profile on, to start another one with it.
    ///
    /// # Errors
    /// It does not end.
    pub fn close(mut self) -> Result<Profile> {
        self.shut()?;
        Ok(self.profile.clone())
    }

    /// The browser dies at once, as in a power cut; its profile is handed on.
    ///
    /// # Errors
    /// It does not.
    pub fn crash(mut self) -> Result<Profile> {
        self.browser.kill()?;
        Ok(self.profile.clone())
    }

    fn shut(&mut self) -> Result<()> {
        if self.browser.exited()?.is_none() {
            // The connection closes in the middle of the answer.
            let _ = self.connection.call(None, "Browser.close", json!({}));
            self.browser.wait(LIMIT)?;
        }
        Ok(())
    }

    /// What consoles and uncaught errors said so far in every page and worker that was held.
    pub fn console(&self) -> Vec<String> {
        self.connection.console()
    }

    /// Of a failing test: what every page looks like, as far as it can still be had.
    fn keep_pictures(&self) {
        let pages = self.targets().unwrap_or_default().into_iter().filter(|target| target.kind == "page");
        for (number, target) in pages.enumerate() {
            let file = self.profile.0.join(format!("page-{number}.png"));
            let _ = Page::attach(&self.connection, &target.id).and_then(|page| page.screenshot_to(&file));
        }
    }

    fn wait_for_target(&self, what: &str, fits: impl Fn(&Target) -> bool) -> Result<Target> {
        wait_for(what, LIMIT, || Ok(self.targets()?.into_iter().find(&fits)))
    }
}

impl Drop for Chromium {
    #[allow(
        clippy::print_stderr,
        reason = "shown by the test runner below the failure that it helps to explain"
    )]
    fn drop(&mut self) {
        if failing() {
            for line in self.console() {
                eprintln!("browser: {line}");
            }
            eprintln!("browser: pictures of its pages are in {}", self.folder().display());
            self.keep_pictures();
        }
        // Quicker than an orderly end, and the profile goes too.
        let _ = self.browser.kill();
    }
}

fn command(options: &Options, profile: &Profile) -> Result<Command> {
    let folder = &profile.0;
    let mut command = Command::new(BINARY);
    command.args([
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--no-default-browser-check",
    ]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args([
        "--remote-debugging-port=0",
        "--password-store=basic",
        "--lang=en-US",
        "--window-size=1280,900",
    ]);
    command.arg(format!("--user-data-dir={}", folder.path().display()));
    if !options.headed {
        command.arg("--headless=new");
    }
    if !options.extensions.is_empty() {
        let folders: Vec<_> = options.extensions.iter().map(|folder| folder.display().to_string()).collect();
        command.arg(format!("--disable-extensions-except={}", folders.join(",")));
        command.arg(format!("--load-extension={}", folders.join(",")));
    }
    if !options.hosts.is_empty() {
        let rules: Vec<_> =
            options.hosts.iter().map(|(name, address)| format!("MAP {name} {address}")).collect();
        command.arg(format!("--host-resolver-rules={}", rules.join(",")));
    }
    if options.any_certificate {
        command.arg("--ignore-certificate-errors");
    }
    match &options.display {
        Some(display) => command.env("DISPLAY", display).envs(x_authority()),
        None => command.env_remove("DISPLAY"),
    };
    command.env_remove("WAYLAND_DISPLAY");
    // A killed browser leaves files in the temporary folder, and its crash reporter some in the home folder.
    let temporary = folder.join("tmp");
    std::fs::create_dir_all(&temporary)?;
    command.env("TMPDIR", &temporary).env("HOME", folder.path());
    command.env("XDG_CONFIG_HOME", folder.join("config")).env("XDG_CACHE_HOME", folder.join("cache"));
    command.envs(options.environment.iter().cloned()).arg("about:blank");
    Ok(command)
}

/// What opens a person's display. By custom it is in the home folder, and the browser gets another one.
fn x_authority() -> Option<(&'static str, PathBuf)> {
    let named = std::env::var_os("XAUTHORITY").map(PathBuf::from);
    let in_home = || std::env::home_dir().map(|home| home.join(".Xauthority"));
    named.or_else(in_home).filter(|file| file.exists()).map(|file| ("XAUTHORITY", file))
}

fn register(profile: &Profile, host: &NativeHost, extension: &str) -> Result<()> {
    let folder = profile.0.join("NativeMessagingHosts");
    std::fs::create_dir_all(&folder)?;
    let manifest = json!({
        "name": host.name, "description": "under test", "path": host.program, "type": "stdio",
        "allowed_origins": [format!("chrome-extension://{extension}/")],
    });
    std::fs::write(folder.join(format!("{}.json", host.name)), manifest.to_string())?;
    Ok(())
}
