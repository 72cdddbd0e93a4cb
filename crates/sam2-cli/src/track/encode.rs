//! Overlays as a video, written by the ffmpeg program.

use crate::CliError;
use crate::error::one_line;
use crate::files::AtomicFile;
use sam2::image::{ImageSize, RgbImage};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// yuv420p, which everything plays, has half as many colours as pixels each way: sides must be even.
const EVEN: &str = "pad=ceil(iw/2)*2:ceil(ih/2)*2";
/// A palette for each frame: one for all would keep all frames in memory.
const PALETTE: &str = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1";

/// ffmpeg's name of a container, and how it is written.
type Kind = (&'static str, &'static [&'static str]);

/// Chooses the container by the file's name and sees that ffmpeg is there, before hours of tracking.
///
/// # Errors
/// [`CliError::Usage`].
pub fn check(path: &Path) -> Result<(), CliError> {
    kind(path)?;
    let version = Command::new("ffmpeg")
        .arg("-version")
        .stdin(Stdio::null())
        .output();
    match version {
        Ok(_) => Ok(()),
        Err(_) => Err(CliError::Usage(
            "--overlay-video needs the ffmpeg program, which is not installed: install it, or use \
             --overlay for pictures"
                .to_owned(),
        )),
    }
}

fn kind(path: &Path) -> Result<Kind, CliError> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("mp4" | "m4v") => Ok((
            "mp4",
            &[
                "-vf",
                EVEN,
                "-pix_fmt",
                "yuv420p",
                "-movflags",
                "+faststart",
            ],
        )),
        Some("mov") => Ok(("mov", &["-vf", EVEN, "-pix_fmt", "yuv420p"])),
        Some("mkv") => Ok(("matroska", &["-vf", EVEN, "-pix_fmt", "yuv420p"])),
        // The defaults of VP9 take seconds a frame.
        Some("webm") => Ok((
            "webm",
            &[
                "-vf",
                EVEN,
                "-pix_fmt",
                "yuv420p",
                "-c:v",
                "libvpx-vp9",
                "-crf",
                "34",
                "-b:v",
                "0",
                "-deadline",
                "realtime",
                "-cpu-used",
                "6",
            ],
        )),
        Some("gif") => Ok(("gif", &["-filter_complex", PALETTE])),
        _ => Err(CliError::Usage(format!(
            "--overlay-video {}: the name must end with .mp4, .mov, .mkv, .webm or .gif",
            path.display()
        ))),
    }
}

/// A video being written; without [`VideoWriter::finish`] nothing is left of it.
pub struct VideoWriter {
    child: Child,
    frames: Option<BufWriter<ChildStdin>>,
    file: AtomicFile,
    path: PathBuf,
}

impl VideoWriter {
    /// # Errors
    /// [`CliError::Io`], [`CliError::Usage`] as [`check`].
    pub fn create(path: &Path, size: ImageSize, fps: f64) -> Result<Self, CliError> {
        let (container, how) = kind(path)?;
        let file = AtomicFile::create(path)?;
        let mut command = Command::new("ffmpeg");
        command
            .args([
                "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
            ])
            .args(["-s", &format!("{}x{}", size.width, size.height)])
            .args(["-framerate", &fps.to_string(), "-i", "pipe:0"])
            .args(how)
            .args(["-f", container])
            .arg(local(file.temporary()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // Ctrl-C is for us: ffmpeg ends when its input does.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(CliError::io("ffmpeg"))?;
        let frames = child.stdin.take().map(BufWriter::new);
        Ok(Self {
            child,
            frames,
            file,
            path: path.to_owned(),
        })
    }

    /// Adds a frame of the size that was given at the start.
    ///
    /// # Errors
    /// [`CliError::BadFile`] with what ffmpeg said.
    pub fn frame(&mut self, picture: &RgbImage) -> Result<(), CliError> {
        let frames = self.frames.as_mut();
        let written = frames.is_some_and(|frames| frames.write_all(picture.data()).is_ok());
        if written { Ok(()) } else { Err(self.failed()) }
    }

    /// Ends the video and gives it its name.
    ///
    /// # Errors
    /// As [`VideoWriter::frame`], [`CliError::Io`].
    pub fn finish(mut self) -> Result<(), CliError> {
        let flushed = self
            .frames
            .take()
            .is_some_and(|mut frames| frames.flush().is_ok());
        let status = self.child.wait().map_err(CliError::io("ffmpeg"))?;
        if !flushed || !status.success() {
            return Err(self.failed());
        }
        self.file.keep()
    }

    fn failed(&mut self) -> CliError {
        self.frames = None;
        let mut text = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            // A message in another encoding is no reason to lose the rest.
            let _ = stderr.take(1 << 16).read_to_string(&mut text);
        }
        let _ = self.child.wait();
        CliError::BadFile {
            path: self.path.clone(),
            reason: format!("ffmpeg cannot write it: {}", one_line(&text)),
        }
    }
}

/// The name as ffmpeg takes it for a local file, whatever it looks like.
fn local(path: &Path) -> std::ffi::OsString {
    let mut name = std::ffi::OsString::from("file:");
    name.push(path);
    name
}
