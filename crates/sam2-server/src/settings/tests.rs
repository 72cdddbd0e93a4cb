use super::*;

fn read(vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::from_env(vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
}

#[test]
fn an_empty_environment_gives_the_documented_defaults() {
    let settings = read(&[("PATH", "/bin"), ("SAM2_PORT", "")]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 8080));
    assert_eq!(
        (settings.max_video_frames, settings.max_frame_dimension),
        (300, 1920)
    );
    assert_eq!((settings.quantize, settings.threads), (false, None));
}

#[test]
fn every_setting_is_read() {
    let settings = read(&[
        ("SAM2_MODEL_SIZE", "base_plus"),
        ("SAM2_QUANTIZE", "true"),
        ("SAM2_THREADS", "3"),
        ("MAX_VIDEO_FRAMES", "12"),
        ("MAX_FRAME_DIMENSION", "0"),
        ("SAM2_HOST", "::1"),
        ("SAM2_PORT", "9000"),
        ("SAM2_MODELS_DIR", "/m"),
        ("SAM2_API_TOKEN", "secret"),
        ("SAM2_MEDIA_DIR", "/v"),
        ("RUST_LOG", "warn,sam2_server=debug"),
    ])
    .unwrap();
    assert_eq!(settings.model_size, Some(ModelSize::BasePlus));
    assert!(settings.quantize);
    assert_eq!(settings.threads, Some(3));
    assert_eq!(
        (settings.max_video_frames, settings.max_frame_dimension),
        (12, 0)
    );
    assert_eq!((settings.host.as_str(), settings.port), ("::1", 9000));
    assert_eq!(settings.models_dir, Some(PathBuf::from("/m")));
    assert_eq!(settings.media_dir, Some(PathBuf::from("/v")));
    assert_eq!(settings.api_token.as_ref().unwrap().reveal(), "secret");
    assert!(!format!("{settings:?}").contains("secret"));
    assert!(
        settings
            .log
            .would_enable("sam2_server", &tracing::Level::DEBUG)
    );
    assert!(!settings.log.would_enable("other", &tracing::Level::INFO));
}

#[test]
fn threads_fall_back_to_the_variables_of_others() {
    let threads = |vars: &[(&str, &str)]| read(vars).unwrap().threads;
    assert_eq!(
        threads(&[("OMP_NUM_THREADS", "4,2"), ("TORCH_NUM_THREADS", "5")]),
        Some(4)
    );
    assert_eq!(threads(&[("TORCH_NUM_THREADS", "5")]), Some(5));
    assert_eq!(
        threads(&[("SAM2_THREADS", "1"), ("OMP_NUM_THREADS", "4")]),
        Some(1)
    );
}

#[test]
fn a_wrong_value_names_the_variable_and_what_it_accepts() {
    for (name, value, accepts) in [
        (
            "SAM2_MODEL_SIZE",
            "huge",
            "nano, tiny, small, base_plus, large",
        ),
        ("SAM2_QUANTIZE", "yes", "true or false"),
        ("SAM2_THREADS", "0", "from 1 to 1024"),
        ("SAM2_THREADS", "-1", "from 1 to 1024"),
        ("OMP_NUM_THREADS", "many", "from 1 to 1024"),
        ("TORCH_NUM_THREADS", "1.5", "from 1 to 1024"),
        ("MAX_VIDEO_FRAMES", "0", "from 1 to"),
        ("MAX_FRAME_DIMENSION", "3", "0 for no limit"),
        ("SAM2_PORT", "65536", "from 0 to 65535"),
        ("SAM2_HOST", "http://here/", "an IP address"),
        ("SAM2_API_TOKEN", "", "not empty"),
        ("RUST_LOG", "inof", "a level"),
        ("RUST_LOG", "sam2=loud", "a level"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert!(matches!(&error, SettingsError::Value { name: n, .. } if n == name));
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(accepts), "{text}");
        assert_eq!(error.code(), "bad_setting");
    }
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    let error = read(&[("SAM2_PROT", "1")]).unwrap_err();
    assert_eq!(
        error,
        SettingsError::Unknown {
            name: "SAM2_PROT".to_owned()
        }
    );
    assert!(error.to_string().contains("SAM2_PORT"), "{error}");
}

#[test]
fn a_wrong_token_is_not_printed() {
    let error = read(&[("SAM2_API_TOKEN", "pass word")])
        .unwrap_err()
        .to_string();
    assert!(!error.contains("pass"), "{error}");
}

#[cfg(unix)]
#[test]
fn variables_that_are_no_text_are_left_alone_unless_they_are_settings() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
    let read = |name: &[u8], value: &[u8]| {
        let port = (OsString::from("SAM2_PORT"), OsString::from("9000"));
        Settings::from_os_env([port, (bytes(name), bytes(value))])
    };
    assert_eq!(read(b"TITLE", b"caf\xe9").unwrap().port, 9000);
    assert_eq!(read(b"caf\xe9", b"x").unwrap().port, 9000);
    for name in [&b"SAM2_MODELS_DIR"[..], b"RUST_LOG", b"SAM2_API_TOKEN"] {
        let error = read(name, b"/caf\xe9").unwrap_err().to_string();
        let name = String::from_utf8_lossy(name);
        assert!(error.contains(&*name) && error.contains("UTF-8"), "{error}");
        assert_eq!(error.contains("caf"), name != "SAM2_API_TOKEN", "{error}");
    }
}
