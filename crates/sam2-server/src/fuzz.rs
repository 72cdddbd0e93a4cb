//! Hostile headers and paths (tests/trust/FUZZ.md).

#[path = "../../../tests/src/fuzz.rs"]
mod harness;

use crate::encoding::{self, Encoding};
use crate::range::{self, Ranged};
use crate::resolve::Roots;
use harness::{Fuzz, ending};

#[test]
fn ranges() {
    Fuzz {
        name: "HTTP ranges",
        seeds: [
            "bytes=0-99",
            "bytes=100-",
            "bytes=-5",
            "bytes=0-0,5-9",
            "bytes = 1 - 2",
            "items=1-2",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec(),
        words: &[
            b"bytes=",
            b"-",
            b",",
            b" ",
            b"18446744073709551615",
            b"99999999999999999999",
            b"\t",
        ],
        cases: 20_000,
        most_mb: 64,
        most_bytes: 512,
    }
    .run(|bytes| {
        let header = String::from_utf8_lossy(bytes);
        let mut kinds = 0;
        for size in [0, 1, 100, u64::MAX] {
            kinds = kinds * 3
                + match range::parse(&header, size) {
                    Ranged::Whole => 0,
                    Ranged::Unsatisfiable => 1,
                    Ranged::Part { start, length } => {
                        let end = start.checked_add(length);
                        assert!(length > 0 && end.is_some_and(|end| end <= size), "{header}");
                        2
                    }
                };
        }
        kinds
    });
}

#[test]
fn accepted_encodings() {
    Fuzz {
        name: "Accept-Encoding",
        seeds: ["gzip, br;q=0.5", "*;q=0", "identity;q=1.000, gzip;q=0.001"]
            .map(|text| text.as_bytes().to_vec())
            .to_vec(),
        words: &[b";q=", b"br", b"gzip", b"*", b"identity", b"0.", b"1e9"],
        cases: 10_000,
        most_mb: 64,
        most_bytes: 512,
    }
    .run(|bytes| {
        let header = String::from_utf8_lossy(bytes);
        let offered = [Encoding::Brotli, Encoding::Gzip];
        match encoding::choose(Some(&header), &offered) {
            None => 0,
            Some(Encoding::Brotli) => 1,
            Some(Encoding::Gzip) => 2,
        }
    });
}

#[test]
fn paths_never_leave_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let web = root.path().join("web");
    std::fs::create_dir_all(web.join("a/b")).unwrap();
    for (name, text) in [
        ("index.html", "page"),
        ("a/b/c.js", "page"),
        ("../secret", "secret"),
    ] {
        std::fs::write(web.join(name), text).unwrap();
    }
    let site = Roots::new(&web, &web.join("models"), false).unwrap();
    Fuzz {
        name: "paths",
        seeds: [
            "/",
            "/index.html",
            "/a/b/c.js",
            "/a/%2e%2e/index.html",
            "/..%2fsecret",
            "/%00",
            "/a//b/",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec(),
        words: &[
            b"..", b"/", b"%2e", b"%2f", b"%5c", b"%00", b"\\", b"secret", b"%252e", b"~", b"C:",
        ],
        cases: 5_000,
        most_mb: 64,
        most_bytes: 2048,
    }
    .run(|bytes| {
        let path = String::from_utf8_lossy(bytes);
        match site.open(&path) {
            Err(error) => ending(&error.to_string()),
            Ok(_) => {
                assert!(!path.contains("secret"), "{path}");
                1
            }
        }
    });
}
