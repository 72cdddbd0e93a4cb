//! Any other video, through the ffmpeg program where it is installed.

use super::MAX_PIXELS;
use super::store::NextFrame;
use crate::Error;
use sam2_image::RgbImage;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A video that ffmpeg decodes.
pub(super) struct Ffmpeg {
    pub next: NextFrame,
    /// Frames as the container counts them.
    pub frames: Option<usize>,
    pub fps: Option<f64>,
}

/// What a file may be. SECURITY: playlists (HLS, DASH, concat) are left out: they name other files of this
/// machine, whose content would come back as frames to whoever sent the playlist.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,ogg,\
                       asf,nut,mxf,ivf,h264,hevc,obu,dv,rm,wtv,gif,apng,webp_pipe,yuv4mpegpipe";

/// Starts ffmpeg; frames are decoded as they are asked for.
pub(super) fn ffmpeg(path: &Path) -> Result<Ffmpeg, Error> {
    let (frames, fps) = probe(path);
    let mut decoder = Decoder::start(path)?;
    let next = move || decoder.next();
    Ok(Ffmpeg {
        next: Box::new(next),
        frames,
        fps,
    })
}

/// The name as ffmpeg takes it for a local file, whatever it looks like.
fn local(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

/// Counts the packets of the first video stream, which is fast (nothing is decoded), and reads its rate.
/// Nothing where ffprobe is not there or does not know.
fn probe(path: &Path) -> (Option<usize>, Option<f64>) {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-protocol_whitelist",
            "file,pipe",
            "-format_whitelist",
            FORMATS,
            "-select_streams",
            "v:0",
        ])
        .args([
            "-count_packets",
            "-show_entries",
            "stream=nb_read_packets,avg_frame_rate",
        ])
        .args(["-of", "default=noprint_wrappers=1"])
        .arg(local(path))
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        return (None, None);
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let frames = value("nb_read_packets")
        .and_then(|v| v.parse().ok())
        .filter(|n| *n > 0);
    let rate = value("avg_frame_rate").and_then(|v| {
        let (a, b) = v.split_once('/')?;
        let rate = a.parse::<f64>().ok()? / b.parse::<f64>().ok()?;
        (rate.is_finite() && rate > 0.0).then_some(rate)
    });
    (frames, rate)
}

/// A running ffmpeg that writes PPM pictures, which carry their own size (a rotated video's is not the
/// container's).
struct Decoder {
    child: Child,
    pictures: BufReader<ChildStdout>,
    ended: bool,
}

impl Decoder {
    fn start(path: &Path) -> Result<Self, Error> {
        let mut command = Command::new("ffmpeg");
        command
            .args([
                "-v",
                "error",
                "-nostdin",
                "-xerror",
                "-protocol_whitelist",
                "file,pipe",
            ])
            .args(["-format_whitelist", FORMATS, "-i"])
            .arg(local(path))
            .args([
                "-map",
                "0:v:0",
                "-vsync",
                "passthrough",
                "-pix_fmt",
                "rgb24",
            ])
            .args(["-f", "image2pipe", "-c:v", "ppm", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Ctrl-C is for the program that reads: it ends after the frame at hand, which must come.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .spawn()
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => Error::Video(
                    "this kind of video needs the ffmpeg program, which is not installed: install it, or \
                     give a folder of pictures, an animated GIF, WebP or PNG, MJPEG or Y4M"
                        .to_owned(),
                ),
                _ => Error::Video(format!("ffmpeg cannot be started: {e}")),
            })?;
        match child.stdout.take() {
            Some(stdout) => Ok(Self {
                child,
                pictures: BufReader::with_capacity(1 << 16, stdout),
                ended: false,
            }),
            None => Err(Error::Video("ffmpeg gives no output".to_owned())),
        }
    }

    fn next(&mut self) -> Option<Result<RgbImage, Error>> {
        if self.ended {
            return None;
        }
        match self.picture() {
            Ok(Some(picture)) => Some(Ok(picture)),
            Ok(None) => {
                self.ended = true;
                self.end().map(Err)
            }
            Err(error) => {
                self.ended = true;
                Some(Err(self.end().unwrap_or(error)))
            }
        }
    }

    /// What ffmpeg said when it ended badly. Its messages are short (`-v error`, and it stops at the
    /// first), so the pipe cannot have filled up.
    fn end(&mut self) -> Option<Error> {
        let mut text = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            // A message in another encoding is no reason to lose the rest.
            let _ = stderr.take(1 << 16).read_to_string(&mut text);
        }
        let failed = self
            .child
            .wait()
            .map(|status| !status.success())
            .unwrap_or(true);
        let reason = text
            .lines()
            .map(str::trim)
            .rfind(|line| !line.is_empty())
            .unwrap_or("no reason");
        failed.then(|| Error::Video(format!("ffmpeg cannot decode it: {reason}")))
    }

    /// The next picture, `None` at the end.
    fn picture(&mut self) -> Result<Option<RgbImage>, Error> {
        let cut = |e: std::io::Error| Error::Video(format!("ffmpeg stopped in the middle: {e}"));
        let mut magic = String::new();
        let mut line = |text: &mut String| -> Result<usize, Error> {
            text.clear();
            // Headers are short; a binary flood without a line end is none.
            (&mut self.pictures).take(64).read_line(text).map_err(cut)
        };
        if line(&mut magic)? == 0 {
            return Ok(None);
        }
        let (mut size, mut depth) = (String::new(), String::new());
        line(&mut size)?;
        line(&mut depth)?;
        let sides: Option<(usize, usize)> = size
            .trim()
            .split_once(' ')
            .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        let (Some((width, height)), "P6", "255") = (sides, magic.trim(), depth.trim()) else {
            return Err(Error::Video(
                "ffmpeg gave something else than pictures".to_owned(),
            ));
        };
        if (width as u64).saturating_mul(height as u64) > MAX_PIXELS {
            return Err(Error::Video(format!(
                "its frames are {width} x {height}, which is too large"
            )));
        }
        let mut data = vec![0; width * height * 3];
        self.pictures.read_exact(&mut data).map_err(cut)?;
        Ok(Some(RgbImage::from_rgb(width, height, data)?))
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use crate::video::{VideoLimits, open_video};
    use sam2_image::ImageSize;
    use std::path::Path;
    use std::process::Command;

    /// A clip whose frames grow brighter; `false` where there is no ffmpeg.
    fn clip(path: &Path) -> bool {
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-f", "lavfi", "-i"])
            .arg("color=c=black:s=64x48:r=10:d=2,geq=lum='16+8*N':cb=128:cr=128")
            .args(["-c:v", "mpeg4", "-g", "5"])
            .arg(path)
            .status();
        status.is_ok_and(|status| status.success())
    }

    #[test]
    fn a_clip_is_decoded_as_far_as_needed() {
        let folder = tempfile::tempdir().unwrap();
        // A name that looks like an option and holds a protocol.
        let path = folder.path().join("-pipe:1.mp4");
        if !clip(&path) {
            std::fs::write(&path, b"\0\0\0\x20ftypisom").unwrap();
            let error = open_video(&path, VideoLimits::default()).unwrap_err();
            assert!(error.to_string().contains("ffmpeg program"), "{error}");
            return;
        }
        let limits = VideoLimits {
            max_dimension: 32,
            max_frames: 15,
        };
        let mut video = open_video(&path, limits).unwrap();
        assert_eq!((video.source.len(), video.fps), (15, Some(10.0)));
        assert_eq!(
            video.source.size(),
            ImageSize {
                width: 64,
                height: 48
            }
        );
        assert_eq!(video.notes[0], "64x48 -> 32x24");
        assert!(
            video.notes[1].contains("20 frames, the first 15"),
            "{:?}",
            video.notes
        );
        let mut grey = |index| {
            let frame = crate::block_on(video.source.read(index)).unwrap();
            assert_eq!((frame.width(), frame.height()), (32, 24));
            i32::from(frame.row(12)[30])
        };
        // 8 steps of luma a frame, 255 / 219 of that in grey.
        let (late, early) = (grey(14), grey(4));
        assert!((late - early - 93).abs() <= 8, "{early} {late}");

        // A list of other files shows nothing of them, whatever it calls itself.
        let list = folder.path().join("list.mp4");
        std::fs::copy(&path, folder.path().join("named.mp4")).unwrap();
        std::fs::write(&list, "ffconcat version 1.0\nfile 'named.mp4'\n").unwrap();
        let error = open_video(&list, VideoLimits::default()).unwrap_err();
        assert_eq!(error.code(), "unsupported_video");

        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
        let error = open_video(&path, VideoLimits::default()).unwrap_err();
        assert_eq!(error.code(), "unsupported_video");
        assert!(error.to_string().contains("pipe:1.mp4"), "{error}");
    }
}
