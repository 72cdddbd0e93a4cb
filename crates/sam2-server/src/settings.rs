//! The settings of server and command line, read from the environment and checked at once.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tracing_subscriber::filter::Targets;

/// Every name that begins with `SAM2_` and means something; any other is a typing error.
const KNOWN: [&str; 8] = [
    "SAM2_MODEL_SIZE",
    "SAM2_QUANTIZE",
    "SAM2_THREADS",
    "SAM2_HOST",
    "SAM2_PORT",
    "SAM2_MODELS_DIR",
    "SAM2_API_TOKEN",
    "SAM2_MEDIA_DIR",
];

/// Settings that are called as other programs call them.
const SHARED: [&str; 5] = [
    "OMP_NUM_THREADS",
    "TORCH_NUM_THREADS",
    "MAX_VIDEO_FRAMES",
    "MAX_FRAME_DIMENSION",
    "RUST_LOG",
];
/// Stands for a secret in an error.
const HIDDEN: &str = "(not shown)";

/// More threads than any machine has: a value above is a mistake.
const MAX_THREADS: usize = 1024;
/// The official code reads every frame of a video; a day of 30 Hz video is 2.6 million.
const MAX_FRAMES: u32 = 10_000_000;
/// The largest side that a decoder is asked for.
const MAX_DIMENSION: u32 = 65_535;
/// Below this a frame says nothing about its objects.
const MIN_DIMENSION: u32 = 16;

/// A setting that cannot be used: which one, what it says, what it accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("{name}={value:?} is not a value of this setting; it accepts {accepts}")]
    Value {
        name: String,
        value: String,
        accepts: String,
    },
    #[error("{name} is not a setting; the names beginning with SAM2_ are {}", KNOWN.join(", "))]
    Unknown { name: String },
}

impl SettingsError {
    /// The stable code of this error, shared by every surface of the project.
    pub fn code(&self) -> &'static str {
        "bad_setting"
    }
}

/// The official sizes and the small ones of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelSize {
    Nano,
    Tiny,
    Small,
    BasePlus,
    Large,
}

impl ModelSize {
    pub const ALL: [Self; 5] = [
        Self::Nano,
        Self::Tiny,
        Self::Small,
        Self::BasePlus,
        Self::Large,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nano => "nano",
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::BasePlus => "base_plus",
            Self::Large => "large",
        }
    }
}

impl fmt::Display for ModelSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The secret of the session API; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The secret itself; compare it in constant time.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Checked settings. `Default` is what an empty environment gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `SAM2_MODEL_SIZE`; `None` leaves the choice to the default model.
    pub model_size: Option<ModelSize>,
    /// `SAM2_QUANTIZE`.
    pub quantize: bool,
    /// `SAM2_THREADS`, or `OMP_NUM_THREADS`, or `TORCH_NUM_THREADS`; `None` means as many as
    /// [`crate::cores::Machine::threads`] says.
    pub threads: Option<usize>,
    /// `MAX_VIDEO_FRAMES`: frames of a video that are taken.
    pub max_video_frames: u32,
    /// `MAX_FRAME_DIMENSION`: the longer side of a frame in pixels, beyond which it is reduced;
    /// 0 is off.
    pub max_frame_dimension: u32,
    /// `SAM2_HOST`: the address or name to listen on.
    pub host: String,
    /// `SAM2_PORT`: 0 takes any free port.
    pub port: u16,
    /// `SAM2_MODELS_DIR`; `None` leaves the folder to the caller.
    pub models_dir: Option<PathBuf>,
    /// `SAM2_API_TOKEN`, of the session API.
    pub api_token: Option<Token>,
    /// `SAM2_MEDIA_DIR`, of the session API.
    pub media_dir: Option<PathBuf>,
    /// `RUST_LOG`: levels per target, such as `info,sam2=debug`.
    pub log: Targets,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model_size: None,
            quantize: false,
            threads: None,
            max_video_frames: 300,
            max_frame_dimension: 1920,
            host: "127.0.0.1".to_owned(),
            port: 8080,
            models_dir: None,
            api_token: None,
            media_dir: None,
            // actix tells of each worker; one start line is enough.
            log: Targets::new()
                .with_default(tracing::Level::INFO)
                .with_target("actix_server", tracing::Level::WARN),
        }
    }
}

impl Settings {
    /// Reads settings from this process's environment, [`std::env::vars_os`], in which names and values
    /// need not be text.
    ///
    /// # Errors
    /// As [`Settings::from_env`], and a setting whose value is not UTF-8. Other variables may hold what
    /// they like.
    pub fn from_os_env(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let mut read = Vec::new();
        for (name, value) in vars {
            // A name that is no text is none of ours.
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => read.push((name, value)),
                Err(value) if is_read(&name) => {
                    let value = match name.as_str() {
                        "SAM2_API_TOKEN" => HIDDEN.to_owned(),
                        _ => value.to_string_lossy().into_owned(),
                    };
                    let accepts = "text in UTF-8".to_owned();
                    return Err(SettingsError::Value {
                        name,
                        value,
                        accepts,
                    });
                }
                Err(_) => {}
            }
        }
        Self::from_env(read)
    }

    /// Says which settings are taken and have no effect yet, once for the whole program.
    pub fn warn_of_what_waits(&self) {
        if self.quantize {
            tracing::warn!("SAM2_QUANTIZE=true: there are no int8 weights yet, f32 is used");
        }
    }

    /// Reads settings from environment variables that are text.
    ///
    /// An empty value counts as not set, because that is what `${NAME:-}` in a compose file
    /// gives; only an empty token is refused, since it would open what was meant to be closed.
    ///
    /// # Errors
    /// A value that the setting does not accept, or an unknown name beginning with `SAM2_`.
    /// The alphabetically first one is named, so that the message does not depend on the order.
    pub fn from_env(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        let mut vars: Vec<_> = vars.into_iter().collect();
        vars.sort();
        let (mut omp, mut torch) = (None, None);
        for (name, value) in vars {
            if name.starts_with("SAM2_") && !KNOWN.contains(&name.as_str()) {
                return Err(SettingsError::Unknown { name });
            }
            let value = Value {
                name: &name,
                value: value.trim(),
            };
            match name.as_str() {
                "SAM2_API_TOKEN" => settings.api_token = Some(value.token()?),
                _ if value.value.is_empty() => {}
                "SAM2_MODEL_SIZE" => settings.model_size = Some(value.model_size()?),
                "SAM2_QUANTIZE" => settings.quantize = value.boolean()?,
                "SAM2_THREADS" => settings.threads = Some(value.threads(value.value)?),
                "OMP_NUM_THREADS" => omp = Some(value.open_mp_threads()?),
                "TORCH_NUM_THREADS" => torch = Some(value.threads(value.value)?),
                "MAX_VIDEO_FRAMES" => {
                    settings.max_video_frames = value.number(1, MAX_FRAMES, "frames")?;
                }
                "MAX_FRAME_DIMENSION" => settings.max_frame_dimension = value.dimension()?,
                "SAM2_HOST" => settings.host = value.host()?,
                "SAM2_PORT" => settings.port = value.number(0, u16::MAX, "0 taking any")?,
                "SAM2_MODELS_DIR" => settings.models_dir = Some(PathBuf::from(value.value)),
                "SAM2_MEDIA_DIR" => settings.media_dir = Some(PathBuf::from(value.value)),
                "RUST_LOG" => settings.log = value.log()?,
                _ => {}
            }
        }
        settings.threads = settings.threads.or(omp).or(torch);
        Ok(settings)
    }
}

/// Whether a variable of this name is read, if only to refuse it.
fn is_read(name: &str) -> bool {
    name.starts_with("SAM2_") || SHARED.contains(&name)
}

/// A name with its value, to parse one into the other's type.
struct Value<'a> {
    name: &'a str,
    value: &'a str,
}

impl Value<'_> {
    fn refuse<T>(&self, accepts: impl Into<String>) -> Result<T, SettingsError> {
        Err(SettingsError::Value {
            name: self.name.to_owned(),
            value: self.value.to_owned(),
            accepts: accepts.into(),
        })
    }

    fn number<T>(&self, least: T, most: T, note: &str) -> Result<T, SettingsError>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        match self.value.parse() {
            Ok(number) if number >= least && number <= most => Ok(number),
            _ => self.refuse(format!("a whole number from {least} to {most} ({note})")),
        }
    }

    fn threads(&self, text: &str) -> Result<usize, SettingsError> {
        Value {
            name: self.name,
            value: text,
        }
        .number(1, MAX_THREADS, "threads")
    }

    /// OpenMP allows a list, one number per nesting level; the outermost is the one that counts.
    fn open_mp_threads(&self) -> Result<usize, SettingsError> {
        self.threads(self.value.split(',').next().unwrap_or_default().trim())
    }

    fn dimension(&self) -> Result<u32, SettingsError> {
        match self.value.parse() {
            Ok(0) => Ok(0),
            Ok(side) if (MIN_DIMENSION..=MAX_DIMENSION).contains(&side) => Ok(side),
            _ => self.refuse(format!(
                "0 for no limit, or a whole number from {MIN_DIMENSION} to {MAX_DIMENSION} (pixels)"
            )),
        }
    }

    fn boolean(&self) -> Result<bool, SettingsError> {
        match self.value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => self.refuse("true or false"),
        }
    }

    fn model_size(&self) -> Result<ModelSize, SettingsError> {
        match ModelSize::ALL
            .into_iter()
            .find(|size| size.as_str() == self.value)
        {
            Some(size) => Ok(size),
            None => self.refuse(ModelSize::ALL.map(ModelSize::as_str).join(", ")),
        }
    }

    fn host(&self) -> Result<String, SettingsError> {
        let plausible = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if self.value.chars().all(plausible) {
            Ok(self.value.to_owned())
        } else {
            self.refuse("an IP address such as 127.0.0.1, 0.0.0.0 or ::1, or a host name")
        }
    }

    fn token(&self) -> Result<Token, SettingsError> {
        if self.value.is_empty() {
            return self.refuse("a secret that is not empty; leave the name out for none");
        }
        if !self.value.chars().all(|c| c.is_ascii_graphic()) {
            // The value is a secret even when it is a wrong one.
            let hidden = Value {
                name: self.name,
                value: HIDDEN,
            };
            return hidden.refuse("printable ASCII without spaces");
        }
        Ok(Token(self.value.to_owned()))
    }

    fn log(&self) -> Result<Targets, SettingsError> {
        // A lone word parses as a target, so "inof" would switch everything else off.
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let lone_words_are_levels = self.value.split(',').all(|directive| {
            let directive = directive.trim().to_ascii_lowercase();
            directive.contains(['=', ':']) || levels.contains(&directive.as_str())
        });
        match self.value.parse() {
            Ok(targets) if lone_words_are_levels => Ok(targets),
            _ => self.refuse(format!(
                "a level ({}) or a list of target=level, such as info,sam2_server=debug",
                levels.join(", ")
            )),
        }
    }
}

#[cfg(test)]
mod tests;
