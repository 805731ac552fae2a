//! Owns the page that lists a directory; must not know where the directory lies.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    pages::{escaped, page},
    target::{encode_path, is_plain_segment},
};

/// The most entries that are listed.
const MAX_ENTRIES: usize = 2000;

/// The page for the directory at `directory`, which clients know as `path`.
///
/// It leaves out what cannot be fetched by its name: dotfiles, names that are not UTF-8 or have
/// characters that no URL path may have, special files, and links that lead nowhere or to what
/// `resolve` refuses.
///
/// # Blocking
///
/// Reads the whole directory, and the kind of its first 2,000 entries.
pub(super) fn listing(
    directory: &Path,
    path: &str,
    resolve: impl Fn(&Path) -> io::Result<PathBuf>,
) -> io::Result<String> {
    let mut names = Vec::new();
    let mut more = false;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().and_then(listed_name) else {
            continue;
        };
        if names.len() == MAX_ENTRIES {
            more = true;
            break;
        }
        // One that is deleted meanwhile is not listed.
        let metadata = match entry.file_type() {
            Ok(file_type) if file_type.is_symlink() => {
                resolve(&entry.path()).and_then(fs::metadata)
            }
            _ => entry.metadata(),
        };
        match metadata {
            Ok(metadata) if metadata.is_dir() => names.push(format!("{name}/")),
            Ok(metadata) if metadata.is_file() => names.push(name),
            _ => {}
        }
    }
    names.sort_unstable();
    let mut content = String::from("<ul>\n");
    if !path.trim_matches('/').is_empty() {
        content.push_str("<li><a href=\"../\">../</a></li>\n");
    }
    for name in &names {
        // "./" keeps a name like "a:b" from being read as a scheme.
        let href = encode_path(name);
        content.push_str(&format!(
            "<li><a href=\".{href}\">{}</a></li>\n",
            escaped(name)
        ));
    }
    content.push_str("</ul>");
    if more {
        content.push_str("\n<p>There is more than is shown here.</p>");
    }
    Ok(page(path, &content))
}

fn listed_name(name: &str) -> Option<String> {
    (!name.starts_with('.') && is_plain_segment(name)).then(|| name.to_owned())
}
