//! Where the world's state lives: folders under `target/world/`, templates made once per machine, instances removed
//! when they are dropped. Nothing about what is in them.

use crate::Result;
use anyhow::{Context, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The workspace, as it was when this library was compiled.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_path_buf()
}

/// The workspace's build folder: `target/`, or what `CARGO_TARGET_DIR` says.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// A script of `tests/world/`.
pub fn script(name: &str) -> PathBuf {
    workspace().join("tests/world").join(name)
}

/// A fixture of `tests/fixtures/`.
pub fn fixture(name: &str) -> PathBuf {
    workspace().join("tests/fixtures").join(name)
}

/// The longest folder of instances: what servers make below it has to fit into the address of a Unix socket, which takes
/// 107 bytes (unix(7)); `samba-1234567-12/private/ldap_priv/ldapi` is the longest.
const RUN_FOLDER_MAX: usize = 62;

/// For its owner alone.
const PRIVATE: u32 = 0o700;

/// For everybody to enter and read.
const OPEN: u32 = 0o755;

/// Where instances live: `target/world/run/`, or a private folder of the temporary one where that would be too long.
///
/// # Errors
/// It cannot be made.
pub fn run_folder() -> Result<PathBuf> {
    let run = run_folder_of(&target());
    fs::create_dir_all(&run)?;
    set_mode(&run, PRIVATE)?;
    Ok(run)
}

fn run_folder_of(target: &Path) -> PathBuf {
    let inside = target.join("world/run");
    if inside.as_os_str().len() <= RUN_FOLDER_MAX {
        return inside;
    }
    std::env::temp_dir().join(format!("ticketgate-{}", rustix::process::geteuid().as_raw()))
}

/// A folder of one instance. Dropping it removes it, but not while a test is failing: then its logs stay to be read
/// (and go with the next run on the same machine).
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held while the folder is in use: whoever gets the lock knows that the owner is gone.
    _in_use: File,
}

impl Folder {
    /// A new, empty folder under `target/world/run/`, readable for its owner alone.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        Self::below(&run_folder()?, name, PRIVATE)
    }

    /// One that every user of the machine may enter and read. It is in the temporary folder, since where the build lies need
    /// not be open to others.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn for_everyone(name: &str) -> Result<Self> {
        let run =
            std::env::temp_dir().join(format!("ticketgate-open-{}", rustix::process::geteuid().as_raw()));
        fs::create_dir_all(&run)?;
        set_mode(&run, OPEN)?;
        Self::below(&run, name, OPEN)
    }

    fn below(run: &Path, name: &str, mode: u32) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        sweep(run);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = run.join(format!("{name}-{}-{number}", std::process::id()));
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        let in_use = lock_file(run, &path, mode)?;
        in_use.lock()?;
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        set_mode(&path, mode)?;
        Ok(Self { path, _in_use: in_use })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file inside it that only its owner can read, and answers its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path.join(name);
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(content.as_ref())?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !crate::outcome::failing() {
            remove(&self.path);
        }
    }
}

/// Another process may just have removed the folder of instances, when its last one went.
fn lock_file(run: &Path, instance: &Path, mode: u32) -> Result<File> {
    let file = instance.with_extension("lock");
    match File::create(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(run)?;
            set_mode(run, mode)?;
            Ok(File::create(&file)?)
        }
        other => Ok(other?),
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// Nothing can be done about a folder that cannot be removed, and the next run tries again.
fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    let _ = fs::remove_file(folder.with_extension("lock"));
    // The last one takes the folder of instances along; with others in it, this does nothing.
    if let Some(run) = folder.parent() {
        let _ = fs::remove_dir(run);
    }
}

/// Removes what killed or failed runs left: folders whose lock nobody holds.
fn sweep(run: &Path) {
    let Ok(entries) = fs::read_dir(run) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "lock")) {
        let left = File::open(entry.path()).is_ok_and(|lock| lock.try_lock().is_ok());
        // A folder that was made a moment ago may have its lock file but not yet the lock.
        let old = entry.metadata().ok().and_then(|data| data.modified().ok()?.elapsed().ok());
        if left && old.is_some_and(|age| age.as_secs() > 60) {
            remove(&entry.path().with_extension(""));
        }
    }
}

/// A template folder, `target/world/NAME-HASH/`: made by `make` when it is not there, else as an earlier run left it.
/// `ingredients` is everything that its content follows from; when that changes, the template is made anew.
///
/// # Errors
/// `make` failed; then there is no template and the next call tries again.
pub fn template(name: &str, ingredients: &[&str], make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    use sha2::{Digest, Sha256};
    let world = target().join("world");
    fs::create_dir_all(&world)?;
    let digest = Sha256::digest(ingredients.join("\0"));
    let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let ready = world.join(format!("{name}-{hash}"));
    let lock = File::create(world.join(format!("{name}.lock")))?;
    lock.lock()?;
    if !ready.exists() {
        for entry in fs::read_dir(&world)?.flatten() {
            let file = entry.file_name();
            if file.to_string_lossy().rsplit_once('-').is_some_and(|(start, _)| start == name) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let making = world.join(format!("{name}-making"));
        if making.exists() {
            fs::remove_dir_all(&making)?;
        }
        fs::create_dir(&making)?;
        set_mode(&making, PRIVATE)?;
        make(&making).with_context(|| format!("cannot make the template {name}"))?;
        fs::rename(&making, &ready)?;
    }
    Ok(ready)
}

/// Copies a folder with everything in it, sparse files staying sparse.
///
/// # Errors
/// `cp` says no.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").args(["-a", "--sparse=always"]).arg(from.join(".")).arg(to))?;
    Ok(())
}

/// Runs a command to its end and answers what it printed.
///
/// # Errors
/// It is not installed (the sentence says what is missing) or failed (the sentence says what it printed).
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(std::process::Stdio::null()).output();
    let output = output.with_context(|| format!("{program} is not there; run `cargo xtask setup`"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{program} failed: {}", String::from_utf8_lossy(&said).trim());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_live_where_a_sockets_address_can_name_them() {
        assert_eq!(
            run_folder_of(Path::new("/src/ticketgate/target")),
            Path::new("/src/ticketgate/target/world/run")
        );
        let long = run_folder_of(Path::new("/home/somebody/with/a/very/long/path/to/the/checkout/target"));
        assert!(
            long.starts_with(std::env::temp_dir()) && long.as_os_str().len() <= RUN_FOLDER_MAX,
            "{long:?}"
        );
    }

    #[test]
    fn the_last_instance_takes_the_folder_of_instances_along() {
        let run = target().join("tmp").join(format!("run-{}", std::process::id()));
        let (first, second) = (run.join("a"), run.join("b"));
        for folder in [&first, &second] {
            fs::create_dir_all(folder).unwrap();
            lock_file(&run, folder, PRIVATE).unwrap();
        }
        remove(&first);
        assert!(second.exists());
        remove(&second);
        assert!(!run.exists());
        lock_file(&run, &first, PRIVATE).unwrap();
        remove(&first);
        assert!(!run.exists());
    }
}
