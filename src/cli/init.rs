//! `wampgres init`: writes the files of a node of one's own. Owns what they are called; what is in them
//! stands in `init/template`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::FAULTY;

pub(super) const HELP: &str = "\
Example:
  wampgres init notes && cd notes && wampgres start --embedded-postgres

Exit codes: 0 all files are written; 1 one cannot be written; 2 the command line has faults, or a file is
there already, and nothing is written.";

#[derive(Args)]
pub(super) struct InitArgs {
    /// The directory, which may be there already
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The port for the page and for WAMP
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// What the database and its user are called [default: as the directory]
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
}

/// All files, by their paths.
const FILES: [(&str, &str); 7] = [
    ("README.md", include_str!("init/template/README.md")),
    ("config.json", include_str!("init/template/config.json")),
    ("schema.sql", include_str!("init/template/schema.sql")),
    (
        "sql/notes/add.sql",
        include_str!("init/template/sql/notes/add.sql"),
    ),
    (
        "sql/notes/list.sql",
        include_str!("init/template/sql/notes/list.sql"),
    ),
    (
        "web/index.html",
        include_str!("init/template/web/index.html"),
    ),
    ("web/wamp.js", include_str!("init/template/web/wamp.js")),
];

/// What a directory is called whose name has no letter.
const NAMELESS: &str = "node";
/// PostgreSQL cuts longer names short.
const LONGEST_NAME: usize = 63;

pub(super) fn run(args: &InitArgs) -> ExitCode {
    let there: Vec<_> = FILES
        .iter()
        .map(|(file, _)| args.directory.join(file))
        .filter(|file| file.symlink_metadata().is_ok())
        .map(|file| file.display().to_string())
        .collect();
    if !there.is_empty() {
        let there = there.join(", ");
        eprintln!(
            "wampgres init: there already: {there}; nothing is written: name another directory"
        );
        return ExitCode::from(FAULTY);
    }
    let name = (args.name.clone()).unwrap_or_else(|| name_of(&args.directory));
    for (file, template) in FILES {
        let text = template.replace("{{name}}", &name);
        let text = text.replace("{{port}}", &args.port.to_string());
        let file = args.directory.join(file);
        if let Err(error) = write(&file, &text) {
            eprintln!(
                "wampgres init: {} cannot be written: {error}",
                file.display()
            );
            return ExitCode::FAILURE;
        }
    }
    let (directory, port) = (args.directory.display(), args.port);
    let mut out = io::stdout();
    // Whoever has closed it need not read this.
    let _ = writeln!(out, "{} files are in {directory}. Run it:\n", FILES.len());
    let _ = writeln!(
        out,
        "    cd {directory} && wampgres start --embedded-postgres\n"
    );
    let _ = match port {
        0 => writeln!(out, "It prints where its page is."),
        port => writeln!(out, "Its page is at http://127.0.0.1:{port}/"),
    };
    ExitCode::SUCCESS
}

/// Writes a file that is not there yet.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    File::create_new(file)?.write_all(text.as_bytes())
}

/// A name for the database out of that of the directory.
fn name_of(directory: &Path) -> String {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let name = absolute.file_name().unwrap_or_default().to_string_lossy();
    let word = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(word).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let name = name.trim_end_matches('_');
    if name.is_empty() {
        return NAMELESS.to_owned();
    }
    name.chars().take(LONGEST_NAME).collect()
}

/// A name that needs no quotation marks, neither in SQL nor in JSON.
fn name(text: &str) -> Result<String, String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= LONGEST_NAME
        && (text.chars()).all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_name {
        return Ok(text.to_owned());
    }
    Err(format!(
        "must be at most {LONGEST_NAME} lower-case letters, digits and _, a letter first"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_give_names_that_databases_can_have() {
        for (directory, expected) in [
            ("/srv/shop", "shop"),
            ("/srv/My Shop-2", "my_shop_2"),
            ("/srv/2nd", "nd"),
            ("/srv/_x_", "x"),
            ("/", "node"),
            ("/srv/17", "node"),
        ] {
            let found = name_of(Path::new(directory));
            assert_eq!(found, expected, "{directory}");
            assert_eq!(name(&found), Ok(found.clone()));
        }
        for wrong in ["", "A", "1a", "a-b", "a\"b"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
