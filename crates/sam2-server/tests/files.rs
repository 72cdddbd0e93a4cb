//! Files over real HTTP: ranges, validators, encodings, and what is refused.

mod common;

use common::{Running, model_bytes};

const MODEL: &str = "/models/nano.safetensors";

#[test]
fn ranges_are_served_from_the_file() {
    let server = Running::start();
    let bytes = model_bytes();
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=990-", 990, 999),
        ("bytes=-5", 995, 999),
        ("bytes=-5000", 0, 999),
        ("bytes=500-5000", 500, 999),
    ] {
        let answer = server.get_with(MODEL, &[("Range", range)]);
        assert_eq!(answer.status, 206, "{range}");
        let expected = format!("bytes {first}-{last}/1000");
        assert_eq!(
            answer.header("content-range"),
            Some(expected.as_str()),
            "{range}"
        );
        assert_eq!(
            answer.header("content-length"),
            Some((last - first + 1).to_string().as_str())
        );
        assert_eq!(answer.body, bytes[first..=last], "{range}");
    }
    // What is not one well-formed range of bytes gets the whole file.
    for range in [
        "bytes=0-1,5-6",
        "bytes=5-2",
        "bytes=x-",
        "bytes",
        "lines=0-1",
    ] {
        let answer = server.get_with(MODEL, &[("Range", range)]);
        assert_eq!((answer.status, answer.body.len()), (200, 1000), "{range}");
        assert_eq!(answer.header("content-range"), None);
    }
    for range in ["bytes=1000-", "bytes=4000-5000", "bytes=-0"] {
        let answer = server.get_with(MODEL, &[("Range", range)]);
        answer.assert_problem(416, "range_not_satisfiable");
        assert_eq!(
            answer.header("content-range"),
            Some("bytes */1000"),
            "{range}"
        );
    }
    let whole = server.get(MODEL);
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(
        whole.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(whole.body, bytes);
}

#[test]
fn a_download_resumes_only_on_the_same_file() {
    let server = Running::start();
    let etag = server.get(MODEL).header("etag").unwrap().to_owned();
    let resume = |condition: &str| {
        server
            .get_with(MODEL, &[("Range", "bytes=900-"), ("If-Range", condition)])
            .status
    };
    assert_eq!(resume(&etag), 206);
    assert_eq!(resume("\"other\""), 200);
    assert_eq!(resume(&format!("W/{etag}")), 200);
    std::fs::write(
        server.folder.path().join("models/nano.safetensors"),
        vec![1; 2000],
    )
    .unwrap();
    assert_eq!(resume(&etag), 200, "the file changed");
}

#[test]
fn validators_spare_the_second_transfer() {
    let server = Running::start();
    let first = server.get("/index.html");
    let etag = first.header("etag").unwrap();
    let modified = first.header("last-modified").unwrap();
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    for (name, value) in [("If-None-Match", etag), ("If-Modified-Since", modified)] {
        let again = server.get_with("/index.html", &[(name, value)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{name}");
        assert_eq!(again.header("etag"), Some(etag));
    }
    assert_eq!(
        server
            .get_with("/index.html", &[("If-None-Match", "\"x\"")])
            .status,
        200
    );
    server
        .get_with("/index.html", &[("If-Match", "\"x\"")])
        .assert_problem(412, "precondition_failed");
    // 304 comes before 206 and 416.
    let both = [("If-None-Match", etag), ("Range", "bytes=9999-")];
    assert_eq!(server.get_with("/index.html", &both).status, 304);
}

#[test]
fn compressed_siblings_are_chosen_and_never_cut() {
    let server = Running::start();
    let path = "/app/main.js";
    let fetch = |headers: &[(&str, &str)]| server.get_with(path, headers);
    let plain = fetch(&[]);
    let brotli = fetch(&[("Accept-Encoding", "gzip, br")]);
    let gzip = fetch(&[("Accept-Encoding", "gzip, br;q=0")]);
    for (answer, encoding, body) in [
        (&plain, None, "console.log('plain');"),
        (&brotli, Some("br"), "brotli bytes"),
        (&gzip, Some("gzip"), "gzip bytes!"),
    ] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(String::from_utf8_lossy(&answer.body), body);
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        assert_eq!(
            answer.header("content-type"),
            Some("text/javascript; charset=utf-8")
        );
    }
    assert_ne!(plain.header("etag"), brotli.header("etag"));
    assert_ne!(gzip.header("etag"), brotli.header("etag"));

    let part = fetch(&[("Accept-Encoding", "br"), ("Range", "bytes=0-6")]);
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-encoding"), None);
    assert_eq!(part.header("etag"), plain.header("etag"));
    assert_eq!(part.body, b"console");
    // The tag of the compressed file does not resume the plain one: all of it, compressed.
    let tag = brotli.header("etag").unwrap();
    let restart = fetch(&[
        ("Accept-Encoding", "br"),
        ("Range", "bytes=2-"),
        ("If-Range", tag),
    ]);
    assert_eq!(
        (restart.status, restart.header("content-encoding")),
        (200, Some("br"))
    );
    let again = fetch(&[("Accept-Encoding", "br"), ("If-None-Match", tag)]);
    assert_eq!(again.status, 304);
    let other = fetch(&[("If-None-Match", tag)]);
    assert_eq!(
        other.status, 200,
        "the plain file is another representation"
    );
}

#[test]
fn names_with_a_hash_are_cached_for_ever() {
    let server = Running::start();
    let answer = server.get("/pkg/sam2_wasm_bg.0123456789abcdef.wasm");
    assert_eq!(answer.header("content-type"), Some("application/wasm"));
    assert_eq!(
        answer.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    assert_eq!(answer.header("vary"), None, "nothing to vary on");
}

#[test]
fn head_is_get_without_the_body() {
    let server = Running::start();
    for path in [
        "/",
        MODEL,
        "/app/main.js",
        "/app/empty.txt",
        "/healthz",
        "/config.json",
        "/none",
    ] {
        let get = server.get(path);
        let head = server.request("HEAD", path, &[]);
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty(), "{path}");
        for name in ["content-length", "content-type", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
    // Range is for GET alone.
    let head = server.request("HEAD", MODEL, &[("Range", "bytes=0-1")]);
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("1000"))
    );
}

#[test]
fn other_methods_are_told_which_ones_there_are() {
    let server = Running::start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
        for path in ["/index.html", "/healthz", "/config.json"] {
            let answer = server.request(method, path, &[("Content-Length", "0")]);
            answer.assert_problem(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method} {path}");
        }
    }
}

#[test]
fn nothing_outside_the_folders_is_served() {
    let server = Running::start();
    let root = server.folder.path();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(root.join("secret.txt"), root.join("web/app/out.txt")).unwrap();
        symlink(root, root.join("web/up")).unwrap();
        symlink("main.js", root.join("web/app/in.js")).unwrap();
        symlink(".hidden", root.join("web/app/unhidden.txt")).unwrap();
        symlink(root.join("secret.txt"), root.join("models/out.pt")).unwrap();
        symlink(root.join("secret.txt"), root.join("web/app/empty.txt.gz")).unwrap();
    }
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/app/../../secret.txt",
        "/app/%2e%2e/%2e%2e/secret.txt",
        "/..%5csecret.txt",
        "/%252e%252e/secret.txt",
        "/models/../../secret.txt",
        "/models/..%2f..%2fsecret.txt",
        "/app/.hidden",
        "/app/%2ehidden",
        "/app/out.txt",
        "/up/secret.txt",
        "/app/unhidden.txt",
        "/models/out.pt",
        "//etc/passwd",
        "/etc/passwd",
        "/app",
        "/app/",
        "/models/",
        "/index.html/",
        "/index.html/x",
    ] {
        let answer = server.get(path);
        answer.assert_problem(404, "not_found");
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("outside"),
            "{path}"
        );
    }
    for path in ["/a%00b", "/%", "/%zz", "/%ff"] {
        server.get(path).assert_problem(400, "bad_request");
    }
    #[cfg(unix)]
    {
        assert_eq!(
            server.get("/app/in.js").status,
            200,
            "a link inside is a file"
        );
        let gzip = server.get_with("/app/empty.txt", &[("Accept-Encoding", "gzip")]);
        assert_eq!(
            (gzip.header("content-encoding"), gzip.body.len()),
            (None, 0)
        );
    }
}

#[test]
fn folders_are_pages_or_nothing() {
    let server = Running::start();
    assert!(server.get("/").body.starts_with(b"<!doctype html>"));
    assert_eq!(
        server.get("/").header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(server.get("/app/sub/").body, b"sub");
    let redirect = server.get("/app/sub?q=1");
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (308, Some("./sub/?q=1"))
    );
}

#[test]
fn models_come_from_their_folder_and_then_from_the_page() {
    let server = Running::start();
    assert_eq!(
        server.get("/models/own.safetensors").body,
        b"the page's own"
    );
    let config = server.get("/config.json").json();
    assert_eq!(config["max_frame_dimension"], 1920);
    assert_eq!(config["max_video_frames"], 300);
    assert_eq!(config["version"], env!("CARGO_PKG_VERSION"));
    assert!(config["threads"].as_u64().unwrap() >= 1);
    let models = config["models"].as_array().unwrap();
    assert_eq!(
        (&models[0]["name"], &models[0]["available"]),
        (&"nano".into(), &true.into())
    );
    assert_eq!(models[1]["available"], false);
    assert_eq!(server.get("/healthz").json()["status"], "ok");

    std::fs::write(server.folder.path().join("models/manifest.json"), "{").unwrap();
    server.get("/config.json").assert_problem(500, "bad_model");
}
