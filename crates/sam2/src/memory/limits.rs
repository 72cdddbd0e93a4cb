//! What Linux lets this process take: free memory, cgroups of both versions, `ulimit -v`. Elsewhere
//! none of these files exist and nothing is known.

use std::fs;
use std::path::{Path, PathBuf};

/// The least of all limits, as files below `root` tell them.
pub(super) fn available(root: &Path) -> Option<u64> {
    [free(root), cgroups(root), address_space(root)]
        .into_iter()
        .flatten()
        .min()
}

/// `MemAvailable`.
fn free(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    kib(&text, "MemAvailable:")
}

/// A line such as `VmSize:   1234 kB`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// What the tightest of the cgroups that hold for this process leaves.
fn cgroups(root: &Path) -> Option<u64> {
    let table = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let base = root.join("sys/fs/cgroup");
    let lines = table.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        match controllers {
            "" => Some((base.clone(), path, ["memory.max", "memory.current"])),
            list if list.split(',').any(|one| one == "memory") => {
                let names = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
                Some((base.join("memory"), path, names))
            }
            _ => None,
        }
    });
    let left = |(mount, path, names): (PathBuf, &str, [&str; 2])| {
        // In a container the path may be the host's: the mount itself is then the cgroup.
        let parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != "..");
        let own = parts.scan(mount.clone(), |folder, part| {
            folder.push(part);
            Some(folder.clone())
        });
        let folders: Vec<PathBuf> = [mount].into_iter().chain(own).collect();
        let left = folders.iter().filter_map(move |folder| {
            let number = |name: &str| -> Option<u64> {
                fs::read_to_string(folder.join(name))
                    .ok()?
                    .trim()
                    .parse()
                    .ok()
            };
            Some(number(names[0])?.saturating_sub(number(names[1])?))
        });
        left.min()
    };
    lines.filter_map(left).min()
}

/// What `ulimit -v` leaves.
fn address_space(root: &Path) -> Option<u64> {
    let limits = fs::read_to_string(root.join("proc/self/limits")).ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
    Some(limit.saturating_sub(kib(&status, "VmSize:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    const FREE: (&str, &str) = (
        "proc/meminfo",
        "MemTotal: 9000 kB\nMemAvailable:   4000 kB\n",
    );

    #[test]
    fn the_least_limit_counts() {
        let dir = root(&[FREE]);
        assert_eq!(available(dir.path()), Some(4000 << 10));
        let limits = (
            "proc/self/limits",
            "Max address space  3072000  unlimited  bytes\n",
        );
        let status = ("proc/self/status", "VmSize:\t 1000 kB\n");
        let dir = root(&[FREE, limits, status]);
        assert_eq!(available(dir.path()), Some(2000 << 10));
        let cgroup = ("proc/self/cgroup", "0::/a/b\n");
        let max = ("sys/fs/cgroup/a/memory.max", "1000000\n");
        let used = ("sys/fs/cgroup/a/memory.current", "400000\n");
        let own = ("sys/fs/cgroup/a/b/memory.max", "max\n");
        let dir = root(&[FREE, limits, status, cgroup, max, used, own]);
        assert_eq!(available(dir.path()), Some(600_000));
    }

    #[test]
    fn version_1_and_no_limits() {
        let cgroup = ("proc/self/cgroup", "4:memory:/x\n0::/\n");
        let max = ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "700000\n");
        let used = ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "100000\n");
        let dir = root(&[FREE, cgroup, max, used]);
        assert_eq!(available(dir.path()), Some(600_000));
        let unlimited = (
            "proc/self/limits",
            "Max address space  unlimited  unlimited  bytes\n",
        );
        let dir = root(&[FREE, unlimited]);
        assert_eq!(available(dir.path()), Some(4000 << 10));
        assert_eq!(available(root(&[]).path()), None);
    }
}
