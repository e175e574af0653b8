//! Owns the guess at what somebody meant who mistyped a name.

use strsim::osa_distance;

/// The one of `names` that is nearest to `word`, if it is so near that it was probably meant.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let measured = names.map(|name| (osa_distance(word, name), name));
    let (distance, name) = measured.min_by_key(|(distance, _)| *distance)?;
    let near = (name.len() / LETTERS_PER_SLIP).clamp(1, SLIPS_MAX);
    (distance <= near).then_some(name)
}

/// One slip (a letter put in, left out, changed, or swapped with its neighbour) for so many letters of a name, since of
/// short ones every other is near.
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
