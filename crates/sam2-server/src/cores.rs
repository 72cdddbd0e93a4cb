//! What of the machine this process may use: cores, CPU quota, memory.
//!
//! A container sees all cores of its host and is throttled to a part of them; as many threads as
//! cores then wait for each other. Linux says what is really there in `/proc` and the cgroup file
//! system (version 1 and 2); elsewhere only the number of cores is known.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What the operating system grants.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Cores that this process may run on (its affinity).
    pub cores: usize,
    /// CPU time per wall time that the cgroup grants, in cores; `None` without a quota.
    pub quota: Option<f64>,
    /// Bytes that the cgroup grants; `None` without a limit.
    pub memory_limit: Option<u64>,
}

impl Machine {
    /// Asks the system.
    pub fn detect() -> Self {
        Self::detect_under(Path::new("/"))
    }

    fn detect_under(root: &Path) -> Self {
        let cores = affinity(root).unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
        });
        Self {
            cores,
            quota: cpu_quota(root),
            memory_limit: cgroup_memory(root),
        }
    }

    /// Threads worth starting: the cores, but no more than the quota pays for, and at least one.
    pub fn threads(&self) -> usize {
        // Rounded down as std does: a thread that is throttled holds up all the others.
        let paid = self.quota.map_or(usize::MAX, |quota| quota as usize);
        self.cores.min(paid).max(1)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cores {}, quota ", self.cores)?;
        match self.quota {
            Some(quota) => write!(f, "{quota:.2}")?,
            None => f.write_str("none")?,
        }
        match self.memory_limit {
            Some(bytes) => write!(
                f,
                ", memory limit {:.1} GiB",
                bytes as f64 / 1_073_741_824.0
            ),
            None => f.write_str(", memory limit none"),
        }
    }
}

/// Threads worth starting on this machine; see [`Machine::threads`].
pub fn available_threads() -> usize {
    Machine::detect().threads()
}

/// Bytes of memory that the cgroup grants; `None` without a limit.
pub fn memory_limit() -> Option<u64> {
    Machine::detect().memory_limit
}

/// The widest SIMD instructions of this processor that the kernels make use of.
pub fn simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            return "avx2";
        }
        "sse2"
    }
    #[cfg(target_arch = "aarch64")]
    {
        "neon"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "none"
    }
}

/// Cores of `Cpus_allowed_list` in `/proc/self/status`, such as `0-3,8`.
fn affinity(root: &Path) -> Option<usize> {
    let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = 0_usize;
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        cores += last.checked_sub(first)? + 1;
    }
    (cores > 0).then_some(cores)
}

fn cpu_quota(root: &Path) -> Option<f64> {
    let v2 = folders(root, None).into_iter().filter_map(|folder| {
        let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        ratio(quota.parse().ok()?, period.parse().ok()?)
    });
    let v1 = folders(root, Some("cpu")).into_iter().filter_map(|folder| {
        let number = |name: &str| -> Option<f64> {
            fs::read_to_string(folder.join(name))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        ratio(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
    });
    v2.chain(v1).min_by(f64::total_cmp)
}

/// The quota in cores; -1 in version 1 means none.
fn ratio(quota: f64, period: f64) -> Option<f64> {
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

fn cgroup_memory(root: &Path) -> Option<u64> {
    /// Version 1 writes "no limit" as the largest whole page.
    const NO_LIMIT: u64 = 1 << 60;
    let read = |folder: PathBuf, name: &str| -> Option<u64> {
        fs::read_to_string(folder.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let v2 = folders(root, None)
        .into_iter()
        .filter_map(|folder| read(folder, "memory.max"));
    let v1 = folders(root, Some("memory"))
        .into_iter()
        .filter_map(|folder| read(folder, "memory.limit_in_bytes"));
    v2.chain(v1).filter(|&bytes| bytes < NO_LIMIT).min()
}

/// The folders whose limits hold for this process: its own cgroup and all those above it.
///
/// `controller` is a version 1 controller, or `None` for version 2. Inside a container the path in
/// `/proc/self/cgroup` may be the host's and not exist; the mount itself then is the cgroup.
fn folders(root: &Path, controller: Option<&str>) -> Vec<PathBuf> {
    let Ok(table) = fs::read_to_string(root.join("proc/self/cgroup")) else {
        return Vec::new();
    };
    let own = table.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match controller {
            None => id == "0" && controllers.is_empty(),
            Some(name) => controllers.split(',').any(|one| one == name),
        };
        ours.then(|| path.to_owned())
    });
    let Some(own) = own else { return Vec::new() };
    let mut mount = root.join("sys/fs/cgroup");
    if let Some(controller) = controller {
        mount.push(controller);
    }
    let mut folders = vec![mount.clone()];
    for part in own
        .split('/')
        .filter(|part| !part.is_empty() && *part != "..")
    {
        mount.push(part);
        if mount.is_dir() {
            folders.push(mount.clone());
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with the given files, so that limits other than this machine's can be read.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn version_2_takes_the_tightest_limit_on_the_way_up() {
        let root = root(&[
            ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-3,8\n"),
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/cpu.max", "250000 100000\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.max", "2147483648\n"),
        ]);
        let machine = Machine::detect_under(root.path());
        let expected = Machine {
            cores: 5,
            quota: Some(2.5),
            memory_limit: Some(2 << 30),
        };
        assert_eq!(machine, expected);
        assert_eq!(machine.threads(), 2);
        assert_eq!(
            machine.to_string(),
            "cores 5, quota 2.50, memory limit 2.0 GiB"
        );
    }

    #[test]
    fn version_1_inside_a_container_reads_the_mount() {
        let root = root(&[
            ("proc/self/status", "Cpus_allowed_list:\t0-7\n"),
            (
                "proc/self/cgroup",
                "5:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
            ),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
        ]);
        let machine = Machine::detect_under(root.path());
        let expected = Machine {
            cores: 8,
            quota: Some(0.5),
            memory_limit: Some(1 << 30),
        };
        assert_eq!(machine, expected);
        assert_eq!(machine.threads(), 1, "half a core still needs a thread");
    }

    #[test]
    fn no_limits_are_no_limits() {
        let root = root(&[
            ("proc/self/status", "Cpus_allowed_list:\t2\n"),
            ("proc/self/cgroup", "4:memory:/\n3:cpu:/\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ]);
        let machine = Machine::detect_under(root.path());
        assert_eq!(
            machine,
            Machine {
                cores: 1,
                quota: None,
                memory_limit: None
            }
        );
        assert_eq!(
            machine.to_string(),
            "cores 1, quota none, memory limit none"
        );
    }

    #[test]
    fn this_machine_has_at_least_one_thread() {
        let root = root(&[]);
        assert!(
            Machine::detect_under(root.path()).threads() >= 1,
            "no /proc at all"
        );
        let machine = Machine::detect();
        assert!(
            (1..=machine.cores).contains(&machine.threads()),
            "{machine:?}"
        );
    }
}
