//! Vulkan on Linux, which the tests of the GPU's path run on: a real GPU's or a software one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::unattended;

/// What [`is_ready`] asks for.
pub const WHAT: &str = "a software Vulkan";
/// The loader, which wgpu opens, and Mesa's lavapipe, which needs no GPU.
pub const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// Where Debian and others put their loader: here, or one folder below for each architecture.
const LIBRARIES: [&str; 4] = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib"];
/// Where the loader looks for drivers.
const DRIVERS: [&str; 2] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
/// Chromium's own software driver, which serves any program.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

/// Whether the loader and a driver are there. Nobody sits in front of a CI's GPU, and the driver of one
/// that is not there answers nothing: it has to be a software driver then.
pub fn is_ready() -> bool {
    // Elsewhere wgpu takes the system's own interface.
    if !cfg!(target_os = "linux") {
        return true;
    }
    let chosen = ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    let wanted = |name: &str| name.starts_with("lvp_icd") || !unattended();
    let driver = || {
        Path::new(SWIFTSHADER).is_file()
            || DRIVERS.iter().any(|folder| has(Path::new(folder), wanted))
    };
    has_loader() && (chosen || driver())
}

fn has(folder: &Path, wanted: impl Fn(&str) -> bool) -> bool {
    names(folder).any(|name| name.ends_with(".json") && wanted(&name))
}

fn has_loader() -> bool {
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(LIBRARIES.map(PathBuf::from));
    let loader = |folder: &Path| folder.join("libvulkan.so.1").is_file();
    folders.into_iter().any(|folder| {
        let mut below = names(&folder).filter(|name| name.contains("-linux-"));
        loader(&folder) || below.any(|name| loader(&folder.join(name)))
    })
}

/// The names in a folder, none where it cannot be read.
fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_told_by_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let lavapipe = |name: &str| name.starts_with("lvp_icd");
        assert!(!has(&dir.path().join("none"), |_| true));
        fs::write(dir.path().join("radeon_icd.x86_64.json"), "").unwrap();
        fs::write(dir.path().join("lvp_icd.txt"), "").unwrap();
        assert!(has(dir.path(), |_| true) && !has(dir.path(), lavapipe));
        fs::write(dir.path().join("lvp_icd.aarch64.json"), "").unwrap();
        assert!(has(dir.path(), lavapipe));
    }
}
