//! Does the model fit? Asked before the first large allocation.

use crate::Error;
use sam2_checkpoint::config::ModelConfig;

/// Bytes that loading the model and encoding one picture take at most: parameters twice (the file's
/// bytes may be in memory beside them, as in the page) and the largest maps of the first stage.
///
/// Calibrated against measured peaks; see ARCHITECTURE.md.
pub fn need(config: &ModelConfig) -> u64 {
    let parameters = config.num_parameters() * 4;
    let tokens = (config.image_size as u64 / 4).pow(2);
    // qkv of the first stage and of its successor (half the places, twice the width), the map itself,
    // its normalised copy and the output.
    let first_stage = tokens * config.image_encoder.trunk.embed_dim as u64 * 4 * 7;
    2 * parameters + first_stage + (64 << 20)
}

/// Bytes this process may still take: the smaller of what the machine has free and what its cgroup
/// allows; in wasm what is left of 4 GiB. `None` where it cannot be known.
pub fn available() -> Option<u64> {
    #[cfg(target_family = "wasm")]
    {
        let used = core::arch::wasm32::memory_size(0) as u64 * 65_536;
        Some((4u64 << 30).saturating_sub(used))
    }
    #[cfg(not(target_family = "wasm"))]
    {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
        let left = |limit: &str, used: &str| Some(number(limit)?.saturating_sub(number(used)?));
        let cgroup =
            left("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current").or_else(|| {
                left(
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                    "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                )
            });
        let free = read("/proc/meminfo").and_then(|text| {
            let line = text
                .lines()
                .find(|l| l.starts_with("MemAvailable:"))?
                .to_owned();
            Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
        });
        match (cgroup, free) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// # Errors
/// [`Error::OutOfMemory`] with both figures and what to choose instead.
pub fn check(config: &ModelConfig, available: Option<u64>) -> Result<(), Error> {
    let (Some(have), need) = (available, need(config)) else {
        return Ok(());
    };
    if need <= have {
        return Ok(());
    }
    let mut smaller = config.image_size;
    let step = config.image_size_multiple().max(64);
    while smaller > step {
        smaller = (smaller - 1) / step * step;
        let fits = config
            .with_image_size(smaller)
            .is_ok_and(|c| self::need(&c) <= have);
        if fits {
            break;
        }
    }
    let hint = match config
        .with_image_size(smaller)
        .is_ok_and(|c| self::need(&c) <= have)
    {
        true => format!("use a smaller model, or --image-size {smaller}"),
        false => "use a smaller model".to_owned(),
    };
    let what = format!(
        "this model at {} x {}",
        config.image_size, config.image_size
    );
    let mb = |bytes: u64| bytes.div_ceil(1 << 20);
    Err(Error::OutOfMemory {
        what,
        need_mb: mb(need),
        have_mb: have >> 20,
        hint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_checkpoint::config::{Size, Version};

    #[test]
    fn the_error_gives_both_figures_and_a_way_out() {
        let tiny = ModelConfig::official(Size::Tiny, Version::V2_1);
        assert!(check(&tiny, Some(8 << 30)).is_ok());
        assert!(check(&tiny, None).is_ok());
        let error = check(&tiny, Some(500 << 20)).unwrap_err();
        assert_eq!(error.code(), "out_of_memory");
        let text = error.to_string();
        assert!(
            text.contains("500 MB") && text.contains("--image-size"),
            "{text}"
        );
    }

    #[test]
    fn need_grows_with_the_model_and_the_input() {
        let tiny = ModelConfig::official(Size::Tiny, Version::V2_1);
        let large = ModelConfig::official(Size::Large, Version::V2_1);
        assert!(need(&tiny) < need(&large));
        assert!(need(&tiny.with_image_size(512).unwrap()) < need(&tiny));
    }
}
