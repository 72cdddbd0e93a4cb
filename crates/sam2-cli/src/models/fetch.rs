//! `sam2 models fetch`: a download that can break off, and is held against its hash.

use super::manifest;
use crate::locate::{ModelFile, models_dir};
use crate::progress::Progress;
use crate::session::Session;
use crate::{CliError, output};
use clap::Args;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::StatusCode;

#[derive(Debug, Args)]
#[command(
    after_help = "A part that came before is kept as NAME.part and continued. Where the list knows no
hash, the one of the first download is written down beside the model and held against later ones."
)]
pub struct FetchArgs {
    /// A name out of `sam2 models list`, or an http(s) address
    #[arg(value_name = "NAME|URL")]
    pub model: String,
    /// The sha256 that the file must have
    #[arg(long, value_name = "HEX", value_parser = parse_hash)]
    pub sha256: Option<String>,
    /// Download even if the file is there already
    #[arg(long)]
    pub force: bool,
    /// Give up on a server that sends nothing for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: u32,
}

/// A model of this project is far smaller; a server that sends more is not sending a model.
const MOST_BYTES: u64 = 16 << 30;

/// What to get and where it goes.
struct Download {
    url: String,
    path: PathBuf,
    sha256: Option<String>,
    size: Option<u64>,
    /// A server that sends nothing for so long has gone.
    silence: Duration,
}

/// Runs the command.
///
/// # Errors
/// A name that is not in the list, [`CliError::Fetch`] for what the network did, and where the bytes are not
/// those promised, [`CliError::Checksum`], or no model, [`CliError::Model`] (they are removed then).
pub fn run(args: &FetchArgs, session: &Session) -> Result<(), CliError> {
    let folder = models_dir(&session.settings);
    let download = Download::from_args(args, &folder)?;
    if download.path.is_file() && !args.force {
        tracing::info!("it is here already; --force downloads it again");
        return output::line(&download.path.display().to_string());
    }
    std::fs::create_dir_all(&folder).map_err(CliError::io(&folder))?;
    let part = with_suffix(&download.path, ".part");
    download.get(&part)?;
    let hash = hash_file(&part)?;
    let known = download.check(&hash, &part)?;
    download.open(&part)?;
    if !known {
        download.pin(&hash)?;
    }
    std::fs::rename(&part, &download.path).map_err(CliError::io(&download.path))?;
    output::line(&format!("{} (sha256 {hash})", download.path.display()))
}

impl Download {
    fn from_args(args: &FetchArgs, folder: &Path) -> Result<Self, CliError> {
        let silence = Duration::from_secs(args.timeout.into());
        if args.model.starts_with("https://") || args.model.starts_with("http://") {
            let path = args.model.split(['?', '#']).next().unwrap_or_default();
            let name = path
                .rsplit('/')
                .next()
                .filter(|n| !n.is_empty() && !n.starts_with('.'));
            let Some(name) = name.filter(|_| path.matches('/').count() > 2) else {
                return Err(CliError::Usage(format!("{} names no file", args.model)));
            };
            let (url, path) = (args.model.clone(), folder.join(name));
            return Ok(Self {
                url,
                path,
                sha256: args.sha256.clone(),
                size: None,
                silence,
            });
        }
        let manifest = manifest()?;
        // By its name, or by its file's with its ending or without.
        let file = |file: &str| {
            let stem = file.rsplit_once('.').map(|(stem, _)| stem);
            file == args.model || stem == Some(args.model.as_str())
        };
        let mut models = manifest.models.iter();
        let entry = models
            .find(|m| m.name == args.model || file(&m.file))
            .cloned();
        let Some(entry) = entry else {
            let names: Vec<&str> = manifest.names().collect();
            return Err(CliError::NoModel(format!(
                "there is no model {}; the list has {}",
                args.model,
                names.join(", ")
            )));
        };
        let Some(url) = entry.url else {
            return Err(CliError::Usage(format!(
                "{} is built in: there is nothing to fetch",
                entry.name
            )));
        };
        let sha256 = args.sha256.clone().or(entry.sha256);
        Ok(Self {
            url,
            path: folder.join(&entry.file),
            sha256,
            size: entry.size,
            silence,
        })
    }

    fn failed(&self, reason: impl std::fmt::Display) -> CliError {
        CliError::Fetch {
            url: self.url.clone(),
            reason: reason.to_string(),
        }
    }

    fn why(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => format!("nothing came for {} s", self.silence.as_secs()),
            other => other.to_string(),
        }
    }

    /// Brings `part` to its full length, from where it ends now.
    fn get(&self, part: &Path) -> Result<(), CliError> {
        let have = std::fs::metadata(part).map_or(0, |m| m.len());
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_connect(Some(self.silence))
            .timeout_recv_response(Some(self.silence))
            // Of the body only each read is timed: a large model takes the time that it takes.
            .timeout_per_read(Some(self.silence))
            .http_status_as_error(false)
            .user_agent(concat!("sam2/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let mut request = agent.get(&self.url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(|e| self.failed(self.why(&e)))?;
        let (status, headers) = (response.status(), response.headers());
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let length: Option<u64> = header("content-length").and_then(|v| v.parse().ok());
        let start = match status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => {
                let range = header("content-range").unwrap_or_default();
                if !range.starts_with(&format!("bytes {have}-")) {
                    return Err(self.failed(format!("it answered with the range {range:?}")));
                }
                have
            }
            // Nothing comes after what is here: because it is all there is, or because it is more.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                let range = header("content-range");
                let whole = range.and_then(|r| r.strip_prefix("bytes */")?.trim().parse().ok());
                if whole.or(self.size) == Some(have) {
                    return Ok(());
                }
                tracing::info!("what came before is of another file: it starts again");
                std::fs::remove_file(part).map_err(CliError::io(part))?;
                // Without a part no range is asked for, so that this is not answered again.
                return self.get(part);
            }
            other => return Err(self.failed(format!("it answered {other}"))),
        };
        // What a network answers whose sign-in page has not been seen yet, and many a server for a file
        // that it does not have.
        let kind = header("content-type").unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        if kind.starts_with("text/html") || kind.starts_with("application/xhtml") {
            return Err(self.failed(
                "it answered with a web page instead of a model: open the address in a browser to see \
                 what it says",
            ));
        }
        let total = length.map(|l| l + start).or(self.size);
        if total.is_some_and(|t| t > MOST_BYTES) {
            return Err(self.failed("it is larger than any model"));
        }
        let mut options = OpenOptions::new();
        options
            .create(true)
            .append(start > 0)
            .write(true)
            .truncate(start == 0);
        let mut file = options.open(part).map_err(CliError::io(part))?;
        let bar = Progress::bytes(total.unwrap_or(0), "downloading");
        let done = self.copy(
            response.into_body().into_reader(),
            &mut file,
            part,
            start,
            &bar,
        )?;
        match total {
            Some(total) if done != total => Err(self.failed(format!(
                "{done} of {total} bytes arrived; run it again to go on from there"
            ))),
            _ => Ok(()),
        }
    }

    fn copy(
        &self,
        mut from: impl Read,
        to: &mut File,
        part: &Path,
        start: u64,
        bar: &Progress,
    ) -> Result<u64, CliError> {
        let (mut buffer, mut done) = (vec![0; 1 << 18], start);
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => return Ok(done),
                Ok(n) => n,
                Err(e) => {
                    let why = self.why(&ureq::Error::from(e));
                    let text = format!("{why}; run it again to go on from {done} bytes");
                    return Err(self.failed(text));
                }
            };
            done += n as u64;
            if done > MOST_BYTES {
                return Err(self.failed("it is larger than any model"));
            }
            to.write_all(&buffer[..n]).map_err(CliError::io(part))?;
            bar.set(done);
        }
    }

    /// Holds the hash against the one promised, else against the one of the first download; false where
    /// there is neither.
    fn check(&self, hash: &str, part: &Path) -> Result<bool, CliError> {
        let pin = self.pin_path();
        let pinned = std::fs::read_to_string(&pin).ok();
        let pinned = pinned.and_then(|t| t.split_whitespace().next().map(str::to_ascii_lowercase));
        let promised = self.sha256.as_ref().map(|s| s.to_ascii_lowercase());
        let (expected, whence) = match (promised, pinned) {
            (Some(promised), _) => (promised, "promised".to_owned()),
            (None, Some(pinned)) => (pinned, format!("of the first download ({})", pin.display())),
            (None, None) => return Ok(false),
        };
        if expected == hash {
            return Ok(true);
        }
        // A wrong part must not be continued.
        let _ = std::fs::remove_file(part);
        Err(CliError::Checksum {
            path: self.path.clone(),
            reason: format!("its sha256 is {hash}, not {expected} as {whence}; it was not kept"),
        })
    }

    /// Opens what came as a model: a hash that is pinned for something else would refuse the model later.
    fn open(&self, part: &Path) -> Result<(), CliError> {
        match ModelFile::File(part.to_owned()).open() {
            Ok(_) => Ok(()),
            Err(CliError::Model { source, .. }) => {
                // It must not be continued either.
                let _ = std::fs::remove_file(part);
                let model = self.url.clone();
                Err(CliError::Model { model, source })
            }
            Err(other) => Err(other),
        }
    }

    /// Writes the hash down for later downloads, as sha256sum does.
    fn pin(&self, hash: &str) -> Result<(), CliError> {
        let name = self.path.file_name().map(|n| n.to_string_lossy());
        let line = format!("{hash}  {}\n", name.unwrap_or_default());
        crate::files::write(&self.pin_path(), line.as_bytes())
    }

    fn pin_path(&self) -> PathBuf {
        with_suffix(&self.path, ".sha256")
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn hash_file(path: &Path) -> Result<String, CliError> {
    let mut file = File::open(path).map_err(CliError::io(path))?;
    let total = file.metadata().map_or(0, |m| m.len());
    let bar = Progress::bytes(total, "checking");
    let (mut hasher, mut buffer, mut done) = (Sha256::new(), vec![0; 1 << 18], 0);
    loop {
        let n = file.read(&mut buffer).map_err(CliError::io(path))?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        done += n as u64;
        bar.set(done);
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn parse_hash(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("it has 64 hexadecimal digits, as sha256sum prints them".to_owned()),
    }
}
