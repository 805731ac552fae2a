//! Owns the connection service file (PostgreSQL's manual, 34.17): where it is and how it is read.
//! Knows nothing of what its parameters mean.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::user;
use crate::config::libpq;

/// Where libpq of Debian, and of many others, looks for the file of all users.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/etc/postgresql-common", "/etc"];
const SYSTEM_FILE: &str = "pg_service.conf";

/// One service, and the file it was found in.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) file: PathBuf,
    /// By the names of libpq's parameters.
    pub(super) values: BTreeMap<&'static str, String>,
}

/// Looks for a service, as libpq does: in the user's file, then in the system's.
pub(super) fn find(
    name: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Service, String> {
    let own = match variable("PGSERVICEFILE") {
        Some(file) => {
            let file = PathBuf::from(file);
            if !file.is_file() {
                let file = file.display();
                return Err(format!(
                    "is a service, but {file} is no file, which the environment's PGSERVICEFILE names"
                ));
            }
            Some(file)
        }
        None => user::home(variable).map(|home| home.join(".pg_service.conf")),
    };
    let system = match variable("PGSYSCONFDIR") {
        Some(directory) => vec![PathBuf::from(directory)],
        None => SYSTEM_DIRECTORIES.map(PathBuf::from).to_vec(),
    };
    let system = system.iter().map(|directory| directory.join(SYSTEM_FILE));
    let files: Vec<PathBuf> = own.into_iter().chain(system).collect();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = fs::read_to_string(file)
            .map_err(|error| format!("is a service, but {}: {error}", file.display()))?;
        if let Some(values) = section(&text, name).map_err(|problem| in_file(file, &problem))? {
            let file = file.clone();
            return Ok(Service { file, values });
        }
    }
    let files: Vec<String> = (files.iter())
        .map(|file| file.display().to_string())
        .collect();
    Err(format!("must be a service of {}", files.join(" or ")))
}

fn in_file(file: &Path, problem: &str) -> String {
    format!("is a service of {}, whose {problem}", file.display())
}

/// The lines of the section `[name]`; the first of each name counts.
fn section(text: &str, name: &str) -> Result<Option<BTreeMap<&'static str, String>>, String> {
    let mut found: Option<BTreeMap<&'static str, String>> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if title.strip_suffix(']') == Some(name) {
                found = Some(BTreeMap::new());
            }
            continue;
        }
        let Some(values) = &mut found else { continue };
        let problem = |what| Err(format!("line {} {what}", at + 1));
        if line.starts_with("ldap") {
            return problem("asks an LDAP server, which is not served");
        }
        let Some((key, value)) = line.split_once('=') else {
            return problem("is not of the form name=value");
        };
        match libpq::named(key) {
            None => return problem("has a parameter that libpq does not know"),
            Some(parameter) if parameter.name == "service" => {
                return problem("names another service");
            }
            Some(parameter) if parameter.name == "requiressl" => {
                let mode = libpq::sslmode_of_requiressl(value).to_owned();
                values.entry("sslmode").or_insert(mode);
            }
            Some(parameter) => {
                values
                    .entry(parameter.name)
                    .or_insert_with(|| value.to_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_read_as_libpq_reads_it() {
        let text = "host=outside\n[other]\nhost=o\n[shop]\n# a comment\n\n  host=pg.example \nport=5433\n\
                    host=second\nrequiressl=1\noptions=-c geqo=off\n[last]\nuser=x\n";
        let shop = section(text, "shop").unwrap().unwrap();
        let found: Vec<(&str, &str)> = shop.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(
            found,
            [
                ("host", "pg.example"),
                ("options", "-c geqo=off"),
                ("port", "5433"),
                ("sslmode", "require")
            ]
        );
        assert_eq!(section(text, "none").unwrap(), None);
        for (line, problem) in [
            ("host", "line 2 is not of the form name=value"),
            ("hosst=a", "line 2 has a parameter that libpq does not know"),
            ("service=a", "line 2 names another service"),
            (
                "ldap://a",
                "line 2 asks an LDAP server, which is not served",
            ),
        ] {
            let text = format!("[shop]\n{line}\n");
            assert_eq!(section(&text, "shop").unwrap_err(), problem);
        }
    }
}
