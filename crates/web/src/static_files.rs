//! Owns the serving of files below one directory, and of no other files; must not know routes or
//! connections.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use ::http::{HeaderValue, Method, StatusCode, header};
use nix::libc;

use super::{
    body::Body,
    conditional::{Validators, Verdict},
    fields::http_seconds,
    head::RequestHead,
    range::ByteRange,
    response::Response,
    target::encode_path,
};

mod answer;
mod cross_origin;
mod media_types;
mod root;

pub use answer::{Answer, Listing, Progress};
use media_types::MediaTypes;
use root::{OutsideLinks, Root, relative_path};

/// The files that stand for their directory, the first one found.
const INDEX_FILES: [&str; 2] = ["index.html", "index.htm"];

/// The options of Crossbar's static web service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaticOptions {
    /// Whether a directory without an index file is listed. If not, it is a 404.
    pub enable_directory_listing: bool,
    /// MIME types by file extension (`.wasm` or `wasm`). They come before the built-in ones.
    pub mime_types: BTreeMap<String, String>,
    /// How many seconds a client may use a file without asking again. With `None` and 0 it asks
    /// every time, which costs little because the answer is mostly a 304.
    pub cache_timeout: Option<u32>,
    /// Whether pages of other origins may read the files: fonts, modules, what scripts fetch.
    pub allow_cross_origin: bool,
    /// The file for paths that lead to nothing and have no extension: the page of an application
    /// that reads its address itself. Relative to the directory.
    pub default_file: Option<String>,
}

/// A directory whose files are served.
///
/// - It is resolved at each request, so a link put in its place is followed at once.
/// - Names that begin with a dot are not found, except `.well-known` (RFC 8615). Editors and
///   version control leave such files there, and `.env` holds secrets. A symbolic link may point to
///   one.
/// - A symbolic link is followed if its target lies inside the directory, and not found otherwise.
///   Whoever may write in the directory is trusted not to swap links while a file is being opened.
/// - What is no regular file is not found. A file that may not be read is a 403, so that the
///   operator can find the mistake.
/// - The entity tag is strong: size, time of modification and time of status change in nanoseconds.
///   The kernel sets the last one, so a file that replaces another of the same size and time has
///   another tag. Resuming a download with `If-Range` needs a strong tag.
#[derive(Debug)]
pub struct StaticDirectory {
    /// Absolute, its links not resolved.
    configured: PathBuf,
    outside: Arc<OutsideLinks>,
    listings: answer::Shared,
    cache_control: HeaderValue,
    media_types: MediaTypes,
    lists_directories: bool,
    allows_cross_origin: bool,
    default_file: Option<PathBuf>,
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
    /// header field, or the default file is not below the directory (`InvalidInput`).
    ///
    /// # Blocking
    ///
    /// Resolves the path on disk.
    pub fn new(root: impl AsRef<Path>, options: &StaticOptions) -> io::Result<Self> {
        let configured = std::path::absolute(root)?;
        let outside = Arc::<OutsideLinks>::default();
        Root::resolve(&configured, &outside)?;
        let default_file = match &options.default_file {
            Some(name) => Some(relative_path(name).ok_or(io::ErrorKind::InvalidInput)?),
            None => None,
        };
        let cache_control = match options.cache_timeout {
            None | Some(0) => HeaderValue::from_static("no-cache"),
            Some(seconds) => HeaderValue::from_str(&format!("max-age={seconds}"))
                .expect("a number is a valid field value"),
        };
        Ok(Self {
            configured,
            outside,
            listings: answer::Shared::default(),
            cache_control,
            media_types: MediaTypes::new(&options.mime_types)?,
            lists_directories: options.enable_directory_listing,
            allows_cross_origin: options.allow_cross_origin,
            default_file,
        })
    }

    /// The answer to a request.
    ///
    /// `sub_path` is the rest of the request's path that [`Paths::find`](super::Paths::find)
    /// gives: empty for the directory itself without a slash, or beginning with `/`.
    ///
    /// # Blocking
    ///
    /// Opens a file, whose content is read by [`Body::fill`]. A directory is read by
    /// [`Listing::advance`].
    pub fn respond(&self, head: &RequestHead, sub_path: &str) -> Answer {
        match self.answer(head, sub_path) {
            Answer::Now(response) if self.allows_cross_origin => {
                Answer::Now(cross_origin::readable_by_all(response))
            }
            answer @ (Answer::Now(_) | Answer::Later(_)) => answer,
        }
    }

    /// The symbolic links found since the last time to lead out of the directory, for the log.
    /// Each comes once, and no more than 100 in all.
    pub fn take_links_out(&self) -> Vec<PathBuf> {
        self.outside.take()
    }

    fn answer(&self, head: &RequestHead, sub_path: &str) -> Answer {
        if head.method == Method::OPTIONS && self.allows_cross_origin {
            return Answer::Now(cross_origin::preflight(head));
        }
        if head.method != Method::GET && head.method != Method::HEAD {
            let allow = if self.allows_cross_origin {
                "GET, HEAD, OPTIONS"
            } else {
                "GET, HEAD"
            };
            return Answer::Now(Response::method_not_allowed(allow));
        }
        let answer = Root::resolve(&self.configured, &self.outside).and_then(|root| {
            match self.find_or_default(&root, sub_path)? {
                Found::File(file) => self.send(head, file).map(Answer::Now),
                Found::Redirect => Ok(Answer::Now(redirect(head))),
                Found::Listing(directory) => {
                    let page = self.listings.page(directory, &head.path)?;
                    let (outside, listings) = (self.outside.clone(), &self.listings);
                    let listing =
                        Listing::new(&root, outside, page, listings, self.allows_cross_origin);
                    Ok(Answer::Later(Box::new(listing)))
                }
            }
        });
        answer.unwrap_or_else(|error| Answer::Now(failure(&error)))
    }

    /// What a path leads to, or the default file where it leads to nothing. A name with a dot is
    /// that of a file: a page in place of a missing script would hide that it is missing.
    fn find_or_default(&self, root: &Root<'_>, sub_path: &str) -> io::Result<Found> {
        let found = self.find(root, sub_path);
        let (Err(error), Some(default_file)) = (&found, &self.default_file) else {
            return found;
        };
        let is_file_name = |path: PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.as_encoded_bytes().contains(&b'.')
        };
        if status_of(error) != StatusCode::NOT_FOUND
            || relative_path(sub_path).is_none_or(is_file_name)
        {
            return found;
        }
        root.join(default_file).and_then(open).map(Found::File)
    }

    fn find(&self, root: &Root<'_>, sub_path: &str) -> io::Result<Found> {
        let relative = relative_path(sub_path).ok_or(io::ErrorKind::NotFound)?;
        let path = root.join(&relative)?;
        let as_directory = sub_path.ends_with('/');
        if !fs::symlink_metadata(&path)?.is_dir() {
            // "file.txt/" names nothing.
            return if as_directory {
                Err(io::ErrorKind::NotFound.into())
            } else {
                open(path).map(Found::File)
            };
        }
        if !as_directory {
            return Ok(Found::Redirect);
        }
        for name in INDEX_FILES {
            match root.inside(&path.join(name)).and_then(open) {
                Err(error) if status_of(&error) == StatusCode::NOT_FOUND => {}
                result => return result.map(Found::File),
            }
        }
        if self.lists_directories {
            Ok(Found::Listing(path))
        } else {
            Err(io::ErrorKind::NotFound.into())
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
        let range = if head.method == Method::GET && validators.range_holds(&head.headers) {
            ByteRange::selected(&head.headers, length)
        } else {
            ByteRange::Whole
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
            .with_header(header::CONTENT_TYPE, self.media_types.of(&open.path))
            .with_header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))
            .with_header(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ))
    }
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
    if metadata.is_file() {
        Ok(OpenFile {
            path,
            file,
            metadata,
        })
    } else {
        Err(io::ErrorKind::NotFound.into())
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

/// 301 to the same path with a slash, so that the page's relative links lead into it. It is
/// relative itself (RFC 9110 10.2.2): a proxy may have taken off the beginning of the path.
fn redirect(head: &RequestHead) -> Response {
    let name = head.path.rsplit('/').next().unwrap_or_default();
    // "./" keeps a name like "a:b" from being read as a scheme.
    let mut location = format!(".{}/", encode_path(name));
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
