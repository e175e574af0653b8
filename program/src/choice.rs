//! Owns flags of which the value is one of a few words.

/// Declares an enum whose variants a flag names by the words behind them.
///
/// ```
/// ringway_program::choice! {
///     /// A colour.
///     #[derive(PartialEq, Debug)]
///     pub enum Colour {
///         /// The sky's.
///         Blue = "blue",
///         /// Not quite white.
///         OffWhite = "off-white",
///     }
/// }
/// assert_eq!("off-white".parse(), Ok(Colour::OffWhite));
/// assert_eq!(Colour::Blue.to_string(), "blue");
/// assert_eq!("red".parse::<Colour>(), Err("`red` is not one of blue, off-white".to_owned()));
/// ```
#[macro_export]
macro_rules! choice {
    (
        $(#[$about:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$doc:meta])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[$about])*
        $visibility enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<$name, String> {
                match word {
                    $($word => Ok($name::$variant),)*
                    _ => Err(format!("`{word}` is not one of {}", [$($word),*].join(", "))),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self {
                    $($name::$variant => $word,)*
                })
            }
        }
    };
}
