//! How much memory clients may make a node hold by default: what the machine, its cgroups and the
//! limit of the address space leave to this process; and whether a limit that is set is too much for
//! that. Must not know what it is held for.

use std::{fs, path::Path};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// Clients may make the node hold this part of what the process may have. A message is in memory a
/// few times for a moment, and what is given back is not the system's at once.
const PART: u64 = 4;
/// The least, so that a node on a very small machine serves its clients all the same.
const LEAST: u64 = 8 << 20;

/// More than this part of what the process may have is too much.
const TOO_LARGE_PART: u64 = 2;

/// The limit that is configured, or the default of this process. What is too much is logged: an
/// allocation that fails ends the process, and Rust has no stable way to say more of it then.
pub(super) fn of(configured: Option<usize>) -> usize {
    let root = Path::new("/");
    let all = [machine(root), cgroup(root), address_space(root)];
    let available = all.into_iter().flatten().min();
    let limit = configured.unwrap_or_else(|| default_of(available));
    if let Some(available) = available
        && is_too_much(limit, available)
    {
        tracing::warn!(
            memory_limit = limit,
            available,
            "limits.memory_limit is more than half of the bytes that this process may have, and the \
             process would end where there are no more: lower it, or give the process more (the \
             least of the machine's memory, that of its cgroup, and the address space, ulimit -v)"
        );
    }
    limit
}

fn default_of(available: Option<u64>) -> usize {
    let limit = available.map_or(LEAST, |bytes| (bytes / PART).max(LEAST));
    usize::try_from(limit).unwrap_or(usize::MAX / 2)
}

fn is_too_much(limit: usize, available: u64) -> bool {
    limit as u64 > available / TOO_LARGE_PART
}

/// The memory of the machine (proc(5)).
fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The least limit of the cgroup that this process is in and of those that it is nested in
/// (cgroups(7)): `memory.max` of version 2, `memory.limit_in_bytes` of version 1. In a container
/// the path may be that of the host, where only the last of it is to be seen.
fn cgroup(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = text.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let (mount, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return Vec::new();
        };
        let mount = root.join(mount);
        let ancestors = Path::new(path.trim_start_matches('/')).ancestors();
        ancestors
            .filter_map(|group| number(&mount.join(group).join(file)))
            .collect()
    });
    limits.min()
}

/// What a file says, if that is a number.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// What is left of the address space, if that is limited (`ulimit -v`).
fn address_space(root: &Path) -> Option<u64> {
    let (limit, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    if limit == RLIM_INFINITY {
        return None;
    }
    let text = fs::read_to_string(root.join("proc/self/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(limit.saturating_sub(kib * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup_of(own: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [("proc/self/cgroup", own)].iter().chain(files) {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        cgroup(root.path())
    }

    #[test]
    fn the_least_limit_of_all_cgroups_counts() {
        let v2 = "0::/a/b\n";
        let v1 = "12:cpu,cpuacct:/x\n5:memory:/docker/1\n";
        for (own, files, limit) in [
            (v2, &[][..], None),
            (v2, &[("sys/fs/cgroup/a/b/memory.max", "max\n")], None),
            (
                v2,
                &[
                    ("sys/fs/cgroup/a/b/memory.max", "300\n"),
                    ("sys/fs/cgroup/a/memory.max", "200\n"),
                    ("sys/fs/cgroup/c/memory.max", "1\n"),
                ],
                Some(200),
            ),
            // In a container of a host whose path is not to be seen.
            (v2, &[("sys/fs/cgroup/memory.max", "100\n")], Some(100)),
            (
                v1,
                &[
                    (
                        "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
                        "9223372036854771712\n",
                    ),
                    ("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "500\n"),
                    ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1\n"),
                ],
                Some(500),
            ),
            ("nonsense", &[], None),
        ] {
            assert_eq!(cgroup_of(own, files), limit, "{own} {files:?}");
        }
    }

    #[test]
    fn the_default_is_a_quarter_and_never_nothing() {
        assert_eq!(default_of(Some(4 << 30)), 1 << 30);
        assert_eq!(default_of(Some(0)), 8 << 20);
        assert_eq!(default_of(None), 8 << 20);
        assert!(machine(Path::new("/")).is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(of(Some(5)), 5);
        for available in [0, 1 << 24, 1 << 40] {
            let default = default_of(Some(available));
            assert_eq!(is_too_much(default, available), available < 1 << 24);
        }
        assert!(is_too_much(51, 100) && !is_too_much(50, 100));
    }
}
