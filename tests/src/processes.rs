//! Other processes as the system shows them: who descends from whom, what they were started with, what they listen on, and
//! what is in their memory. For tests of what must not be there. Root's view; where the system refuses, that is an error.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;

use crate::Result;
use crate::secrets::Needle;

/// Memory is read in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// A process and all that descend from it, itself first.
///
/// # Errors
/// There is no `/proc`.
pub fn family(pid: i32) -> Result<Vec<i32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in parentheses may hold anything; state and parent stand behind the last one.
        let parent =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
        parents.extend(parent.map(|parent| (child, parent)));
    }
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(of) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(child, _)| *child));
        next += 1;
    }
    Ok(family)
}

/// What a process was started with: its arguments and its environment, as bytes.
///
/// # Errors
/// It is gone, or not ours to look at.
pub fn started_with(pid: i32) -> Result<Vec<u8>> {
    let mut all = fs::read(format!("/proc/{pid}/cmdline"))?;
    all.extend(fs::read(format!("/proc/{pid}/environ"))?);
    Ok(all)
}

/// The program of a process (`ticketgate`).
pub fn program(pid: i32) -> String {
    let link = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    link.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a process is the product's: broker, relay or clipboard holder.
pub fn is_ours(pid: i32) -> bool {
    matches!(program(pid).as_str(), "ticketgate" | "ticketgate-relay")
}

/// Where each needle stands in a process's memory: everything that can be read and was written to.
///
/// # Errors
/// The memory cannot be read at all: the process is gone, or this is not root.
pub fn in_memory(pid: i32, needles: &[Needle]) -> Result<Vec<String>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).with_context(|| format!("maps of {pid}"))?;
    let memory = File::open(format!("/proc/{pid}/mem")).with_context(|| format!("memory of {pid}"))?;
    let overlap = needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or(0);
    let (mut found, mut read) = (Vec::new(), 0);
    let mut piece = vec![0; PIECE + overlap];
    for line in maps.lines() {
        let Some((start, end, modes, name)) = region(line) else { continue };
        // What nobody could write holds no secret: the program's own text and data files.
        if !modes.starts_with("rw") || name.starts_with("[v") {
            continue;
        }
        let mut at = start;
        while at < end {
            let length = usize::try_from(end - at)?.min(piece.len());
            let Some(part) = piece.get_mut(..length) else { break };
            match memory.read_at(part, at) {
                // Pages that were never touched, or went away meanwhile.
                Err(_) | Ok(0) => {}
                Ok(count) => {
                    read += count;
                    let part = part.get(..count).unwrap_or_default();
                    found.extend(
                        needles
                            .iter()
                            .filter(|needle| needle.is_in(part))
                            .map(|needle| format!("{} in {name} of {pid}", needle.name)),
                    );
                }
            }
            at += PIECE as u64;
        }
    }
    anyhow::ensure!(read > 0, "nothing of the memory of {pid} could be read");
    found.sort();
    found.dedup();
    Ok(found)
}

/// Start, end, modes and name of a line of `maps`.
fn region(line: &str) -> Option<(u64, u64, &str, &str)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let modes = words.next()?;
    let name = words.nth(3).unwrap_or("memory");
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?, modes, name))
}

/// The network sockets of a process on which somebody could reach it: listening TCP sockets, and UDP and raw sockets of any kind
/// (`tcp6 [..]:8080`).
///
/// # Errors
/// It is gone, or not ours to look at.
pub fn reachable_sockets(pid: i32) -> Result<Vec<String>> {
    let mut inodes = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let link = link.to_string_lossy().into_owned();
        inodes
            .extend(link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).map(str::to_owned));
    }
    let mut found = Vec::new();
    for kind in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "udplite", "udplite6", "packet"] {
        // Of the network that the process is in.
        let Ok(table) = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("net").join(kind))
        else {
            continue;
        };
        for line in table.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let listens = !kind.starts_with("tcp") || words.get(3) == Some(&"0A");
            if listens && words.iter().any(|word| inodes.contains(*word)) {
                found.push(format!("{kind} {}", words.get(1).copied().unwrap_or_default()));
            }
        }
    }
    Ok(found)
}
