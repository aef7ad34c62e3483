//! A zip of a folder that has the same bytes whenever the files have: sorted names, one fixed time, one fixed mode.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::tree::files_below;

/// Packs everything below `folder`. The archive appears whole or not at all.
pub(crate) fn pack(folder: &Path, archive: &Path) -> Result<u64> {
    let half = archive.with_extension("zip.part");
    let file = File::create(&half).with_context(|| format!("cannot write {}", half.display()))?;
    let mut zip = ZipWriter::new(file);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    for name in files_below(folder)? {
        let inside: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
        zip.start_file(inside.join("/"), options)?;
        zip.write_all(&fs::read(folder.join(&name))?)?;
    }
    zip.finish()?.sync_all()?;
    fs::rename(&half, archive)?;
    Ok(fs::metadata(archive)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_written_at_other_times_in_another_order_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, order: [&str; 2]| {
            let source = folder.path().join(name);
            fs::create_dir_all(source.join("b")).unwrap();
            for file in order {
                fs::write(source.join(file), file.repeat(100)).unwrap();
            }
            let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
            File::options().write(true).open(source.join(order[0])).unwrap().set_modified(old).unwrap();
            let archive = folder.path().join(format!("{name}.zip"));
            pack(&source, &archive).unwrap();
            fs::read(archive).unwrap()
        };
        let first = make("first", ["a.js", "b/c.js"]);
        let second = make("second", ["b/c.js", "a.js"]);
        assert!(first.starts_with(b"PK"));
        assert_eq!(first, second);
    }
}
