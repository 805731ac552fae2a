//! Owns the making of a data directory by `initdb` or another program; starts no server.

use std::{fs, io::ErrorKind, path::Path, process::Command};

use super::{Error, UNFINISHED, binaries::Binaries, directory::Directory, leftover, server, tried};

/// `initdb` for a cluster with this superuser. Where it is to be made is still to be added.
pub(super) fn initdb(binaries: &Binaries, directory: &Directory, superuser: &str) -> Command {
    let mut command = directory.command(&binaries.program("initdb"));
    command
        .arg(format!("--username={superuser}"))
        .args(["--encoding=UTF8", "--locale=C.UTF-8"])
        // The cluster's own rules, which only count if somebody starts it without ours.
        .args(["--auth-local=peer", "--auth-host=scram-sha-256"]);
    command
}

/// Lets the command make the data directory, whose path becomes its last argument. The directory
/// appears under its name only when it is whole, so that a command that is cut short leaves nothing
/// that looks like a cluster.
pub(super) fn data_directory(directory: &Directory, mut command: Command) -> Result<(), Error> {
    let unfinished = directory.path.join(UNFINISHED);
    if let Err(error) = fs::remove_dir_all(&unfinished)
        && error.kind() != ErrorKind::NotFound
    {
        let what = format!("cannot remove {}", unfinished.display());
        return Err(tried(what)(error));
    }
    directory.make_private(&unfinished)?;
    let program = Path::new(command.get_program()).to_owned();
    let output = command
        .stdin(leftover::take_lock(directory)?)
        .arg(&unfinished)
        .output()
        .map_err(tried(format!("cannot run {}", program.display())))?;
    if !output.status.success() {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text += &String::from_utf8_lossy(&output.stderr);
        let name = program.file_name().unwrap_or_default();
        return Err(Error::NotMade {
            program: name.display().to_string(),
            directory: directory.path.clone(),
            output: server::last_lines(&text),
        });
    }
    fs::rename(&unfinished, &directory.data)
        .map_err(tried(format!("cannot rename {}", unfinished.display())))
}
