//! Installing and uninstalling in a temporary home: what is written, what is left alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use ticketgate_protocol::HOST_NAME;

use super::manifest::HostManifest;
use super::*;

struct Home {
    folder: TempDir,
    around: Surroundings,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exe = folder.path().join("opt/ticketgate");
        fs::create_dir_all(exe.parent().unwrap()).unwrap();
        fs::write(&exe, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&exe, fs::Permissions::from_mode(0o755)).unwrap();
        let around = Surroundings {
            system: System::Linux,
            root: folder.path().to_owned(),
            home: Some(folder.path().join("home")),
            exe,
            variables: BTreeMap::new(),
        };
        fs::create_dir_all(folder.path().join("home/.config/chromium")).unwrap();
        Self { folder, around }
    }

    fn chromium(&self) -> PathBuf {
        self.folder.path().join("home/.config/chromium/NativeMessagingHosts/com.ticketgate.host.json")
    }

    /// Every file and folder below the root.
    fn everything(&self) -> Vec<PathBuf> {
        let mut found = vec![self.folder.path().to_owned()];
        let mut next = 0;
        while let Some(path) = found.get(next).cloned() {
            next += 1;
            if path.is_dir() {
                found.extend(fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
            }
        }
        found.sort();
        found
    }
}

fn how() -> Options {
    Options {
        scope: Scope::User,
        browsers: Vec::new(),
        extension_ids: Vec::new(),
        host_path: None,
        service: false,
        force: false,
        dry_run: false,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn done(steps: &[Step]) -> Vec<Done> {
    steps.iter().map(|s| s.done).collect()
}

#[test]
fn only_browsers_that_the_user_has_get_a_manifest() {
    let home = Home::new();
    let id = "abcdefghijklmnopabcdefghijklmnop";
    let steps = install(&home.around, &Options { extension_ids: vec![id.into()], ..how() }).unwrap();
    assert_eq!(steps, [Step { what: "Chromium".into(), path: home.chromium(), done: Done::Written }]);
    let manifest: HostManifest = serde_json::from_str(&fs::read_to_string(home.chromium()).unwrap()).unwrap();
    assert_eq!(manifest.name, HOST_NAME);
    assert_eq!(manifest.path, home.around.exe);
    assert_eq!(manifest.kind, "stdio");
    assert_eq!(manifest.allowed_origins, [manifest::origin(EXTENSION_ID), manifest::origin(id)]);
    assert_eq!(mode(&home.chromium()), 0o600, "a user's manifest is that user's");
}

#[test]
fn browsers_start_the_relays_own_binary_where_it_is_beside_and_services_the_whole_one() {
    let home = Home::new();
    let relay = home.around.exe.with_file_name("ticketgate-relay");
    fs::copy(&home.around.exe, &relay).unwrap();
    install(&home.around, &Options { service: true, ..how() }).unwrap();
    let manifest: HostManifest = serde_json::from_str(&fs::read_to_string(home.chromium()).unwrap()).unwrap();
    assert_eq!(manifest.path, relay);
    let unit = home.folder.path().join("home/.config/systemd/user/ticketgate-broker.service");
    assert!(fs::read_to_string(unit).unwrap().contains(&format!("{} broker", home.around.exe.display())));
}

#[test]
fn a_named_browser_gets_one_even_before_its_first_start() {
    let home = Home::new();
    let steps = install(&home.around, &Options { browsers: vec![Browser::Brave], ..how() }).unwrap();
    assert_eq!(done(&steps), [Done::Written]);
    assert!(
        steps[0]
            .path
            .ends_with(".config/BraveSoftware/Brave-Browser/NativeMessagingHosts/com.ticketgate.host.json")
    );
}

#[test]
fn a_second_install_changes_nothing_and_uninstall_leaves_nothing() {
    let home = Home::new();
    let before = home.everything();
    let all = Options { browsers: Browser::ALL.to_vec(), service: true, ..how() };
    let first = install(&home.around, &all).unwrap();
    assert_eq!(first.len(), 4 + 3);
    let between = home.everything();
    assert!(done(&install(&home.around, &all).unwrap()).iter().all(|d| *d == Done::Unchanged));
    assert_eq!(home.everything(), between);
    let removed = uninstall(&home.around, &how()).unwrap();
    assert!(done(&removed).iter().all(|d| *d == Done::Removed));
    assert_eq!(removed.len(), 4 + 3);
    let state = home.folder.path().join("home/.local");
    let left: Vec<_> = home.everything().into_iter().filter(|p| !p.starts_with(&state)).collect();
    assert_eq!(left, before);
    assert!(!state.join("state/ticketgate/installed.json").exists());
    assert!(uninstall(&home.around, &how()).unwrap().is_empty(), "a second uninstall has nothing to do");
}

#[test]
fn an_edited_or_foreign_manifest_is_left_alone_by_both() {
    let home = Home::new();
    install(&home.around, &how()).unwrap();
    let edited = fs::read_to_string(home.chromium()).unwrap().replace("Ticketgate:", "Mine:");
    fs::write(home.chromium(), &edited).unwrap();
    assert_eq!(done(&install(&home.around, &how()).unwrap()), [Done::Left]);
    assert_eq!(done(&uninstall(&home.around, &how()).unwrap()), [Done::Left]);
    assert_eq!(fs::read_to_string(home.chromium()).unwrap(), edited);
    let force = Options { force: true, ..how() };
    assert_eq!(done(&install(&home.around, &force).unwrap()), [Done::Written]);
    assert_eq!(done(&uninstall(&home.around, &how()).unwrap()), [Done::Removed], "now it is ours again");
}

#[test]
fn an_older_manifest_of_ours_is_replaced() {
    let home = Home::new();
    install(&home.around, &how()).unwrap();
    let moved = home.folder.path().join("opt/ticketgate-2");
    fs::copy(&home.around.exe, &moved).unwrap();
    let steps = install(&home.around, &Options { host_path: Some(moved.clone()), ..how() }).unwrap();
    assert_eq!(done(&steps), [Done::Written]);
    assert!(fs::read_to_string(home.chromium()).unwrap().contains(moved.to_str().unwrap()));
}

#[test]
fn a_dry_run_writes_nothing() {
    let home = Home::new();
    let before = home.everything();
    let dry = Options { dry_run: true, service: true, ..how() };
    assert_eq!(done(&install(&home.around, &dry).unwrap()), [Done::Written; 4]);
    assert_eq!(home.everything(), before);
    install(&home.around, &how()).unwrap();
    let installed = home.everything();
    assert_eq!(done(&uninstall(&home.around, &dry).unwrap()), [Done::Removed]);
    assert_eq!(home.everything(), installed);
}

#[test]
fn the_whole_machine_is_served_in_etc() {
    let home = Home::new();
    let system = Options { scope: Scope::System, service: true, ..how() };
    let steps = install(&home.around, &system).unwrap();
    let etc = |path: &str| home.folder.path().join("etc").join(path);
    for file in [
        "chromium/native-messaging-hosts/com.ticketgate.host.json",
        "opt/chrome/native-messaging-hosts/com.ticketgate.host.json",
        "opt/edge/native-messaging-hosts/com.ticketgate.host.json",
        "brave/native-messaging-hosts/com.ticketgate.host.json",
        "systemd/system/ticketgate-broker.service",
        "systemd/system/ticketgate-sweep.service",
        "systemd/system/ticketgate-sweep.timer",
    ] {
        assert!(steps.iter().any(|s| s.path == etc(file) && s.done == Done::Written), "{file}");
    }
    let unit = fs::read_to_string(etc("systemd/system/ticketgate-broker.service")).unwrap();
    assert!(unit.contains(&format!("ExecStart={} broker", home.around.exe.display())), "{unit}");
    assert_eq!(uninstall(&home.around, &system).unwrap().len(), steps.len());
    assert!(!etc("brave").exists(), "folders that were made go too");
}

#[test]
fn who_may_read_what_was_written_does_not_depend_on_the_umask() {
    let home = Home::new();
    let before = rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    install(&home.around, &Options { scope: Scope::System, ..how() }).unwrap();
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
    install(&home.around, &how()).unwrap();
    rustix::process::umask(before);
    let manifest = home.folder.path().join("etc/chromium/native-messaging-hosts/com.ticketgate.host.json");
    assert_eq!(mode(&manifest), 0o644, "every user's browser reads the machine's");
    assert_eq!(mode(manifest.parent().unwrap()), 0o755);
    let state = home.folder.path().join("home/.local/state/ticketgate");
    assert_eq!((mode(&state), mode(&state.join("installed.json"))), (0o700, 0o600));
}

#[test]
fn bad_ids_and_bad_paths_are_refused() {
    for id in ["", "abc", "ABCDEFGHIJKLMNOPABCDEFGHIJKLMNOP", "qbcdefghijklmnopabcdefghijklmnop", "*"] {
        assert!(extension_id(id).is_err(), "{id}");
    }
    let home = Home::new();
    let missing = Options { host_path: Some("/nowhere/ticketgate".into()), ..how() };
    assert!(matches!(install(&home.around, &missing), Err(InstallError::HostPath(_))));
    assert!(!home.chromium().exists());
}

#[test]
fn the_places_on_macos_and_windows_are_those_of_the_makers() {
    let mut around = Home::new().around;
    around.home = Some("/Users/t".into());
    around.system = System::MacOs;
    around.root = "/".into();
    let place = |around: &Surroundings, browser, scope| {
        browsers::places(around, browser, scope, HOST_NAME).unwrap().remove(0)
    };
    assert_eq!(
        place(&around, Browser::Edge, Scope::User).manifest,
        Path::new(
            "/Users/t/Library/Application Support/Microsoft Edge/NativeMessagingHosts/com.ticketgate.host.json"
        )
    );
    assert_eq!(
        place(&around, Browser::Chrome, Scope::System).manifest,
        Path::new("/Library/Google/Chrome/NativeMessagingHosts/com.ticketgate.host.json")
    );
    around.system = System::Windows;
    assert_eq!(
        place(&around, Browser::Edge, Scope::User).registry_key.as_deref(),
        Some(r"Software\Microsoft\Edge\NativeMessagingHosts\com.ticketgate.host")
    );
}

#[test]
fn on_windows_one_manifest_is_written_and_every_browsers_key_leads_to_it() {
    let mut around = Home::new().around;
    around.system = System::Windows;
    for scope in [Scope::User, Scope::System] {
        let entries = entry::all(&around, &Options { scope, ..how() }, |_| true).unwrap();
        assert_eq!(entries.len(), 1, "{entries:?}");
        assert_eq!(entries[0].browsers(), "Chrome, Chromium, Edge, Brave");
        let keys: std::collections::BTreeSet<_> =
            entries[0].places.iter().map(|place| place.registry_key.as_deref().unwrap()).collect();
        assert_eq!(keys.len(), Browser::ALL.len(), "{keys:?}");
    }
}

#[test]
fn a_folder_that_two_browsers_share_is_reported_once_with_both() {
    let home = Home::new();
    let steps = install(&home.around, &Options { scope: Scope::System, ..how() }).unwrap();
    let whose: Vec<&str> = steps.iter().map(|step| step.what.as_str()).collect();
    assert_eq!(whose, ["Chrome, Brave", "Chromium", "Edge", "Brave"]);
}

#[test]
fn an_id_that_the_host_does_not_serve_is_said_with_the_command_that_lists_it() {
    let home = Home::new();
    let id = "abcdefghijklmnopabcdefghijklmnop";
    let how = Options { extension_ids: vec![id.into()], ..how() };
    let said = || {
        let mut out = Vec::new();
        command(&mut out, &home.around, &how).unwrap();
        String::from_utf8(out).unwrap()
    };
    let list = home.folder.path().join("etc/ticketgate/allowed-extensions");
    assert!(said().contains(&format!("echo {id} >> \"{}\"", list.display())));
    fs::create_dir_all(list.parent().unwrap()).unwrap();
    fs::write(&list, id).unwrap();
    assert!(!said().contains("sudo"), "it is listed already");
}

#[test]
fn our_table_agrees_with_the_crates_on_linux() {
    let home = Home::new();
    for (browser, theirs) in [
        (Browser::Chrome, "chrome"),
        (Browser::Chromium, "chromium"),
        (Browser::Edge, "edge"),
        (Browser::Brave, "brave"),
    ] {
        let paths = &native_messaging::install::config().browsers[theirs].paths;
        let linux = paths.linux.as_ref().unwrap();
        let user = linux
            .user
            .as_ref()
            .unwrap()
            .dir
            .replace("{HOME}", home.around.home.as_ref().unwrap().to_str().unwrap());
        let ours = &browsers::places(&home.around, browser, Scope::User, HOST_NAME).unwrap()[0];
        assert_eq!(ours.manifest.parent().unwrap(), Path::new(&user));
        let system = home.around.at_root(&linux.system.as_ref().unwrap().dir);
        let ours = &browsers::places(&home.around, browser, Scope::System, HOST_NAME).unwrap()[0];
        assert_eq!(ours.manifest.parent().unwrap(), system);
    }
}
