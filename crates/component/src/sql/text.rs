//! Reads files of SQL: what their first comments say, where one statement ends and the next begins,
//! where parameters stand. Must not know a database, nor what the options in the comments mean.

mod assembled;
mod defaults;
mod header;
mod lexer;
mod parameters;
mod place;
mod split;
#[cfg(test)]
mod tests;
mod verb;

use std::sync::Arc;

pub(super) use assembled::Assembled;
pub(super) use defaults::literal;
pub(super) use header::{Written, of_comment};
pub(super) use parameters::Parameter;
pub(super) use place::{Fault, Place};
pub(super) use verb::Verb;

use parameters::{Parameters, Part};

/// A text of SQL, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The file, or where it stands in the configuration.
    name: Arc<str>,
    text: Arc<str>,
    /// The first lines of its first comment.
    pub(super) description: String,
    /// The options of its header, in their order.
    pub(super) options: Vec<Written>,
    /// Its statements, at least one.
    pub(super) statements: Vec<Statement>,
    /// The parameters of all statements: those of a name in the order in which they come first,
    /// those of a number by their number.
    pub(super) parameters: Vec<Parameter>,
    /// Whether nobody has written the text, so that no place in it means anything to anybody.
    is_made: bool,
}

/// One statement of a [`Source`].
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// Where it begins, in bytes.
    at: usize,
    /// The options right before it that are for a statement and not for all of them.
    pub(super) options: Vec<Written>,
    pub(super) verb: Verb,
    parts: Vec<Part>,
}

/// The statements of a script, each without its semicolon.
pub(super) fn statements(script: &str) -> Vec<&str> {
    let tokens = lexer::tokens(script);
    let pieces = split::statements(&tokens).into_iter();
    let range = |piece: &split::Piece<'_, '_>| {
        let (first, last) = (piece.tokens.first()?, piece.tokens.last()?);
        script.get(first.at..last.end())
    };
    pieces.filter_map(|piece| range(&piece)).collect()
}

/// The options that are for one statement.
const OF_A_STATEMENT: [&str; 4] = ["result", "single", "skip", "returns"];

impl Source {
    /// Takes a text apart that is called `name` in faults.
    pub(super) fn read(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let (name, text): (Arc<str>, Arc<str>) = (name.into(), text.into());
        let place = |at: usize| Place::at(&name, &text, at);
        let tokens = lexer::tokens(&text);
        let mut faults: Vec<_> = split::unended(&tokens)
            .map(|at| {
                let why = "a string, a quoted name or a comment begins here and does not end";
                Fault::new(place(at), why)
            })
            .into_iter()
            .collect();
        let mut parameters = Parameters::default();
        let mut source = Self {
            description: header::description(&tokens),
            options: Vec::new(),
            statements: Vec::new(),
            parameters: Vec::new(),
            is_made: false,
            name: name.clone(),
            text: text.clone(),
        };
        for (index, piece) in split::statements(&tokens).into_iter().enumerate() {
            let (own, others) = header::options(piece.before, &place)
                .into_iter()
                .partition(|written| OF_A_STATEMENT.contains(&written.key.as_str()));
            if index == 0 {
                source.options = others;
            } else {
                faults.extend(others.into_iter().map(|written: Written| {
                    let why = format!("`@{}` belongs before the first statement", written.key);
                    Fault::new(written.place, why)
                }));
            }
            match parameters.of_statement(piece.tokens) {
                Ok(parts) => source.statements.push(Statement {
                    at: piece.tokens[0].at,
                    options: own,
                    verb: Verb::of(piece.tokens),
                    parts,
                }),
                Err((at, why)) => faults.push(Fault::new(place(at), why)),
            }
        }
        if source.statements.is_empty() && faults.is_empty() {
            faults.push(Fault::new(Place::of(&name), "there is no statement in it"));
        }
        source.parameters = match parameters.all() {
            Ok(all) => all,
            Err((at, why)) => {
                faults.push(Fault::new(place(at), why));
                Vec::new()
            }
        };
        if faults.is_empty() {
            Ok(source)
        } else {
            Err(faults)
        }
    }

    /// Whether it is the same text from the same place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.text) == (&other.name, &other.text)
    }

    /// One statement that nobody has written: `name` is what it is made for. Its parameters, `$1`
    /// and so on, are called by these names.
    pub(super) fn made(
        name: &str,
        text: &str,
        verb: Verb,
        names: impl IntoIterator<Item = String>,
    ) -> Result<Self, Vec<Fault>> {
        let mut source = Self::read(name, text)?;
        source.is_made = true;
        for statement in &mut source.statements {
            statement.verb = verb;
        }
        for (parameter, name) in source.parameters.iter_mut().zip(names) {
            parameter.name = name;
        }
        Ok(source)
    }

    /// Where all of it is.
    pub(super) fn place(&self) -> Place {
        Place::of(&self.name)
    }

    /// The parameters in the order of positional arguments.
    pub(super) fn ordered_parameters(&self) -> Vec<&Parameter> {
        let mut ordered: Vec<_> = self.parameters.iter().collect();
        if !self.is_made {
            ordered.sort_by_key(|parameter| parameter.number());
        }
        ordered
    }

    /// Where a parameter stands first.
    pub(super) fn place_of(&self, parameter: &Parameter) -> Place {
        self.place_at(parameter.at)
    }

    /// A statement as PostgreSQL gets it, where parameters have these types if `type_of` says them
    /// by their index.
    pub(super) fn assemble<'t>(
        &self,
        statement: &Statement,
        type_of: impl Fn(usize) -> Option<&'t str>,
    ) -> Assembled {
        Assembled::new(&self.text, &statement.parts, type_of)
    }

    /// Where a position is that PostgreSQL has told, a number of a character from 1; where the
    /// statement begins without one.
    pub(super) fn locate(
        &self,
        statement: &Statement,
        assembled: &Assembled,
        position: Option<u32>,
    ) -> Place {
        let at = position.and_then(|position| assembled.source_offset(&self.text, position));
        self.place_at(at.unwrap_or(statement.at))
    }

    fn place_at(&self, at: usize) -> Place {
        if self.is_made {
            return self.place();
        }
        Place::at(&self.name, &self.text, at)
    }
}
