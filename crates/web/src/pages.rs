//! Owns the look of the pages that the node writes itself; must not know why one is shown.

use std::fmt::Write;

use ::http::StatusCode;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;font:1rem/1.6 system-ui,sans-serif;background:#f6f7f9;color:#1d2733}\
main{max-width:42rem;margin:8vh auto;padding:1.5rem;overflow-wrap:anywhere}\
h1{font-size:1.6rem;line-height:1.25}\
a{color:#1463b8}\
pre{padding:1rem;overflow-x:auto;background:#e9edf2;border-radius:.5rem;line-height:1.4}\
ul{padding-left:1.2rem}\
@media(prefers-color-scheme:dark){body{background:#14181d;color:#dde4ec}\
pre{background:#1f262e}a{color:#7db8f5}}";

/// A whole page. `title` is text; `content` is HTML.
pub(super) fn page(title: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{content}\n</main>\n</body>\n</html>\n",
        title = escaped(title),
    )
}

/// The page of an error status. `text` is a sentence.
pub(super) fn error_page(status: StatusCode, text: &str) -> String {
    let mut title = status.as_u16().to_string();
    if let Some(reason) = status.canonical_reason() {
        write!(title, " {reason}").expect("a String takes every write");
    }
    page(&title, &format!("<p>{}</p>", escaped(text)))
}

/// Text as HTML, also inside of a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}
