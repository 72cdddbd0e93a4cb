//! Choosing among the precompressed files that lie beside a file.

/// A compression that the page is packaged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Brotli,
    Gzip,
}

impl Encoding {
    /// Best first.
    pub const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// The name in `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The extension of the file that lies beside the plain one.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }
}

/// The best of `offered` that the `Accept-Encoding` header takes (RFC 9110, 12.5.3); `None` is the
/// plain file, which is also the answer to a header that refuses everything.
pub fn choose(header: Option<&str>, offered: &[Encoding]) -> Option<Encoding> {
    let header = header?;
    let mut best: Option<(u16, Encoding)> = None;
    for &encoding in offered {
        let quality = quality(header, encoding.token());
        // Strictly better only: `offered` is in order of size.
        if quality > 0 && best.is_none_or(|(other, _)| quality > other) {
            best = Some((quality, encoding));
        }
    }
    // A client that says it would rather have the plain file gets it; without a word about it,
    // "identity" only counts as acceptable.
    let identity = named_quality(header, "identity").unwrap_or(0);
    best.filter(|(quality, _)| *quality >= identity)
        .map(|(_, encoding)| encoding)
}

/// The weight of a coding in thousandths, by its name or else by `*`.
fn quality(header: &str, token: &str) -> u16 {
    named_quality(header, token)
        .or_else(|| named_quality(header, "*"))
        .unwrap_or(0)
}

fn named_quality(header: &str, token: &str) -> Option<u16> {
    header.split(',').find_map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next()?;
        let same = name.eq_ignore_ascii_case(token)
            || (token == "gzip" && name.eq_ignore_ascii_case("x-gzip"));
        same.then(|| {
            parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1000, thousandths)
        })
    })
}

/// A weight that cannot be read is no consent.
fn thousandths(text: &str) -> u16 {
    match text.trim().parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_decide_and_brotli_wins_a_tie() {
        use Encoding::{Brotli, Gzip};
        for (header, expected) in [
            ("gzip, deflate, br, zstd", Some(Brotli)),
            ("gzip", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("br;q=0.5, gzip;q=0.9", Some(Gzip)),
            ("br;q=0, gzip", Some(Gzip)),
            ("br;q=0,gzip;q=0.000", None),
            ("*", Some(Brotli)),
            ("*;q=0.1, br;q=0", Some(Gzip)),
            ("identity", None),
            ("identity;q=1, br;q=0.5", None),
            ("identity;q=0.5, br", Some(Brotli)),
            ("br;q=nonsense", None),
            ("brotli", None),
            ("", None),
        ] {
            assert_eq!(choose(Some(header), &Encoding::ALL), expected, "{header}");
        }
        assert_eq!(choose(None, &Encoding::ALL), None);
        assert_eq!(choose(Some("br, gzip"), &[Gzip]), Some(Gzip));
        assert_eq!(choose(Some("br, gzip"), &[]), None);
    }
}
