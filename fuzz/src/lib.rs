//! Fuzz targets: one function per kind of input that somebody else wrote. Each takes any bytes and panics when a property is
//! broken; that the product itself does not panic is only the first of them. What a target promises stands in its file.
//!
//! `examples/ticketgate-fuzz.rs` hands them to libFuzzer (`cargo xtask fuzz`), `tests/corpus.rs` replays the kept inputs on any machine.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a target panics where a property is broken: that is how it tells"
)]

mod config;
mod facts;
mod frame;
mod graph;
mod ldap;
mod ledger;
mod local;
mod memory;
mod page;
mod request;
mod rules;

use std::path::PathBuf;

pub use memory::Counting;

/// One kind of input.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Runs it once.
    pub run: fn(&[u8]),
    /// The longest input worth trying, in bytes.
    pub longest: usize,
    /// The most memory that one input may take at once, in bytes: a fixed part, and one per byte of input.
    pub memory: (usize, usize),
    /// Folders and files of the repository that are inputs as they stand.
    pub seeds: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "frame", run: frame::run, longest: 4096, memory: (1 << 20, 300), seeds: &[] },
    Target {
        name: "request",
        run: request::run,
        longest: 4096,
        memory: (1 << 20, 300),
        seeds: &["protocol/golden"],
    },
    Target { name: "rules", run: rules::run, longest: 6000, memory: (128 << 20, 0), seeds: &["wasm/rules"] },
    Target {
        name: "page",
        run: page::run,
        longest: 4096,
        memory: (128 << 20, 0),
        seeds: &["wasm/tests/fixtures/pages"],
    },
    Target { name: "facts", run: facts::run, longest: 4096, memory: (16 << 20, 300), seeds: &[] },
    Target {
        name: "config",
        run: config::run,
        longest: 4096,
        memory: (4 << 20, 2000),
        seeds: &["native-host/example.toml"],
    },
    Target { name: "ledger", run: ledger::run, longest: 512, memory: (64 << 20, 0), seeds: &[] },
    Target { name: "local", run: local::run, longest: 4096, memory: (4 << 20, 2000), seeds: &[] },
    Target { name: "graph", run: graph::run, longest: 4096, memory: (4 << 20, 3000), seeds: &[] },
    Target { name: "ldap", run: ldap::run, longest: 2048, memory: (4 << 20, 2000), seeds: &[] },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The LDAP crate's panics, which the product has to catch, are not told, and so cost no memory for their story.
pub fn quieten() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let theirs = |place: &std::panic::Location<'_>| {
            place.file().contains("/ldap3-") || place.file().contains("/lber")
        };
        if !panic.location().is_some_and(theirs) {
            tell(panic);
        }
    }));
}

impl Target {
    /// Runs it once and holds it to its memory.
    pub fn check(&self, data: &[u8]) {
        let (fixed, each) = self.memory;
        let most = memory::most_during(|| (self.run)(data));
        assert!(
            most <= fixed + each * data.len(),
            "{} bytes of input took {most} bytes of memory",
            data.len()
        );
    }

    /// The kept inputs: the corpus, and what the repository has anyway.
    #[must_use]
    pub fn inputs(&self) -> Vec<PathBuf> {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let mut inputs = Vec::new();
        for place in std::iter::once(format!("fuzz/corpus/{}", self.name))
            .chain(self.seeds.iter().map(|s| (*s).to_owned()))
        {
            let place = root.join(place);
            match std::fs::read_dir(&place) {
                Ok(folder) => {
                    inputs.extend(folder.flatten().map(|entry| entry.path()).filter(|path| path.is_file()));
                }
                Err(_) => inputs.push(place),
            }
        }
        inputs.sort();
        inputs
    }
}
