//! Owns which media type a file has by its name; must not know what is in files.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
};

use ::http::HeaderValue;
use mime_guess::mime;

/// Media types by file name extension: those of the configuration, then the built-in ones.
#[derive(Debug)]
pub(super) struct MediaTypes {
    configured: HashMap<String, HeaderValue>,
}

impl MediaTypes {
    /// `InvalidInput` where a type cannot stand in a header field.
    pub(super) fn new(configured: &BTreeMap<String, String>) -> io::Result<Self> {
        let configured = configured
            .iter()
            .map(|(extension, media_type)| {
                let extension = extension.trim_start_matches('.').to_ascii_lowercase();
                let media_type = HeaderValue::from_str(media_type).map_err(|_| {
                    let reason = format!("the MIME type of .{extension} is not valid");
                    io::Error::new(io::ErrorKind::InvalidInput, reason)
                })?;
                Ok((extension, media_type))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { configured })
    }

    /// The `Content-Type` of a file. A configured one is sent as it is written.
    pub(super) fn of(&self, path: &Path) -> HeaderValue {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let configured =
            extension.and_then(|extension| self.configured.get(&extension.to_ascii_lowercase()));
        if let Some(media_type) = configured {
            return media_type.clone();
        }
        let guess = mime_guess::from_path(path).first_or_octet_stream();
        let media_type = if cannot_declare_its_charset(&guess) {
            format!("{guess}; charset=utf-8")
        } else {
            guess.to_string()
        };
        HeaderValue::from_str(&media_type).expect("a media type holds no control characters")
    }
}

/// Whether nothing but the header field can declare the charset of a file.
///
/// The field overrides what a file declares. So HTML (`<meta charset>`), CSS (`@charset`) and XML
/// (its declaration) get none, as from nginx and Crossbar.io. A script without a charset has that
/// of its page. A module is always UTF-8, and so is JSON, which has no such parameter (RFC 8259
/// 11). Plain text and the like cannot declare one, and browsers would guess.
fn cannot_declare_its_charset(guess: &mime::Mime) -> bool {
    let declares = matches!(
        guess.subtype().as_str(),
        "html" | "css" | "xml" | "javascript" | "ecmascript"
    ) || guess.suffix() == Some(mime::XML);
    guess.type_() == mime::TEXT && !declares && guess.get_param(mime::CHARSET).is_none()
}
