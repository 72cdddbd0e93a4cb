//! Validators and preconditions of RFC 9110, section 13.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::encoding::Encoding;

/// What identifies one representation of a file: its bytes as sent, compressed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    /// A strong tag in quotes: it names the size, the time to the nanosecond and the encoding, so
    /// that two representations never share one.
    pub etag: String,
    /// Whole seconds, as HTTP dates are.
    pub modified: Option<SystemTime>,
}

impl Validators {
    pub fn new(size: u64, modified: Option<SystemTime>, encoding: Option<Encoding>) -> Self {
        let since_epoch = modified
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        let suffix = encoding.map_or_else(String::new, |one| format!("-{}", one.token()));
        Self {
            etag: format!("\"{size:x}-{:x}{suffix}\"", since_epoch.as_nanos()),
            modified: modified
                .is_some()
                .then(|| UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs())),
        }
    }
}

/// The conditional headers of a request; each `None` when absent or not text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions<'a> {
    pub if_match: Option<&'a str>,
    pub if_none_match: Option<&'a str>,
    pub if_modified_since: Option<&'a str>,
    pub if_unmodified_since: Option<&'a str>,
    pub if_range: Option<&'a str>,
}

/// What the conditions make of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Send,
    NotModified,
    PreconditionFailed,
}

impl Conditions<'_> {
    /// The order of evaluation is that of section 13.2.2.
    pub fn evaluate(&self, file: &Validators) -> Verdict {
        if let Some(tags) = self.if_match {
            if !any_tag(tags, |tag| tag == file.etag) {
                return Verdict::PreconditionFailed;
            }
        } else if let Some(date) = self.if_unmodified_since.and_then(date)
            && file.modified.is_some_and(|modified| modified > date)
        {
            return Verdict::PreconditionFailed;
        }
        if let Some(tags) = self.if_none_match {
            // Weak comparison: a proxy that compresses by itself weakens our tag.
            if any_tag(tags, |tag| {
                tag.strip_prefix("W/").unwrap_or(tag) == file.etag
            }) {
                return Verdict::NotModified;
            }
        } else if let Some(date) = self.if_modified_since.and_then(date)
            && file.modified.is_some_and(|modified| modified <= date)
        {
            return Verdict::NotModified;
        }
        Verdict::Send
    }

    /// Whether a `Range` of the file may be sent: `If-Range` is absent or names exactly this
    /// representation. Otherwise the client's part is of something else and it needs the whole.
    pub fn range_applies(&self, file: &Validators) -> bool {
        let Some(condition) = self.if_range else {
            return true;
        };
        let condition = condition.trim();
        if condition.starts_with('"') || condition.starts_with("W/") {
            return condition == file.etag;
        }
        date(condition).is_some_and(|date| file.modified == Some(date))
    }
}

/// Whether `matches` holds for one tag of a list; `*` stands for any.
fn any_tag(list: &str, matches: impl Fn(&str) -> bool) -> bool {
    // Our tags hold no comma, so splitting there cannot cut one that would match.
    list.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || matches(tag))
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Validators {
        Validators::new(10, Some(UNIX_EPOCH + Duration::new(1_700_000_000, 5)), None)
    }

    /// The time of `file()` and one second to either side.
    const NOW: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const EARLIER: &str = "Tue, 14 Nov 2023 22:13:19 GMT";

    #[test]
    fn size_time_and_encoding_each_change_the_tag() {
        let time = Some(UNIX_EPOCH + Duration::new(1_700_000_000, 5));
        let tags = [
            file().etag,
            Validators::new(11, time, None).etag,
            Validators::new(10, time.map(|t| t + Duration::from_nanos(1)), None).etag,
            Validators::new(10, time, Some(Encoding::Brotli)).etag,
            Validators::new(10, time, Some(Encoding::Gzip)).etag,
        ];
        for (index, tag) in tags.iter().enumerate() {
            assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
            assert!(!tags[..index].contains(tag), "{tag} twice");
        }
    }

    #[test]
    fn if_none_match_compares_weakly_and_wins_over_the_date() {
        let file = file();
        let evaluate = |tags: &str| {
            let conditions = Conditions {
                if_none_match: Some(tags),
                if_modified_since: Some(NOW),
                ..Conditions::default()
            };
            conditions.evaluate(&file)
        };
        assert_eq!(evaluate(&file.etag), Verdict::NotModified);
        assert_eq!(
            evaluate(&format!("\"x\", W/{}", file.etag)),
            Verdict::NotModified
        );
        assert_eq!(evaluate("*"), Verdict::NotModified);
        assert_eq!(
            evaluate("\"other\""),
            Verdict::Send,
            "though the date alone would match"
        );
    }

    #[test]
    fn dates_are_compared_in_whole_seconds() {
        let file = file();
        let since = |date| Conditions {
            if_modified_since: Some(date),
            ..Conditions::default()
        };
        assert_eq!(since(NOW).evaluate(&file), Verdict::NotModified);
        assert_eq!(since(EARLIER).evaluate(&file), Verdict::Send);
        assert_eq!(since("yesterday").evaluate(&file), Verdict::Send);
        let unless = |date| Conditions {
            if_unmodified_since: Some(date),
            ..Conditions::default()
        };
        assert_eq!(unless(NOW).evaluate(&file), Verdict::Send);
        assert_eq!(unless(EARLIER).evaluate(&file), Verdict::PreconditionFailed);
    }

    #[test]
    fn if_match_compares_strongly() {
        let file = file();
        let only = |tags| Conditions {
            if_match: Some(tags),
            ..Conditions::default()
        };
        assert_eq!(only(file.etag.as_str()).evaluate(&file), Verdict::Send);
        assert_eq!(only("*").evaluate(&file), Verdict::Send);
        let weak = format!("W/{}", file.etag);
        assert_eq!(
            only(weak.as_str()).evaluate(&file),
            Verdict::PreconditionFailed
        );
    }

    #[test]
    fn if_range_needs_exactly_this_representation() {
        let file = file();
        let when = |condition| Conditions {
            if_range: Some(condition),
            ..Conditions::default()
        };
        assert!(Conditions::default().range_applies(&file));
        assert!(when(file.etag.as_str()).range_applies(&file));
        assert!(when(NOW).range_applies(&file));
        let brotli = Validators::new(10, file.modified, Some(Encoding::Brotli)).etag;
        for condition in [brotli.as_str(), EARLIER, "nonsense", "\"\""] {
            assert!(!when(condition).range_applies(&file), "{condition}");
        }
        assert!(!when(format!("W/{}", file.etag).as_str()).range_applies(&file));
    }
}
