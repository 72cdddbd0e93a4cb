//! The media type of a file by its extension, and whether its name allows caching for ever.

/// The `Content-Type` for a file name.
///
/// Module scripts and wasm are refused by browsers under a wrong type (with `nosniff`, everything
/// else is too), so what is not listed here is plain bytes.
pub fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "woff2" => "font/woff2",
        "md" => "text/markdown; charset=utf-8",
        "txt" | "ts" | "yaml" | "yml" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Whether the name carries a hash of its contents, as in `name.<8 or more hex digits>.ext`: the
/// bytes under such a name never change.
pub fn named_by_contents(name: &str) -> bool {
    let mut parts = name.split('.').rev();
    let (Some(_extension), Some(hash)) = (parts.next(), parts.next()) else {
        return false;
    };
    // Something must stand before the hash, or "deadbeef.js" would be one.
    parts.next().is_some_and(|stem| !stem.is_empty())
        && (8..=64).contains(&hash.len())
        && hash
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_browsers_insist_on() {
        for (name, expected) in [
            ("sam2_wasm_bg.0123456789abcdef.wasm", "application/wasm"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("worker.mjs", "text/javascript; charset=utf-8"),
            ("index.HTML", "text/html; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("manifest.json", "application/json"),
            ("icon.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("nano.safetensors", "application/octet-stream"),
            ("tiny.pt", "application/octet-stream"),
            ("LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }

    #[test]
    fn only_a_hash_before_the_extension_is_for_ever() {
        for name in ["a.01234567.js", "sam2_wasm_bg.0123456789abcdef.wasm"] {
            assert!(named_by_contents(name), "{name}");
        }
        for name in [
            "a.js",
            "a.0123456.js",
            "a.0123456g.js",
            "deadbeef.js",
            ".deadbeef.js",
            "a",
        ] {
            assert!(!named_by_contents(name), "{name}");
        }
    }
}
