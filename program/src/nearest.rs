//! Owns the guess at what somebody meant who mistyped a name.

/// The one of `names` that is nearest to `word`, if it is so near that it was probably meant.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let measured = names.map(|name| (distance(word, name), name));
    let (distance, name) = measured.min_by_key(|(distance, _)| *distance)?;
    let near = (name.len() / LETTERS_PER_SLIP).clamp(1, SLIPS_MAX);
    (distance <= near).then_some(name)
}

/// How many letters have to be put in, left out, changed, or swapped with their neighbour to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        (before_last, last) = (last, row);
    }
    last[b.len()]
}

/// One slip for so many letters of a name, since of short ones every other is near.
const LETTERS_PER_SLIP: usize = 4;

/// Beyond it even a long name is another one.
const SLIPS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["listen", "lan-ip", "count", "secret-key", "register-address"];

    #[test]
    fn slips_are_seen_through() {
        for (word, name) in [
            ("lissten", "listen"),
            ("lsiten", "listen"),
            ("lanip", "lan-ip"),
            ("cuont", "count"),
            ("secret_kee", "secret-key"),
            ("registeraddres", "register-address"),
        ] {
            assert_eq!(nearest(word, NAMES.into_iter()), Some(name), "{word}");
        }
    }

    #[test]
    fn other_words_are_no_slips() {
        for word in ["colour", "", "address", "port", "programs", "key"] {
            assert_eq!(nearest(word, NAMES.into_iter()), None, "{word}");
        }
        assert_eq!(nearest("count", std::iter::empty()), None);
    }
}
