//! What the chores need beside rustup's cargo: package names of Debian 12, each group with its reason. A table only.

use clap::ValueEnum;

use crate::cargo::{WASM, WINDOWS};

/// What the machine is made ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// Binary and extension
    Build,
    /// Everything but Wine and containers: build, lint for every target, all tests
    Test,
    /// Build, and the systems that the demo plays on
    Demo,
    /// The Windows binary
    Windows,
    /// The Windows binary's own tests
    Wine,
    /// The container's own test
    Container,
    /// The fuzzer
    Fuzz,
}

impl Purpose {
    /// As typed on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Test => "test",
            Self::Demo => "demo",
            Self::Windows => "windows",
            Self::Wine => "wine",
            Self::Container => "container",
            Self::Fuzz => "fuzz",
        }
    }

    /// Whether being ready for this purpose includes being ready for another.
    pub(crate) fn covers(self, other: Self) -> bool {
        match self {
            // Wine's files are as large as all the rest, and not every machine runs containers.
            Self::Test => !matches!(other, Self::Wine | Self::Container),
            Self::Demo => matches!(other, Self::Demo | Self::Build),
            Self::Build | Self::Windows | Self::Wine | Self::Container | Self::Fuzz => self == other,
        }
    }
}

/// A group of packages with one reason.
pub(crate) struct Need {
    pub name: &'static str,
    pub why: &'static str,
    pub packages: &'static [Package],
    /// Not needed where the Rust toolchain in use has this target itself.
    pub unless_target: Option<&'static str>,
    /// The narrowest purposes that need it.
    purposes: &'static [Purpose],
}

/// A package of Debian 12.
pub(crate) struct Package {
    pub name: &'static str,
    /// A program that does as well, wherever it came from.
    pub or_program: Option<&'static str>,
}

const fn package(name: &'static str) -> Package {
    Package { name, or_program: None }
}

const fn program(name: &'static str, program: &'static str) -> Package {
    Package { name, or_program: Some(program) }
}

/// Debian's second Rust: compiler, cargo, source of the standard library, linker, clippy. It stays beside rustup's.
const WEB_TOOLCHAIN: [Package; 6] = [
    package("rustc-web"),
    package("cargo-web"),
    package("rust-web-src"),
    package("rust-web-llvm"),
    package("lld-22"),
    package("rust-web-clippy"),
];

/// All groups.
const NEEDS: [Need; 16] = [
    Need {
        name: "WASM toolchain",
        why: "compiles the extension's core; spared by `rustup target add wasm32-unknown-unknown`",
        packages: &WEB_TOOLCHAIN,
        unless_target: Some(WASM),
        purposes: &[Purpose::Build],
    },
    Need {
        name: "browser",
        why: "the real Chromium that tests and demo drive, with a font for its pages",
        packages: &[program("chromium", "chromium"), package("fonts-dejavu-core")],
        unless_target: None,
        purposes: &[Purpose::Demo],
    },
    Need {
        name: "directory",
        why: "private Samba Active Directory domain controllers on loopback, with certificates and a movable clock",
        packages: &[
            package("samba"),
            package("samba-dsdb-modules"),
            package("samba-ad-provision"),
            program("openssl", "openssl"),
            program("faketime", "faketime"),
        ],
        unless_target: None,
        purposes: &[Purpose::Demo],
    },
    Need {
        name: "Debian package",
        why: "packs broker and relay, and names the packages of the libraries that they are linked with",
        packages: &[program("dpkg-dev", "dpkg-shlibdeps")],
        unless_target: None,
        purposes: &[Purpose::Test],
    },
    Need {
        name: "local accounts",
        why: "accounts, sudo rules, processes and SSH servers in machines of the tests' own (namespaces over this machine's files)",
        packages: &[
            package("sudo"),
            package("passwd"),
            package("libnss-systemd"),
            package("openssh-server"),
            program("openssh-client", "ssh"),
            program("iproute2", "ip"),
            program("util-linux", "unshare"),
            program("procps", "pkill"),
        ],
        unless_target: None,
        purposes: &[Purpose::Demo],
    },
    Need {
        name: "team's wire",
        why: "servers of a team on hosts of their own, and a wire between them that can be cut",
        packages: &[program("nftables", "nft"), program("iproute2", "ip"), program("util-linux", "unshare")],
        unless_target: None,
        purposes: &[Purpose::Test],
    },
    Need {
        name: "ticket system",
        why: "a private Request Tracker with its own SQLite file",
        packages: &[package("request-tracker5"), package("rt5-db-sqlite"), package("rt5-standalone")],
        unless_target: None,
        purposes: &[Purpose::Demo],
    },
    Need {
        name: "database",
        why: "private PostgreSQL servers, one with a standby, for the ledger of several brokers; and pgbench to measure it against",
        packages: &[package("postgresql")],
        unless_target: None,
        purposes: &[Purpose::Test],
    },
    Need {
        name: "key store",
        why: "a desktop's key store, as a place of directories' passwords",
        packages: &[package("gnome-keyring")],
        unless_target: None,
        purposes: &[Purpose::Test],
    },
    Need {
        name: "display",
        why: "a display, clipboard and message bus of their own, so that nobody's desktop is touched",
        packages: &[program("xvfb", "Xvfb"), program("xclip", "xclip"), program("dbus", "dbus-daemon")],
        unless_target: None,
        purposes: &[Purpose::Demo],
    },
    Need {
        name: "Windows C compiler",
        why: "C parts and linking of the Windows binary",
        packages: &[program("gcc-mingw-w64-x86-64-win32", "x86_64-w64-mingw32-gcc")],
        unless_target: None,
        purposes: &[Purpose::Windows],
    },
    Need {
        name: "Windows toolchain",
        why: "compiles for Windows; spared by `rustup target add x86_64-pc-windows-gnu`",
        packages: &WEB_TOOLCHAIN,
        unless_target: Some(WINDOWS),
        purposes: &[Purpose::Windows],
    },
    Need {
        name: "Wine",
        why: "runs the Windows binary for `cargo xtask test --windows`",
        packages: &[package("wine"), package("wine64")],
        unless_target: None,
        purposes: &[Purpose::Wine],
    },
    Need {
        name: "container engine",
        why: "builds and runs the team's container for `cargo xtask test --container`, on a base of Debian's packages",
        packages: &[
            program("podman", "podman"),
            program("runc", "runc"),
            program("mmdebstrap", "mmdebstrap"),
            program("openssl", "openssl"),
            program("curl", "curl"),
        ],
        unless_target: None,
        purposes: &[Purpose::Container],
    },
    Need {
        name: "C++ compiler",
        why: "libFuzzer, which searches for inputs that break the readers",
        packages: &[program("g++", "g++")],
        unless_target: None,
        purposes: &[Purpose::Fuzz],
    },
    Need {
        name: "Node.js",
        why: "runs the type checker of the extension's JavaScript, the optimiser of its WASM, the proxy that holds tests \
and the demo's stand-in tenants to vendors' API descriptions, and the OpenID provider that they sign in to (all go to target/npm)",
        packages: &[program("nodejs", "node"), program("npm", "npm")],
        unless_target: None,
        purposes: &[Purpose::Demo],
    },
];

/// The groups that a purpose needs.
pub(crate) fn needs(purpose: Purpose) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(move |need| need.purposes.iter().any(|needed| purpose.covers(*needed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(purpose: Purpose) -> Vec<&'static str> {
        needs(purpose).map(|need| need.name).collect()
    }

    #[test]
    fn tests_need_every_group_but_wine_and_containers() {
        assert_eq!(names(Purpose::Test).len(), NEEDS.len() - 2);
        assert_eq!(names(Purpose::Wine), ["Wine"]);
        assert_eq!(names(Purpose::Container), ["container engine"]);
    }

    #[test]
    fn a_build_needs_neither_browser_nor_directory() {
        assert_eq!(names(Purpose::Build), ["WASM toolchain"]);
    }

    #[test]
    fn the_demo_needs_its_build_but_no_windows_compiler() {
        let demo = names(Purpose::Demo);
        assert!(demo.contains(&"WASM toolchain") && demo.contains(&"ticket system"));
        assert!(!demo.iter().any(|name| name.starts_with("Windows")), "{demo:?}");
    }
}
