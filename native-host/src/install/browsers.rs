//! Where each browser looks for host manifests. Chrome's and Edge's documentation, `browsers.toml` of the
//! `native_messaging` crate, and what Bitwarden, KeePassXC and browserpass write. Tried here: Chromium on Linux.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::places::{Surroundings, System};

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scope {
    /// This user.
    User,
    /// Everybody on this machine.
    System,
}

/// A browser that we install for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Browser {
    /// Google Chrome.
    Chrome,
    /// Chromium.
    Chromium,
    /// Microsoft Edge.
    Edge,
    /// Brave.
    Brave,
}

impl Browser {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Chrome, Self::Chromium, Self::Edge, Self::Brave];
}

impl fmt::Display for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chrome => "Chrome",
            Self::Chromium => "Chromium",
            Self::Edge => "Edge",
            Self::Brave => "Brave",
        })
    }
}

/// One place of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub browser: Browser,
    /// The manifest's file.
    pub manifest: PathBuf,
    /// The browser's own configuration folder, in a user's place.
    pub profile: Option<PathBuf>,
    /// The registry key that has to name the manifest, on Windows.
    pub registry_key: Option<String>,
}

impl Place {
    /// Whether this user has ever started the browser. Machine-wide places count as used.
    #[must_use]
    pub fn browser_is_used(&self) -> bool {
        self.profile.as_deref().is_none_or(Path::is_dir)
    }
}

/// A browser's places, in the order in which it looks. `None` when a home folder is needed and none is known.
#[must_use]
pub fn places(around: &Surroundings, browser: Browser, scope: Scope, host: &str) -> Option<Vec<Place>> {
    let file = format!("{host}.json");
    let place = |folder: PathBuf, profile| Place {
        browser,
        manifest: folder.join(&file),
        profile,
        registry_key: (around.system == System::Windows).then(|| format!(r"{}\{host}", registry(browser))),
    };
    Some(match (around.system, scope) {
        (System::Linux, Scope::User) => {
            let profile = user_config(around)?.join(linux_profile(browser));
            vec![place(profile.join("NativeMessagingHosts"), Some(profile))]
        }
        (System::MacOs, Scope::User) => {
            let profile = around.config_home()?.join(macos_profile(browser));
            vec![place(profile.join("NativeMessagingHosts"), Some(profile))]
        }
        // One file serves every browser; the registry names it.
        (System::Windows, Scope::User) => {
            let local = around.state_home()?;
            vec![place(local.join("ticketgate"), Some(local.join(windows_profile(browser))))]
        }
        (System::Windows, Scope::System) => vec![place(around.system_config(), None)],
        (System::Linux, Scope::System) => {
            linux_system(browser).iter().map(|folder| place(around.at_root(folder), None)).collect()
        }
        (System::MacOs, Scope::System) => {
            macos_system(browser).iter().map(|folder| place(around.at_root(folder), None)).collect()
        }
    })
}

/// Chromium follows `XDG_CONFIG_HOME` for its profile.
fn user_config(around: &Surroundings) -> Option<PathBuf> {
    around.config_home()
}

const fn linux_profile(browser: Browser) -> &'static str {
    match browser {
        Browser::Chrome => "google-chrome",
        Browser::Chromium => "chromium",
        Browser::Edge => "microsoft-edge",
        Browser::Brave => "BraveSoftware/Brave-Browser",
    }
}

const fn macos_profile(browser: Browser) -> &'static str {
    match browser {
        Browser::Chrome => "Google/Chrome",
        Browser::Chromium => "Chromium",
        Browser::Edge => "Microsoft Edge",
        Browser::Brave => "BraveSoftware/Brave-Browser",
    }
}

const fn windows_profile(browser: Browser) -> &'static str {
    match browser {
        Browser::Chrome => "Google/Chrome",
        Browser::Chromium => "Chromium",
        Browser::Edge => "Microsoft/Edge",
        Browser::Brave => "BraveSoftware/Brave-Browser",
    }
}

/// Sources disagree about Brave: it gets both places that are named.
const fn linux_system(browser: Browser) -> &'static [&'static str] {
    match browser {
        Browser::Chrome => &["/etc/opt/chrome/native-messaging-hosts"],
        Browser::Chromium => &["/etc/chromium/native-messaging-hosts"],
        Browser::Edge => &["/etc/opt/edge/native-messaging-hosts"],
        Browser::Brave => &["/etc/brave/native-messaging-hosts", "/etc/opt/chrome/native-messaging-hosts"],
    }
}

const fn macos_system(browser: Browser) -> &'static [&'static str] {
    match browser {
        Browser::Chrome => &["/Library/Google/Chrome/NativeMessagingHosts"],
        Browser::Chromium => &["/Library/Application Support/Chromium/NativeMessagingHosts"],
        Browser::Edge => &["/Library/Microsoft/Edge/NativeMessagingHosts"],
        Browser::Brave => &[
            "/Library/Application Support/Chromium/NativeMessagingHosts",
            "/Library/Google/Chrome/NativeMessagingHosts",
        ],
    }
}

const fn registry(browser: Browser) -> &'static str {
    match browser {
        Browser::Chrome => r"Software\Google\Chrome\NativeMessagingHosts",
        Browser::Chromium => r"Software\Chromium\NativeMessagingHosts",
        Browser::Edge => r"Software\Microsoft\Edge\NativeMessagingHosts",
        Browser::Brave => r"Software\BraveSoftware\Brave-Browser\NativeMessagingHosts",
    }
}

/// Folders of managed policies on Linux, which can forbid hosts. Brave's is as its documentation says.
#[must_use]
pub fn policy_folders(around: &Surroundings, browser: Browser) -> Vec<PathBuf> {
    if around.system != System::Linux {
        return Vec::new(); // Preferences and the registry hold them there; `chrome://policy` shows them.
    }
    let folder = match browser {
        Browser::Chrome => "/etc/opt/chrome/policies",
        Browser::Chromium => "/etc/chromium/policies",
        Browser::Edge => "/etc/opt/edge/policies",
        Browser::Brave => "/etc/brave/policies",
    };
    vec![around.at_root(folder).join("managed"), around.at_root(folder).join("recommended")]
}

/// Profiles of packaged browsers that run in a sandbox, where a host outside cannot be started.
#[must_use]
pub fn sandboxed_profiles(around: &Surroundings) -> Vec<(&'static str, PathBuf)> {
    let Some(home) = around.home.as_ref().filter(|_| around.system == System::Linux) else {
        return Vec::new();
    };
    [
        ("Chromium (snap)", "snap/chromium"),
        ("Brave (snap)", "snap/brave"),
        ("Chrome (Flatpak)", ".var/app/com.google.Chrome"),
        ("Chromium (Flatpak)", ".var/app/org.chromium.Chromium"),
        ("Edge (Flatpak)", ".var/app/com.microsoft.Edge"),
        ("Brave (Flatpak)", ".var/app/com.brave.Browser"),
    ]
    .into_iter()
    .map(|(name, folder)| (name, home.join(folder)))
    .filter(|(_, folder)| folder.is_dir())
    .collect()
}
