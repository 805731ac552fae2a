//! Owns the guess at what somebody meant who wrote an unknown word. Must not know what words are for.

/// ", did you mean `x`?" when one of the candidates is close to what was written.
pub fn did_you_mean(word: &str, candidates: &[&str]) -> String {
    let nearest = candidates
        .iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        // A third of the letters may be wrong; beyond that a suggestion is a guess.
        Some((distance, candidate)) if distance <= word.chars().count().max(3) / 3 => {
            format!(", did you mean `{candidate}`?")
        }
        _ => String::new(),
    }
}

/// Levenshtein's distance, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
