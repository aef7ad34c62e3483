//! What Linux and macOS share: owners, modes, sockets, sessions.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::Distrust;

/// See [`super::Platform::trust_socket`].
pub(super) fn trust_socket(socket: &Path) -> Result<(), Distrust> {
    let file = look(socket)?;
    if !file.file_type().is_socket() {
        return Err(Distrust::NotASocket);
    }
    let folder = socket.parent().unwrap_or(Path::new("."));
    let around = fs::metadata(folder).map_err(|e| Distrust::Unreadable(e.to_string()))?;
    let me = rustix::process::geteuid().as_raw();
    let mine = |owner: u32| owner == me || owner == 0;
    if !mine(around.uid()) && !made_by_root(folder) {
        return Err(Distrust::ForeignOwner { owner: uid(around.uid()) });
    }
    if around.mode() & 0o022 != 0 {
        return Err(Distrust::OpenFolder { folder: folder.display().to_string() });
    }
    // A service's folder below /run was given to its user by root; its socket is that user's.
    if !(mine(file.uid()) || made_by_root(folder) && file.uid() == around.uid()) {
        return Err(Distrust::ForeignOwner { owner: uid(file.uid()) });
    }
    Ok(())
}

fn uid(owner: u32) -> String {
    format!("uid {owner}")
}

fn look(socket: &Path) -> Result<Metadata, Distrust> {
    fs::symlink_metadata(socket).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Distrust::Missing,
        _ => Distrust::Unreadable(e.to_string()),
    })
}

/// Whether only root can have made this folder: it is `/run/ticketgate`, and `/run` is root's and closed.
fn made_by_root(folder: &Path) -> bool {
    folder == Path::new("/run/ticketgate")
        && fs::metadata("/run").is_ok_and(|run| run.uid() == 0 && run.mode() & 0o022 == 0)
}

/// See [`super::Platform::somebody_listens`].
pub(super) fn somebody_listens(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// See [`super::Platform::leave_session`]. Fails harmlessly for a process that already leads a group.
pub(super) fn leave_session() {
    let _ = rustix::process::setsid();
}

/// See [`super::Platform::take_our_place`].
pub(super) fn take_our_place(command: &mut Command) -> std::io::Error {
    command.exec()
}

/// See [`super::Platform::set_apart`].
pub(super) fn set_apart(command: &mut Command) {
    command.process_group(0);
}

/// See [`super::Platform::may_execute`].
pub(super) fn may_execute(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file())
        && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
        && fs::metadata(file).is_ok_and(|meta| meta.mode() & 0o111 != 0)
}

/// See [`super::Platform::is_open_to_others`].
pub(super) fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o077 != 0)
}

/// See [`super::Platform::command_to_close`].
pub(super) fn command_to_close(folder: &Path) -> String {
    format!("chmod 700 '{}'", folder.display())
}

/// See [`super::Platform::make_private_folder`].
pub(super) fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// No core file, whatever else the system does.
pub(super) fn no_core_file() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_socket_of_ours_in_a_closed_folder_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("broker.sock");
        assert_eq!(trust_socket(&socket), Err(Distrust::Missing));
        let listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(trust_socket(&socket), Ok(()));
        assert!(somebody_listens(&socket));
        drop(listener);
        assert!(!somebody_listens(&socket), "a left-over socket file is no broker");
    }

    #[test]
    fn a_folder_that_others_may_write_in_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("broker.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(trust_socket(&socket), Err(Distrust::OpenFolder { .. })));
    }

    #[test]
    fn a_file_or_a_link_in_the_sockets_place_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real.sock");
        let _listener = UnixListener::bind(&real).unwrap();
        let link = folder.path().join("link.sock");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(trust_socket(&link), Err(Distrust::NotASocket));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(trust_socket(&file), Err(Distrust::NotASocket));
    }

    #[test]
    fn a_socket_of_another_user_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("broker.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        if std::os::unix::fs::chown(&socket, Some(4242), None).is_err() {
            return; // Only root can give a file away, and in a user namespace not even that one.
        }
        assert_eq!(trust_socket(&socket), Err(Distrust::ForeignOwner { owner: uid(4242) }));
    }
}
