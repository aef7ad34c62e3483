//! What a directory server answers: bytes through the LDAP crate's own parser into our readers. The input is a number that
//! chooses what is asked, and then pieces with their lengths; each piece is sent when the next request has come in. Whatever it
//! says, every question ends, with an answer or an error, and no panic gets out; what is read keeps its bounds
//! (`ticketgate_directory::active_directory::fuzzing`).

use std::os::unix::net::UnixStream;
use std::sync::LazyLock;
use std::time::Duration;

use ticketgate_directory::active_directory::fuzzing;
use tokio::runtime::Runtime;

/// No question may take longer, since all that there is to hear has been said.
const PATIENCE: Duration = Duration::from_secs(5);

/// The runtime of all targets: one thread, so that one input always does the same.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    &RUNTIME
}

pub(crate) fn run(data: &[u8]) {
    fuzzing::readers(data);
    let Some((question, said)) = data.split_first() else { return };
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let said = pieces(said);
    runtime().block_on(async {
        let server = tokio::spawn(serve(theirs, said));
        let asked = tokio::time::timeout(PATIENCE, fuzzing::ask(ours, *question)).await;
        assert!(asked.is_ok(), "a question did not end");
        server.abort();
        let _ = server.await;
    });
}

/// `LENGTH (two bytes, big end first) BYTES`, again and again.
fn pieces(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (piece, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)).min(tail.len()));
        pieces.push(piece.to_vec());
        rest = tail;
    }
    pieces
}

/// Answers each request with the next piece, and hangs up after the last one, or when nothing more is asked.
async fn serve(theirs: UnixStream, said: Vec<Vec<u8>>) {
    theirs.set_nonblocking(true).unwrap();
    let Ok(stream) = tokio::net::UnixStream::from_std(theirs) else { return };
    for piece in said {
        let mut request = [0; 4096];
        loop {
            let asked = tokio::time::timeout(Duration::from_millis(3), stream.readable()).await;
            if !asked.is_ok_and(|ready| ready.is_ok()) {
                return;
            }
            match stream.try_read(&mut request) {
                Ok(0) => return,
                Ok(_) => break,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        if stream.writable().await.is_err() || stream.try_write(&piece).is_err() {
            return;
        }
    }
}
