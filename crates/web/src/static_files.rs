//! Owns the serving of files below one directory, and that nothing else is served; must not know routes or connections.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ::http::{HeaderValue, Method, StatusCode, header};
use mime_guess::mime;
use nix::libc;

use super::body::Body;
use super::conditional::{Validators, Verdict};
use super::fields::http_seconds;
use super::head::RequestHead;
use super::listing::listing;
use super::range::ByteRange;
use super::response::Response;
use super::target::{encode_path, is_plain_segment};

/// The files that stand for their directory, the first one found.
const INDEX_FILES: [&str; 2] = ["index.html", "index.htm"];

/// The options of Crossbar's static web service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaticOptions {
    /// Whether a directory without an index file is listed; 404 otherwise.
    pub enable_directory_listing: bool,
    /// MIME types by file extension (`.wasm` or `wasm`), before those known anyway.
    pub mime_types: BTreeMap<String, String>,
    /// How many seconds a client may use a file without asking again. `None` and 0 make it
    /// ask every time, which the 304 keeps cheap.
    pub cache_timeout: Option<u32>,
}

/// A directory whose files are served.
///
/// - Files and directories whose names begin with a dot are not found, `.well-known`
///   (RFC 8615) excepted: editors, version control and `.env` leave things there that were
///   never meant to be served. A symbolic link may point to one.
/// - Symbolic links are followed where their target lies inside of the directory. Who may
///   write in the directory is trusted not to swap links while a file is being opened.
/// - What is no regular file is not found; what may not be read is 403, as it is the
///   operator's mistake to find.
/// - The entity tag is strong, made of size, time of modification and time of status change
///   in nanoseconds. The last one is set by the kernel, so that a file put in place of
///   another with the same size and a restored time is told apart. Resuming a download with
///   `If-Range` needs a strong one.
#[derive(Debug)]
pub struct StaticDirectory {
    root: PathBuf,
    cache_control: HeaderValue,
    mime_types: HashMap<String, HeaderValue>,
    lists_directories: bool,
}

/// What a path leads to.
enum Found {
    File(OpenFile),
    /// A directory that was asked for without a slash at its end.
    Redirect,
    Listing(PathBuf),
}

struct OpenFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
}

impl StaticDirectory {
    /// A directory to serve.
    ///
    /// # Errors
    ///
    /// It is not there, not a directory or not accessible; a MIME type cannot stand in a
    /// header field (`InvalidInput`).
    ///
    /// # Blocking
    ///
    /// Resolves the path on disk.
    pub fn new(root: impl AsRef<Path>, options: &StaticOptions) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        if !fs::metadata(&root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let cache_control = match options.cache_timeout {
            None | Some(0) => HeaderValue::from_static("no-cache"),
            Some(seconds) => HeaderValue::from_str(&format!("max-age={seconds}"))
                .expect("a number is a valid field value"),
        };
        let mime_types = options
            .mime_types
            .iter()
            .map(|(extension, mime_type)| {
                let extension = extension.trim_start_matches('.').to_ascii_lowercase();
                let mime_type = HeaderValue::from_str(mime_type).map_err(|_| {
                    let reason = format!("the MIME type of .{extension} is not valid");
                    io::Error::new(io::ErrorKind::InvalidInput, reason)
                })?;
                Ok((extension, mime_type))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            root,
            cache_control,
            mime_types,
            lists_directories: options.enable_directory_listing,
        })
    }

    /// The answer to a request.
    ///
    /// `sub_path` is the rest of the request's path that [`Paths::find`](super::Paths::find)
    /// gives: empty for the directory itself without a slash, or beginning with `/`.
    ///
    /// # Blocking
    ///
    /// Opens a file; reads a directory where listings are enabled. The content is read by
    /// [`Body::fill`].
    pub fn respond(&self, head: &RequestHead, sub_path: &str) -> Response {
        if head.method != Method::GET && head.method != Method::HEAD {
            return Response::method_not_allowed("GET, HEAD");
        }
        let answer = self.find(sub_path).and_then(|found| match found {
            Found::File(file) => self.send(head, file),
            Found::Redirect => Ok(redirect(head)),
            Found::Listing(directory) => Ok(Response::html(
                StatusCode::OK,
                listing(&directory, &head.path, |path| self.inside(path))?,
            )),
        });
        answer.unwrap_or_else(|error| failure(&error))
    }

    fn find(&self, sub_path: &str) -> io::Result<Found> {
        let relative = relative_path(sub_path).ok_or(io::ErrorKind::NotFound)?;
        let path = self.inside(&self.root.join(relative))?;
        let as_directory = sub_path.ends_with('/');
        if !fs::symlink_metadata(&path)?.is_dir() {
            // "file.txt/" names nothing.
            return match as_directory {
                true => Err(io::ErrorKind::NotFound.into()),
                false => open(path).map(Found::File),
            };
        }
        if !as_directory {
            return Ok(Found::Redirect);
        }
        for name in INDEX_FILES {
            match self.inside(&path.join(name)).and_then(open) {
                Err(error) if status_of(&error) == StatusCode::NOT_FOUND => {}
                result => return result.map(Found::File),
            }
        }
        match self.lists_directories {
            true => Ok(Found::Listing(path)),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The path with all links resolved, if it is still inside of the directory.
    fn inside(&self, path: &Path) -> io::Result<PathBuf> {
        let path = fs::canonicalize(path)?;
        match path.starts_with(&self.root) {
            true => Ok(path),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn send(&self, head: &RequestHead, open: OpenFile) -> io::Result<Response> {
        let length = open.metadata.len();
        let validators = validators(&open.metadata);
        let described = |response: Response| {
            response
                .with_header(header::ETAG, field(&validators.etag))
                .with_header(header::CACHE_CONTROL, self.cache_control.clone())
                .with_last_modified(validators.modified)
        };
        match validators.verdict(&head.headers) {
            Verdict::Proceed => {}
            Verdict::NotModified => {
                let response = Response::new(StatusCode::NOT_MODIFIED, Body::empty());
                return Ok(described(response));
            }
            Verdict::Failed => {
                return Ok(Response::error(
                    StatusCode::PRECONDITION_FAILED,
                    "The file is not in the state that the request asks for.",
                ));
            }
        }
        // RFC 9110 14.2: a Range means something to GET alone.
        let range = match head.method == Method::GET && validators.range_holds(&head.headers) {
            true => ByteRange::selected(&head.headers, length),
            false => ByteRange::Whole,
        };
        let response = match range {
            ByteRange::Whole => Response::new(StatusCode::OK, Body::file(open.file, 0, length)?),
            ByteRange::Part { first, last } => {
                let body = Body::file(open.file, first, last - first + 1)?;
                Response::new(StatusCode::PARTIAL_CONTENT, body).with_header(
                    header::CONTENT_RANGE,
                    field(&format!("bytes {first}-{last}/{length}")),
                )
            }
            ByteRange::Unsatisfiable => {
                return Ok(Response::error(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "The range begins behind the end of the file.",
                )
                .with_header(header::CONTENT_RANGE, field(&format!("bytes */{length}"))));
            }
        };
        Ok(described(response)
            .with_header(header::CONTENT_TYPE, self.content_type(&open.path))
            .with_header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))
            .with_header(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ))
    }

    fn content_type(&self, path: &Path) -> HeaderValue {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let configured =
            extension.and_then(|extension| self.mime_types.get(&extension.to_ascii_lowercase()));
        if let Some(mime_type) = configured {
            return mime_type.clone();
        }
        let guess = mime_guess::from_path(path).first_or_octet_stream();
        let is_text = guess.type_() == mime::TEXT
            || guess.subtype() == mime::JAVASCRIPT
            || guess.subtype() == mime::JSON
            || guess.suffix() == Some(mime::JSON);
        match is_text && guess.get_param(mime::CHARSET).is_none() {
            true => field(&format!("{guess}; charset=utf-8")),
            false => field(guess.as_ref()),
        }
    }
}

/// The path below the directory, or `None` where one of its names may not be served.
///
/// Request heads have no dot segments; this holds without relying on them.
fn relative_path(sub_path: &str) -> Option<PathBuf> {
    let names = sub_path.strip_prefix('/').unwrap_or(sub_path);
    let names = names.strip_suffix('/').unwrap_or(names);
    if names.is_empty() {
        // "//" has an empty name between its slashes.
        return (sub_path.len() < 2).then(PathBuf::new);
    }
    let is_served = |name: &str| {
        !name.is_empty()
            && is_plain_segment(name)
            && (!name.starts_with('.') || name == ".well-known")
    };
    names
        .split('/')
        .all(is_served)
        .then(|| PathBuf::from(names))
}

/// Opens a regular file; everything else is not found.
///
/// It is looked at first, because opening alone can start something with a device. The flags
/// are for what may have come in between: a FIFO must not block, a link not be followed.
fn open(path: PathBuf) -> io::Result<OpenFile> {
    if !fs::symlink_metadata(&path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(&path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok(OpenFile {
            path,
            file,
            metadata,
        }),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

fn validators(metadata: &Metadata) -> Validators {
    Validators {
        etag: format!(
            "\"{:x}-{:x}.{:x}-{:x}.{:x}\"",
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ),
        modified: metadata.modified().ok().and_then(http_seconds),
    }
}

/// 301 to the same path with a slash, so that the page's relative links lead into it.
fn redirect(head: &RequestHead) -> Response {
    let mut location = encode_path(&head.path);
    location.push('/');
    if let Some(query) = &head.query {
        location.push('?');
        location.push_str(query);
    }
    Response::error(
        StatusCode::MOVED_PERMANENTLY,
        "This is a directory: its address ends in a slash.",
    )
    .with_header(header::LOCATION, field(&location))
}

fn field(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("the value holds no control characters")
}

fn failure(error: &io::Error) -> Response {
    let status = status_of(error);
    let text = match status {
        StatusCode::NOT_FOUND => "There is nothing at this address.",
        StatusCode::FORBIDDEN => "The node may not read this file.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "The node is too busy to open the file. Try again later."
        }
        _ => "The node could not read this file.",
    };
    Response::error(status, text)
}

fn status_of(error: &io::Error) -> StatusCode {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::PermissionDenied, _) => StatusCode::FORBIDDEN,
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _)
        | (_, Some(libc::ENAMETOOLONG | libc::ELOOP | libc::ENXIO)) => StatusCode::NOT_FOUND,
        (_, Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests;
